/**
 * What passes between a sealing thread and the code that does the work of one state: the task
 * `sealing-step`. Decides: the shapes, and what a step may do to the thread. Leaves to others: the work
 * (`steps/`), what follows from an outcome (the machine).
 */
import { TaskError } from '../../../src/index.ts'
import type { PlanName, SectorState } from '../plans/states.ts'
import type {
  AllocatedSector,
  Deal,
  SealedPrivate,
  SealedPublic,
  Seed,
  Ticket,
} from '../venus/index.ts'

/** A large value that lies in a file of the sector's store, or a small one as it is. */
export type Held =
  | { inline: unknown }
  /** `file` is relative to the data directory of the store. */
  | { file: string; sha256: string; bytes: number }

/** All that a thread knows of its sector. Nothing is removed when it goes back to an earlier state. */
export interface SectorRecord {
  sector?: AllocatedSector
  deals?: Deal[]
  /** Of a sector that was sealed before (snapup, rebuild of an upgraded one, unseal). */
  finalized?: { public?: SealedPublic; private?: SealedPrivate }
  pieces?: { commitment: string; size: number }[]
  ticket?: Ticket
  pc1out?: Held
  /** Hex of 32 bytes. */
  pc2out?: { commR: string; commD: string }
  /** The next submission replaces one that the manager has. */
  pc2Resubmit?: boolean
  /** The attached store that has its files. */
  persistedIn?: string
  seed?: Seed
  c1out?: Held
  c2out?: Held
  c2Resubmit?: boolean
  snapEncodeOut?: { commR: string; commD: string }
  snapProveOut?: Held
  unsealIn?: { pieceCid: string; commD: string; offset: number; size: number }
  /** Of the plan `wdpost`. */
  job?: { id: string; input: unknown }
  jobOutput?: Held | { error: string }
}

/** The keys of `[sealing]` in worker.toml, complete. */
export interface SealingSettings {
  allowedMiners: number[]
  /** Sector sizes as text: `8KiB`. */
  allowedSizes: string[]
  enableDeals: boolean
  disableCc: boolean
  maxDeals: number | null
  minDealSpace: number | null
  /** Temporary errors of one state before the thread parks. */
  maxRetries: number
  sealIntervalMs: number
  /** Wait after the first temporary error, and between two requests for work. */
  recoverIntervalMs: number
  rpcPollingIntervalMs: number
  requestTaskMaxRetries: number
  ignoreProofCheck: boolean
  verifyAfterPc2: boolean
}

export interface StepInput {
  /** Whose queue it waits in. */
  worker: string
  /** The id of the thread: `<worker>~<name>`. */
  thread: string
  /** Absolute path of its store; null for plans without one. */
  location: string | null
  plan: PlanName
  state: SectorState
  record: SectorRecord
  settings: SealingSettings
  /** What the worker's pool granted: names of limits, among them the one of a processor's child. */
  granted: string[]
  /** Failed tries of this state since the last progress. */
  retries: number
  /** Rests of this state, for one reason, that followed each other without anything else between them. */
  rests: number
  /** That reason; null before the first rest. A thread has more of them than steps give. */
  restedFor: string | null
  /** The transition that led here, which the manager is told; null where it was told or there is none. */
  reported: { prev: SectorState; next: SectorState; event: string } | null
  /** Why the sector is aborted; for `Aborted` only. */
  abortReason: string | null
  /**
   * Sectors (or jobs) that the thread has been given so far: the same for as long as nothing came of a
   * request for one, however often it is made.
   */
  cycle: number
  /** Unix ms: when the thread came to its state, or its last run there ended; null: not known. */
  waitingSince: number | null
  /** From then until the step began: 0 until it begins, when the task fills it in. */
  waitedMs: number
}

/** Why nothing came of a step yet though nothing failed. */
export const REST_REASONS = [
  'idle',
  'chain',
  'seed',
  'store-space',
  'manager-down',
  /** No process that could do the stage is well. */
  'processor-down',
  /** The daemon of the worker is not there to do the step; said by the task, not by the step. */
  'worker-down',
] as const
export type RestReason = (typeof REST_REASONS)[number]

/** Unix ms. The task `sealing-step` fills in what the code of a step leaves out. */
export interface StepTimes {
  startedAt: number
  /** When it ended. */
  at: number
}

export type StepOutcome = Partial<StepTimes> &
  /** The work of the state is done: an event of the plan, and what it writes into the record. */
  (
    | {
        kind: 'done'
        /** In `Finished` and `Aborted` any name: it ends the sector. */
        event: string
        record: Partial<SectorRecord>
        workMs: number
        process?: string
      }
    /** To be asked again after `afterMs`, in the same state; no retry is used up. */
    | { kind: 'rest'; reason: RestReason; afterMs: number; why: string }
  )

/** As the thread is told it. */
export type TimedOutcome = StepOutcome & StepTimes

export const FAILURE_LEVELS = ['temporary', 'permanent', 'critical', 'abort'] as const
export type FailureLevel = (typeof FAILURE_LEVELS)[number]

/** The `detail` of a task failure of a step; its times are filled in as those of an outcome. */
export interface StepFailure extends Partial<StepTimes> {
  level: FailureLevel
}

/**
 * How a step fails. The platform's own retries stay out of it (the task has one attempt): the machine
 * counts by state. What a step throws otherwise is `temporary`.
 */
export function stepError(level: FailureLevel, message: string, cause?: unknown): TaskError {
  return new TaskError('temporary', message, { code: `step-${level}`, detail: { level }, cause })
}

export const STEP_TASK = 'sealing-step'

/** What a group of sealing workers may take from, and what lies below it. */
export const SEALING_QUEUE = 'sealing.worker'

/** The queue of a worker's steps. */
export function queueOfWorker(worker: string): string {
  return `${SEALING_QUEUE}/${worker}`
}
