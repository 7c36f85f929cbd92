/**
 * Durations as configurations of sealing workers write them (`30s`, `1m 30s`). Decides: units and
 * spellings, those of the program whose files we read; a month is a twelfth of 365.25 days there. Pure.
 */
import { TroupeError } from '../../../src/verbs.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const YEAR_MS = 365.25 * DAY_MS

const UNITS: readonly (readonly [names: string, unitMs: number])[] = [
  ['nanos nsec ns', 1e-6],
  ['usec us µs', 1e-3],
  ['millis msec ms', 1],
  ['seconds second sec secs s', SECOND_MS],
  ['minutes minute min mins m', MINUTE_MS],
  ['hours hour hr hrs h', HOUR_MS],
  ['days day d', DAY_MS],
  ['weeks week w', 7 * DAY_MS],
  ['months month M', YEAR_MS / 12],
  ['years year y', YEAR_MS],
]
const MS_OF = new Map(
  UNITS.flatMap(([names, unitMs]) => names.split(' ').map((name) => [name, unitMs] as const)),
)

const PART = /(\d{1,15})\s*([a-zµA-Z]+)\s*/y

/** Timers of Node.js end behind 2^31 ms; longer is a mistake in such a file anyhow. */
const DURATION_MS_MAX = 20 * DAY_MS

/** @throws TroupeError `malformed` */
export function parseDuration(text: string): number {
  const trimmed = text.trim()
  let totalMs = 0
  let at = 0
  while (at < trimmed.length) {
    PART.lastIndex = at
    const part = PART.exec(trimmed)
    const unitMs = MS_OF.get(part?.[2] ?? '')
    if (!part || unitMs === undefined) throw refusal(text)
    totalMs += Number(part[1]) * unitMs
    at = PART.lastIndex
  }
  if (at === 0) throw refusal(text)
  if (totalMs > DURATION_MS_MAX) {
    throw new TroupeError('malformed', `"${text.slice(0, 40)}" is longer than 20 days`)
  }
  return Math.round(totalMs)
}

function refusal(text: string): TroupeError {
  const why = `"${text.slice(0, 40)}" is not a duration: write 30s, 500ms, 2h or 1m 30s`
  return new TroupeError('malformed', why)
}
