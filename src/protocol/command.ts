/**
 * What callers can ask of an actor. Decides: the operations and their envelope as they travel.
 * Leaves to others: what an operation does (shard), who may ask (gateway).
 */
import type { AddressText } from './address.ts'
import type { ErrorRecord } from './errors.ts'
import type { ActorExpectation } from './expectation.ts'

/** What has to be true before the reply leaves. Embedded nodes offer `flushed` only. */
export type Durability = 'flushed' | 'journaled' | 'flushed+journaled'

/** Every event has a type; the rest is its payload. */
export interface EventObject {
  type: string
  [field: string]: unknown
}

export type Operation =
  | { op: 'start'; input?: unknown }
  | { op: 'send'; event: EventObject }
  | { op: 'pause'; reason?: string; interrupt?: boolean; timers?: TimerMode }
  | { op: 'resume'; state?: string; retry?: boolean }
  | { op: 'patch'; merge: unknown }
  | { op: 'cancel'; reason?: string }
  | { op: 'delete' }
  | { op: 'get' }
  | { op: 'history'; limit?: number; beforeTurn?: number }
  | { op: 'events' }
  /** `ticket` is what the task's message carries: a worker shows by it that a queue gave it the task. */
  | { op: 'task.start'; taskId: string; worker: string; ticket?: string }
  | { op: 'task.attach'; taskId: string; token: string; worker: string }
  | { op: 'task.beat'; taskId: string; token: string; progress?: unknown }
  /** `next` is a worker with room: what the actor then wants of the same task begins there, and is the answer. */
  | { op: 'task.done'; taskId: string; token: string; output?: unknown; next?: string }
  | { op: 'task.failed'; taskId: string; token: string; failure: TaskFailure }

export type OperationName = Operation['op']

/** While paused, due timers are kept for later (`run`) or stand still (`freeze`). */
export type TimerMode = 'run' | 'freeze'

/** How a task ended badly: `temporary` is retried, `permanent` parks, `aborted` is the machine's own way out. */
export interface TaskFailure {
  class: 'temporary' | 'permanent' | 'aborted'
  message: string
  code?: string
  detail?: unknown
}

/** A command: an operation, its target and its envelope. */
export type Command = Operation & {
  address: AddressText
  /** `<issuedAtMs>-<unique>`; the same id is applied once. Reads need none. */
  id?: string
  /** Who asks, for the history and the audit trail. */
  author?: string
  /**
   * How long its sender still waits, in ms: the owner counts from its arrival, and what has had to wait
   * for longer is not applied. A time of day would mean something else to every clock.
   */
  timeoutMs?: number
  durability?: Durability
  /** Answer what would happen; change nothing. */
  dryRun?: boolean
  /**
   * Apply it only to an actor that is so, else refuse it as `conflict`: whoever found it in a list cannot
   * know what became of it since. Of a repeat the first reply counts.
   */
  when?: ActorExpectation
}

/** Operations that read and never change anything. */
export const READ_OPERATIONS: ReadonlySet<OperationName> = new Set([
  'get',
  'history',
  'events',
  'task.beat',
])

/** Operations of a worker, on a task of the addressed actor. */
export const TASK_OPERATIONS: ReadonlySet<OperationName> = new Set([
  'task.start',
  'task.attach',
  'task.beat',
  'task.done',
  'task.failed',
])

/** Operations of an operator: each leaves a row in the audit trail. */
export const OPERATOR_OPERATIONS: ReadonlySet<OperationName> = new Set([
  'pause',
  'resume',
  'patch',
  'cancel',
  'delete',
])

/** What comes back for one command. `durability` says what was true before the reply left. */
export type Outcome = { ok: unknown; durability: Durability } | { error: ErrorRecord }
