/**
 * Errors of upkeep, counted by what they say. Decides: what two errors have in common, how many kinds are
 * told apart, and how they are printed (as the reference does). So a record of all errors stays small.
 */

const KIND_CHARS_MAX = 120
const KINDS_MAX = 64
/** For what comes when all are taken. */
const OTHER = 'other errors'

export type ErrorCounts = Readonly<Record<string, number>>

export function withError(counts: ErrorCounts, error: string): ErrorCounts {
  const said = kindOf(error)
  const isNew = counts[said] === undefined
  const kind = isNew && Object.keys(counts).length >= KINDS_MAX ? OTHER : said
  return { ...counts, [kind]: (counts[kind] ?? 0) + 1 }
}

/** Behind the last colon stands what went wrong; before it, where. Numbers are of one case only. */
function kindOf(error: string): string {
  const said = error.slice(error.lastIndexOf(':') + 1).trim()
  const kind = said.replaceAll(/\d+/g, '#').slice(0, KIND_CHARS_MAX)
  return kind === '' ? OTHER : kind
}

/** `disk is broken: 66.67%[2]`, the most frequent first; null where there are none. */
export function printedErrors(counts: ErrorCounts): string[] | null {
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a)
  const all = rows.reduce((sum, [, count]) => sum + count, 0)
  if (all === 0) return null
  return rows.map(([kind, count]) => `${kind}: ${((100 * count) / all).toFixed(2)}%[${count}]`)
}
