/**
 * The rows of a shard in memory and in bytes. Decides: the stored form (positional, so that names
 * cost nothing) and its version. Leaves to others: what the fields mean for behaviour.
 */
import type { AnyActorLogic, AnyMachineSnapshot } from 'xstate'
import type { Chart, HostedMachine, StoredSnapshot, WorkerLostPolicy } from '../machine/index.ts'
import {
  type ActorStatus,
  type AddressText,
  type ErrorRecord,
  type EventObject,
  type IndexValue,
  invariant,
  pack,
  type StateValue,
  type TimerMode,
  unpack,
} from '../protocol/index.ts'
import { type Condition, clipIndexValue } from './index-keys.ts'

/** A pending timer. `kind` tells the engine's own from those of the chart. */
export interface TimerEntry {
  /** What `cancel` names; unique within the actor. */
  id: string
  effectId: string
  dueAt: number
  kind: 'event' | 'lease' | 'task-retry' | 'purge'
  /** For `event`: '' self, '^' parent, or the id of a child. For the engine's: the task's effect id. */
  to: string
  event: EventObject | null
  /**
   * Milliseconds left while it stands still, or `KEPT_TIMER` when it fell due while the actor held and
   * waits in the kept queue; it has no row in the timer table then.
   */
  frozenMs: number | null
}

export const KEPT_TIMER = -1

/** `waiting` is the back-off between attempts; `interrupted` waits for a resume. */
export type TaskState = 'queued' | 'running' | 'waiting' | 'interrupted' | 'result-kept'

export interface TaskEntry {
  effectId: string
  childId: string
  src: string
  name: string
  queue: string
  priority: number
  /** Packed: it is written with every change of its actor, and read by its worker alone. */
  input: Uint8Array
  attempt: number
  /** Of the attempt that runs; while it is queued the ticket that a start has to show; '' otherwise. */
  token: string
  worker: string
  since: number
  state: TaskState
  notBefore: number
  lastFailure: string
  leaseMs: number
  onWorkerLost: WorkerLostPolicy
}

export type ChildKind = 'task' | 'machine' | 'transition' | 'live'

/** A child as the statechart sees it; it stays listed after it is done, until its state is left. */
export interface ChildEntry {
  childId: string
  src: string
  kind: ChildKind
  sync: boolean
  done: boolean
  effectId: string
}

export interface PauseEntry {
  since: number
  by: string
  reason: string
  timers: TimerMode
}

export interface ParkEntry {
  since: number
  error: ErrorRecord
  cause: string
  /** Children whose failure parked the actor: their states are entered again on resume. */
  failedChildren: string[]
}

/** What an actor is made of, independent of the chart it runs. */
export interface ActorRecord {
  version: number
  chartHash: string
  /** `<slot>.<index>` of the commit that made it: re-created actors never repeat an effect id. */
  birth: string
  turn: number
  /** Counts changes outside of turns, for the ids of the engine's own timers. */
  operations: number
  createdAt: number
  updatedAt: number
  since: number
  status: ActorStatus
  paused: PauseEntry | null
  parked: ParkEntry | null
  /** The kept queue is the rows `keptFrom <= n < keptTo`. */
  keptFrom: number
  keptTo: number
  timers: readonly TimerEntry[]
  tasks: readonly TaskEntry[]
  children: readonly ChildEntry[]
  /** Of a child: the sources from the root's chart down to it. */
  sources: readonly string[]
  /** The newest entries of the history, packed one after the other (history.ts). */
  recent: Uint8Array
  recentFrom: number
  /** The fields that it is indexed by; long texts come back cut (`clipIndexValue`). */
  index: Readonly<Record<string, IndexValue>>
}

export const NO_INDEX: ActorRecord['index'] = Object.freeze({})

/** The index rows that the store holds for an actor, to be removed when they no longer fit. */
export interface IndexedAs {
  condition: Condition
  stateText: string
  since: number
  index: Readonly<Record<string, IndexValue>>
}

/** The chart of an actor, or the reducer of a `fromTransition` child. */
export type Logic = { kind: 'chart'; chart: Chart } | { kind: 'reducer'; logic: AnyActorLogic }

