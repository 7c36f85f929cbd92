/**
 * Threads as people read them. Decides: the columns, the words for what a thread does, and that what is
 * wrong stands below it in full. Pure.
 */
import { type Chapter, type HistoryEntry, stageTotals } from '../history/index.ts'
import { errorText, type ThreadRow, type ThreadView, threadNameOf } from '../thread/index.ts'
import { ageText, type Row, tableLines } from './tables.ts'

const NOTHING = '-'

/** Of one worker, in full. */
export function threadLines(
  threads: readonly (ThreadView & { isConfigured: boolean })[],
  now: number,
  columns: number | undefined,
): string[] {
  const rows = threads.map((thread): Row => {
    const { index, plan, sector, state, stage, retries, maxRetries } = thread
    return {
      cells: [
        `#${index}`,
        threadNameOf(thread),
        plan,
        sector ?? NOTHING,
        state,
        stage ?? NOTHING,
        conditionText(thread, now),
        retries === 0 ? '0' : `${retries} of ${maxRetries}`,
      ],
      below: belowOf(thread),
    }
  })
  const headings = ['#', 'THREAD', 'PLAN', 'SECTOR', 'STATE', 'STAGE', 'CONDITION', 'RETRIES']
  return tableLines(headings, rows, columns)
}

/** Of all workers: what their rows tell. */
export function fleetLines(
  threads: readonly ThreadRow[],
  now: number,
  columns: number | undefined,
): string[] {
  const rows = threads.map((thread): Row => {
    const { worker, index, plan, sector, state, stage, condition, since, why } = thread
    const words = `${condition}${thread.draining && condition !== 'drained' ? ', draining' : ''}`
    return {
      cells: [
        worker,
        `#${index}`,
        threadNameOf(thread),
        plan,
        sector ?? NOTHING,
        state,
        stage ?? NOTHING,
        `${words} ${ageText(now - since)}`,
        thread.errors ? 'yes' : '',
      ],
      below: thread.errors && why !== null ? why : undefined,
    }
  })
  const headings = [
    'WORKER',
    '#',
    'THREAD',
    'PLAN',
    'SECTOR',
    'STATE',
    'STAGE',
    'CONDITION',
    'ERROR',
  ]
  return tableLines(headings, rows, columns)
}

function conditionText(thread: ThreadView & { isConfigured: boolean }, now: number): string {
  const { condition, since, until, progress, process } = thread
  const parts = [`${condition} ${ageText(now - since)}`]
  if (until !== null && until > now) parts.push(`again in ${ageText(until - now)}`)
  if (condition === 'running' || condition === 'pausing') {
    const told = progressText(progress)
    if (told !== null) parts.push(told)
    if (process !== null) parts.push(process)
  }
  if (thread.draining && condition !== 'drained') parts.push('draining')
  if (!thread.isConfigured) parts.push('not configured')
  return parts.join(', ')
}

/** As processors tell it: `{done, of, what}`. */
function progressText(progress: unknown): string | null {
  if (typeof progress !== 'object' || progress === null) return null
  const { done, of, what, progress: inner } = progress as Record<string, unknown>
  if (inner !== undefined) return progressText(inner)
  if (typeof done !== 'number' || typeof of !== 'number') return null
  return `${done}/${of}${typeof what === 'string' ? ` ${what}` : ''}`
}

/** What somebody has to know of it. */
function belowOf({ condition, why, lastError, pausedBy, stage }: ThreadView): string | undefined {
  const error = errorText(lastError)
  const asked =
    pausedBy === null
      ? null
      : `by ${pausedBy.by}${pausedBy.reason === null ? '' : `: ${pausedBy.reason}`}`
  if (condition === 'paused' || condition === 'pausing') {
    return [asked ?? why, error].filter((text) => text !== null).join('; ') || undefined
  }
  if (error !== null) return error
  return why !== null && why !== stage ? why : undefined
}

/** What happened to a sector, and what it took. */
export function storyLines(
  plan: Chapter['plan'],
  entries: readonly HistoryEntry[],
  columns: number | undefined,
): string[] {
  const rows = entries.map(
    ({ at, event, from, to, worker, durationMs, waitedMs, error, by }): Row => ({
      cells: [
        new Date(at).toISOString(),
        event,
        from === to ? from : `${from} > ${to}`,
        spanText(durationMs),
        spanText(waitedMs),
        by ?? worker,
      ],
      below: error === undefined ? undefined : `${error.level}: ${error.message}`,
    }),
  )
  const totals = stageTotals(plan, entries).map(
    ({ state, stage, count, failures, ...spans }): Row => ({
      cells: [
        state,
        stage ?? NOTHING,
        String(count),
        String(failures),
        spanText(spans.workMs),
        spanText(spans.waitedMs),
      ],
    }),
  )
  return [
    ...tableLines(['AT', 'EVENT', 'STATE', 'WORK', 'WAITED', 'BY'], rows, columns),
    '',
    ...tableLines(['STATE', 'STAGE', 'DONE', 'FAILED', 'WORK', 'WAITED'], totals, columns),
  ]
}

function spanText(spanMs: number): string {
  return spanMs < 1_000 ? `${Math.round(spanMs)}ms` : ageText(spanMs)
}
