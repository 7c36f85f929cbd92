/** What a bulk has come to, as a sum. Decides: what of it is kept when there is too much to keep. */
import { z } from 'zod'
import type { Outcome } from './bulk-operation.ts'

/** Actors that are named with a reason; of the others the reasons are counted. */
export const TROUBLES_MAX = 100

export const trouble = z.object({ address: z.string(), code: z.string(), message: z.string() })

export const tallyFields = {
  done: z.int().min(0),
  /** Unchanged: no longer, or already, as the operation wants them. */
  skipped: z.int().min(0),
  failed: z.int().min(0),
  /** Events that waited for those that are done, at that moment. */
  kept: z.int().min(0),
  /** Tasks of those that ran on. */
  tasksRunning: z.int().min(0),
  /** How many were skipped or failed, by code. */
  reasons: z.record(z.string(), z.int().min(0)),
  /** The first of them. */
  troubles: z.array(trouble).max(TROUBLES_MAX),
}

const tallyOf = z.object(tallyFields)
export type Tally = z.infer<typeof tallyOf>

export function noTally(): Tally {
  return { done: 0, skipped: 0, failed: 0, kept: 0, tasksRunning: 0, reasons: {}, troubles: [] }
}

type Counted = Extract<Outcome, { kind: 'done' | 'skipped' | 'failed' }>

export function tally(address: string, outcome: Counted): Tally {
  if (outcome.kind === 'done') {
    const { kept, tasksRunning } = outcome
    return { ...noTally(), done: 1, kept, tasksRunning }
  }
  const { kind, code, message } = outcome
  return { ...noTally(), [kind]: 1, reasons: { [code]: 1 }, troubles: [{ address, code, message }] }
}

export function tallied(sum: Tally, more: Tally): Tally {
  const reasons = { ...sum.reasons }
  for (const [code, count] of Object.entries(more.reasons)) {
    reasons[code] = (reasons[code] ?? 0) + count
  }
  const room = TROUBLES_MAX - sum.troubles.length
  return {
    done: sum.done + more.done,
    skipped: sum.skipped + more.skipped,
    failed: sum.failed + more.failed,
    kept: sum.kept + more.kept,
    tasksRunning: sum.tasksRunning + more.tasksRunning,
    reasons,
    troubles: room > 0 ? [...sum.troubles, ...more.troubles.slice(0, room)] : sum.troubles,
  }
}
