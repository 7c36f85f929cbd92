/**
 * What something makes of a thread, as a value: the form in which outcomes and control speak to the chart.
 * Pure.
 */
import type { PlanEvent, SectorState } from '../plans/index.ts'
import type { Condition, ThreadContext } from './context.ts'

/** What the chart is moved by; callers cannot send these. */
export type InternalType =
  | PlanEvent
  /** The sector is given up. */
  | 'Abort'
  /** By hand. */
  | `SetState.${SectorState}`
  /** The sector is no more: the next one begins, by the plan that is configured then. */
  | 'NextSector'
  /** The context says where the work goes on. */
  | 'SETTLE'
  /** The pool may have forgotten who waits. */
  | 'ASK_AGAIN'

/** What is answered to people and programs. */
export type Answer = Done | Refused

export interface Done {
  ok: true
  plan: string
  state: SectorState
  condition: Condition
  /** True: the pause takes effect when the running step has ended. */
  pausing?: boolean
  /** True: nothing has changed. */
  already?: boolean
  woken?: boolean
  move?: Move
}

/** What going on elsewhere does, or would do. */
export interface Move {
  dryRun: boolean
  from: SectorState
  to: SectorState
  /** Flags of the record that are set: the next submission replaces the one before. */
  sets: string[]
  /** What is done there; null where nothing is done for the sector. */
  stage: string | null
  hint: string | null
}

export interface Refused {
  refused: RefusalCode
  message: string
  offered?: readonly SectorState[]
}

export type RefusalCode =
  | 'not-paused'
  | 'pausing'
  | 'unknown-state'
  | 'wrong-plan'
  | 'present-state'
  | 'missing-input'
  | 'needs-force'
  | 'no-sector'
  | 'no-abort'
  | 'ending'

export interface Change {
  set: Partial<ThreadContext>
  raise?: InternalType
  answer?: Answer
}
