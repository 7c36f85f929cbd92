/**
 * Threads in the forms of the worker's interface: rows as of v0.2, and as of today's workers. Decides: what
 * our conditions are called there. Pure; the time is given.
 */
import type { SectorId } from '../venus/index.ts'
import type { LastError } from './context.ts'
import type { ThreadView } from './view.ts'

/** As of v0.2 to v0.4. */
export interface OldRow {
  location: string
  sector_id: SectorId | null
  index: number
  paused: boolean
  /** Whole seconds. */
  paused_elapsed: number | null
  state: string
  last_error: string | null
}

export type ThreadState =
  | { state: 'Idle' }
  | { state: 'Paused' | 'Waiting'; elapsed: number }
  | { state: 'Running'; elapsed: number; proc: string | null }

/** As of today's workers. */
export interface HeadRow {
  location: string
  plan: string
  job_id: string | null
  index: number
  thread_state: ThreadState
  job_state: string
  job_stage: string | null
  last_error: string | null
}

/** What stands for a store where a plan has none. */
const NO_LOCATION = '-'
const MS_PER_S = 1_000

/** @param nowMs unix ms */
export function oldRow(view: ThreadView, nowMs: number): OldRow {
  const { location, sectorId, index, paused, state, lastError } = view
  return {
    location: location ?? NO_LOCATION,
    sector_id: sectorId,
    index,
    paused,
    paused_elapsed: paused ? elapsedS(view, nowMs) : null,
    state,
    last_error: errorText(lastError),
  }
}

/** @param nowMs unix ms */
export function headRow(view: ThreadView, nowMs: number): HeadRow {
  const { location, plan, sector, index, state, stage, lastError } = view
  return {
    location: location ?? NO_LOCATION,
    plan,
    job_id: sector,
    index,
    thread_state: threadState(view, nowMs),
    job_state: sector === null ? '' : state,
    job_stage: stage,
    last_error: errorText(lastError),
  }
}

function threadState(view: ThreadView, nowMs: number): ThreadState {
  const elapsed = elapsedS(view, nowMs)
  switch (view.condition) {
    case 'paused':
    case 'parked':
      return { state: 'Paused', elapsed }
    case 'running':
    case 'pausing':
      return { state: 'Running', elapsed, proc: view.process }
    case 'waiting':
      return { state: 'Waiting', elapsed }
    default:
      return { state: 'Idle' }
  }
}

function elapsedS({ since }: ThreadView, nowMs: number): number {
  return Math.max(0, Math.floor((nowMs - since) / MS_PER_S))
}

/** With its level before it, as operators know it. */
export function errorText(error: LastError | null): string | null {
  return error === null ? null : `${error.level}: ${error.message}`
}