/** An actor in memory. */
export interface Head extends ActorRecord {
  readonly address: AddressText
  readonly hosted: HostedMachine
  /** Missing of a child whose source the registered version does not have: then it is unreadable. */
  readonly logic: Logic | { kind: 'missing' }
  /** Machine name of a root actor, `<machine>/<src>…` of a child: what indexes are grouped by. */
  readonly kindName: string
  stored: StoredSnapshot
  /** The live snapshot; made on the first step after a load. */
  snapshot: AnyMachineSnapshot | undefined
  stateText: string
  /** Size of the packed record, for the resident budget. */
  bytes: number
  /** The packed record of the last change, until the batch writes it. */
  encoded: Uint8Array | undefined
  /** Set while a batch that changed it is not committed. */
  dirty: boolean
  /** Looked at since it came into memory, or since a trim spared it. */
  used: boolean
  /** The chart cannot stand at the stored position; says why. */
  unreadable: string | null
  /** It is of a version that this node does not know yet: it is left as it is, for one that does. */
  newer: boolean
  /** What the rows of the indexes say of it; undefined before its first commit. */
  indexed: IndexedAs | undefined
}

const STATUS_CODES: readonly ActorStatus[] = ['active', 'done', 'stopped']
const TIMER_KINDS = ['event', 'lease', 'task-retry', 'purge'] as const
const TASK_STATES = ['queued', 'running', 'waiting', 'interrupted', 'result-kept'] as const
const CHILD_KINDS = ['task', 'machine', 'transition', 'live'] as const
const LOST_POLICIES = ['wait', 'rerun', 'park'] as const

/** Raised with every change of the form below; data of an older one are refused as a whole (node/data.ts). */
const RECORD_FORM = 2

type Fields = unknown[]

export function encodeActor(record: ActorRecord, stored: StoredSnapshot): Uint8Array {
  const fields: Fields = [
    RECORD_FORM,
    record.version,
    record.chartHash,
    record.birth,
    record.turn,
    record.operations,
    record.createdAt,
    record.updatedAt,
    record.since,
    STATUS_CODES.indexOf(record.status),
    stored.value,
    stored.context,
    stored.historyValue,
    stored.output === undefined ? null : [stored.output],
    record.recentFrom,
    record.recent,
    record.paused && [
      record.paused.since,
      record.paused.by,
      record.paused.reason,
      record.paused.timers,
    ],
    record.parked && [
      record.parked.since,
      record.parked.error,
      record.parked.cause,
      record.parked.failedChildren,
    ],
    record.keptTo === 0 ? null : [record.keptFrom, record.keptTo],
    fieldsOf(record.timers, timerFields),
    fieldsOf(record.tasks, taskFields),
    fieldsOf(record.children, childFields),
    record.sources.length === 0 ? null : record.sources,
    indexFields(record.index),
  ]
  while (fields.length > 15 && (fields.at(-1) === null || fields.at(-1) === undefined)) fields.pop()
  return pack(fields)
}

function fieldsOf<T>(list: readonly T[], fields: (entry: T) => Fields): Fields[] | null {
  return list.length === 0 ? null : list.map(fields)
}

function timerFields(t: TimerEntry): Fields {
  return [t.id, t.effectId, t.dueAt, TIMER_KINDS.indexOf(t.kind), t.to, t.event, t.frozenMs]
}

function taskFields(t: TaskEntry): Fields {
  return [
    t.effectId,
    t.childId,
    t.src,
    t.name,
    t.queue,
    t.priority,
    t.input,
    t.attempt,
    t.token,
    t.worker,
    t.since,
    TASK_STATES.indexOf(t.state),
    t.notBefore,
    t.lastFailure,
    t.leaseMs,
    LOST_POLICIES.indexOf(t.onWorkerLost),
  ]
}

function childFields(c: ChildEntry): Fields {
  return [c.childId, c.src, CHILD_KINDS.indexOf(c.kind), c.sync, c.done, c.effectId]
}

/** Field, value, field, value…: names cost what they must, and nothing when there are none. */
function indexFields(index: ActorRecord['index']): Fields | null {
  const fields = Object.entries(index).flatMap(([field, value]) => [field, clipIndexValue(value)])
  return fields.length === 0 ? null : fields
}

/** Written by a program that is newer than this one. */
export class UnknownFormError extends Error {
  constructor(form: unknown) {
    super(`actor record of form ${String(form)}; this version reads ${RECORD_FORM}`)
  }
}

