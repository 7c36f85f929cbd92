/**
 * What callers see of actors. Decides: the shapes of replies. Times are unix ms throughout.
 */
import type { AddressText } from './address.ts'
import type { Durability, TimerMode } from './command.ts'
import type { ErrorRecord } from './errors.ts'
import type { IndexValue } from './expectation.ts'

/** XState's status: `active`, `done`, `stopped` (cancelled). A failure parks and stays `active`. */
export type ActorStatus = 'active' | 'done' | 'stopped'

/** A statechart's value: a state key, or for nested and parallel states an object of them. */
export type StateValue = string | { [key: string]: StateValue }

/** The reply to `start` and `send`. */
export interface TurnView {
  address: AddressText
  turn: number
  status: ActorStatus
  value: StateValue
  /** False when the state had no transition for the event: nothing changed. */
  handled: boolean
  /** Present when the actor is paused: the event waits, and how many wait with it. */
  kept?: number
  /** What the machine answered with `reply(...)`. */
  reply?: unknown
  output?: unknown
  /** What was true before the reply left. */
  durability?: Durability
}

export interface PauseView {
  since: number
  by: string
  reason?: string
  timers: TimerMode
  /** True while tasks that were running at the pause still run. */
  pausing: boolean
}

export interface ParkView {
  since: number
  error: ErrorRecord
  /** What was being done: the type of the event, or the task or child that failed. */
  cause: string
}

export interface TaskView {
  taskId: string
  name: string
  queue: string
  state: 'queued' | 'running' | 'waiting' | 'result-kept'
  attempt: number
  worker?: string
  since: number
  /** Why it waits and until when, for `waiting`. */
  lastFailure?: string
  notBefore?: number
  progress?: unknown
}

export interface TimerView {
  id: string
  event: string
  dueAt: number
  /** Milliseconds left, when the timers of a paused actor stand still. */
  frozenMs?: number
}

export interface ActorView {
  address: AddressText
  machine: string
  version: number
  status: ActorStatus
  value: StateValue
  tags: string[]
  context: unknown
  output?: unknown
  turn: number
  createdAt: number
  updatedAt: number
  /** When the present state value was entered. */
  since: number
  paused?: PauseView
  parked?: ParkView
  kept: number
  tasks: TaskView[]
  timers: TimerView[]
  children: AddressText[]
  /** Values of the fields that the machine indexes. */
  index: Record<string, IndexValue>
}

/** One committed transition of an actor's history. */
export interface HistoryView {
  turn: number
  at: number
  /** The type of the event, or the operator's command. */
  cause: string
  /** Who or what caused it: a caller, `timer`, `task <name>`, an actor's address. */
  by: string
  commandId?: string
  /** Positions as text: leaves joined by `|`; null before the first. */
  from: string | null
  to: string
  note?: string
}

/** A legal event of the present state, as an operator would be shown it. */
export interface LegalEventView {
  type: string
  targets: string[]
  guarded: boolean
  /** True when callers may send it: it has a schema. */
  sendable: boolean
}

/** The receipt of pause, resume, patch, cancel and delete. */
export interface OperatorReceipt {
  address: AddressText
  turn: number
  status: ActorStatus
  value: StateValue
  kept: number
  tasksRunning: number
  paused: boolean
  parked: boolean
  durability?: Durability
}

/** What a dry run would do. */
export interface DryRunView {
  dryRun: true
  value: StateValue
  status: ActorStatus
  handled: boolean
  /** Paths of the context that would change, with the values before and after. */
  contextDiff: { path: string; before: unknown; after: unknown }[]
  /** Effects in words: `task run on job.group.1`, `timer timeout in 60000 ms`, … */
  effects: string[]
}

export interface AuditView {
  at: number
  address: AddressText
  author: string
  operation: string
  commandId: string
  detail: unknown
  /** Positions as text. */
  before: string | null
  after: string | null
}

export interface DeadLetterView {
  at: number
  from: AddressText
  to: AddressText
  event: unknown
  error: ErrorRecord
}
