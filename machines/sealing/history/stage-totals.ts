/** What a sector took, state by state, from its history. Pure. */
import type { PlanName, SectorState } from '../plans/index.ts'
import { isSectorState, stageOf } from '../plans/index.ts'
import type { HistoryEntry } from './chapter.ts'

export interface StageTotal {
  state: string
  /** As operators are shown it; null where nothing is done for the sector. */
  stage: string | null
  /** Times that the work of the state was done. */
  count: number
  /** Tries that failed. */
  failures: number
  workMs: number
  waitedMs: number
}

/** In the order in which the states were come to. */
export function stageTotals(plan: PlanName, entries: readonly HistoryEntry[]): StageTotal[] {
  const totals = new Map<string, StageTotal>()
  for (const { from, durationMs, waitedMs, error, by } of entries) {
    const total = totals.get(from) ?? {
      ...{ state: from, stage: stageNameOf(plan, from) },
      ...{ count: 0, failures: 0, workMs: 0, waitedMs: 0 },
    }
    totals.set(from, total)
    total.workMs += durationMs
    total.waitedMs += waitedMs
    if (error !== undefined) total.failures += 1
    // What a person did is no work of the state.
    else if (by === undefined) total.count += 1
  }
  return [...totals.values()]
}

/** A state of a version that is gone has no stage any more. */
function stageNameOf(plan: PlanName, state: SectorState | string): string | null {
  return isSectorState(state) ? stageOf(plan, state) : null
}