export interface DecodedActor {
  record: ActorRecord
  stored: StoredSnapshot
}

/** @throws UnknownFormError */
export function decodeActor(bytes: Uint8Array): DecodedActor {
  const f = unpack(bytes) as Fields
  if (f[0] !== RECORD_FORM) throw new UnknownFormError(f[0])
  const kept = (f[18] ?? [0, 0]) as [number, number]
  const status = STATUS_CODES[f[9] as number]
  invariant(status !== undefined, 'the status of a record is known')
  return {
    record: {
      version: f[1] as number,
      chartHash: f[2] as string,
      birth: f[3] as string,
      turn: f[4] as number,
      operations: f[5] as number,
      createdAt: f[6] as number,
      updatedAt: f[7] as number,
      since: f[8] as number,
      status,
      paused: decodePause(f[16] as Fields | null | undefined),
      parked: decodePark(f[17] as Fields | null | undefined),
      keptFrom: kept[0],
      keptTo: kept[1],
      timers: ((f[19] ?? []) as Fields[]).map(decodeTimer),
      tasks: ((f[20] ?? []) as Fields[]).map(decodeTask),
      children: ((f[21] ?? []) as Fields[]).map(decodeChild),
      sources: (f[22] ?? []) as string[],
      recentFrom: f[14] as number,
      recent: f[15] as Uint8Array,
      index: decodeIndex(f[23] as Fields | null | undefined),
    },
    stored: {
      value: f[10] as StateValue,
      context: f[11],
      historyValue: (f[12] ?? null) as Record<string, string[]> | null,
      status: status === 'done' ? 'done' : 'active',
      output: (f[13] as Fields | null | undefined)?.[0],
    },
  }
}

function decodePause(f: Fields | null | undefined): PauseEntry | null {
  if (!f) return null
  return {
    since: f[0] as number,
    by: f[1] as string,
    reason: f[2] as string,
    timers: f[3] as TimerMode,
  }
}

function decodePark(f: Fields | null | undefined): ParkEntry | null {
  if (!f) return null
  return {
    since: f[0] as number,
    error: f[1] as ErrorRecord,
    cause: f[2] as string,
    failedChildren: f[3] as string[],
  }
}

function decodeTimer(f: Fields): TimerEntry {
  return {
    id: f[0] as string,
    effectId: f[1] as string,
    dueAt: f[2] as number,
    kind: TIMER_KINDS[f[3] as number] ?? 'event',
    to: f[4] as string,
    event: f[5] as EventObject | null,
    frozenMs: f[6] as number | null,
  }
}

function decodeTask(f: Fields): TaskEntry {
  return {
    effectId: f[0] as string,
    childId: f[1] as string,
    src: f[2] as string,
    name: f[3] as string,
    queue: f[4] as string,
    priority: f[5] as number,
    input: f[6] as Uint8Array,
    attempt: f[7] as number,
    token: f[8] as string,
    worker: f[9] as string,
    since: f[10] as number,
    state: TASK_STATES[f[11] as number] ?? 'queued',
    notBefore: f[12] as number,
    lastFailure: f[13] as string,
    leaseMs: f[14] as number,
    onWorkerLost: LOST_POLICIES[f[15] as number] ?? 'park',
  }
}

function decodeChild(f: Fields): ChildEntry {
  return {
    childId: f[0] as string,
    src: f[1] as string,
    kind: CHILD_KINDS[f[2] as number] ?? 'machine',
    sync: f[3] as boolean,
    done: f[4] as boolean,
    effectId: f[5] as string,
  }
}

function decodeIndex(f: Fields | null | undefined): ActorRecord['index'] {
  if (!f) return NO_INDEX
  const index: Record<string, IndexValue> = {}
  for (let at = 0; at < f.length; at += 2) index[f[at] as string] = f[at + 1] as IndexValue
  return index
}

/** What operators call the condition of an actor; parked goes before paused. */
export function conditionOf(record: ActorRecord): Condition {
  if (record.status !== 'active') return record.status
  if (record.parked) return 'parked'
  return record.paused ? 'paused' : 'active'
}

/** Everything that arrives waits while this holds. */
export function isHolding(record: ActorRecord): boolean {
  return record.paused !== null || record.parked !== null || record.keptFrom < record.keptTo
}
