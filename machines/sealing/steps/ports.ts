/**
 * What steps need of the worker that runs them. Decides: the shapes only. Whoever puts a worker together
 * hands them over; tests hand over their own.
 */
import type { Clock, Log, Random } from '../../../src/index.ts'
import type { PlanEvent, PlanName, SectorState } from '../plans/index.ts'
import type { AttachedStores, LocalStore } from '../stores/index.ts'
import type { FailureLevel, RestReason, SectorRecord } from '../thread/index.ts'
import type { ManagerCalls } from '../venus/index.ts'

export interface ProcessorUse {
  /** The child that the worker's pool granted; without one, any. */
  lane?: string
  /** Whose data it works on: see `quiet`. */
  key: string
  signal?: AbortSignal
  onProgress?: (progress: unknown) => void
  /** When a child, or this process (`pid` null), begins with it. */
  onStarted?: (where: { lane: string; pid: number | null }) => void
}

export interface StepProcessors {
  /** @throws an error with a `kind`, see the room `processors` */
  run(stage: string, task: unknown, use: ProcessorUse): Promise<unknown>
  /** Resolves once nothing works on the data of that key any more, given up work included. */
  quiet(key: string): Promise<void>
}

/** How one run of a step ended. */
export interface EndedStep {
  worker: string
  plan: PlanName
  state: SectorState
  /** `cancelled`: nobody wanted it any more. */
  end: 'done' | 'cancelled' | RestReason | FailureLevel
  workMs: number
}

/** Where the bytes of a piece come from. */
export type PieceFile = { local: string } | PieceAddress

export interface PieceAddress {
  url: string
  /** Sent as a bearer; processors know of no tokens. */
  token?: string | undefined
}

export interface PieceSources {
  /** @throws TroupeError when it is nowhere */
  find(cid: string): Promise<PieceFile>
  /** Where a piece can be put at the manager; null when it takes none by that name. */
  uploadAddress(name: string): PieceAddress | null
}

export interface StepDeps {
  /** The name that the manager knows this worker by. */
  workerName: string
  /** Of the store that the threads live in: one that was lost begins anew with the births of its actors. */
  lifeOfThreads: string
  manager: ManagerCalls
  processors: StepProcessors
  /** A store that this process holds. */
  openStore(location: string): Promise<LocalStore>
  attached: AttachedStores
  pieces: PieceSources
  clock: Clock
  random: Random
  log: Log
  /** Trees of sectors without data, by size (`32GiB`), which then need not be computed. */
  staticTrees?: Readonly<Record<string, string>>
  /** Once for each run. */
  onEnded?: (step: EndedStep) => void
}

/** What the one who asks for a step gives along with it. */
export interface StepAttempt {
  /** The same for every repeat of this step. */
  taskId: string
  signal: AbortSignal
  progress: (value: unknown) => void
  /** Kept across restarts; where plans without a store keep their outcome. Made when it is asked for. */
  readonly directory?: string
}

/** Of the plan; `Ended` for its last states, which no event of the plan leaves. */
export type StepEvent = PlanEvent | 'Ended'

/** What a step comes to: an event of the plan and what it writes, or a rest. */
export type StepResult = { event: StepEvent; record: SectorRecord; process?: string } | StepRest
export interface StepRest {
  rest: RestReason
  afterMs: number
  why: string
}
