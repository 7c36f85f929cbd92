/**
 * What happened in a simulated world, as one list: the only thing that checkers see.
 *
 * Decides: the kinds of events and what each says. An entry is plain data with the virtual time and
 * a sequence; what a slot holds is decoded once, for all checkers.
 */
import type { ActorCondition } from '../../src/protocol/index.ts'
import type { Epoch } from '../../src/shard/slot-records.ts'
import type { ChartPlan } from './charts.ts'

export interface HistoryEntry {
  turn: number
  at: number
  cause: string
  by: string
  commandId: string | null
  from: string | null
  to: string
  note: string | null
}

export interface TimerFact {
  effectId: string
  dueAt: number
  kind: string
  type: string
  frozenMs: number | null
}

export interface TaskFact {
  taskId: string
  state: string
  attempt: number
  token: string
  worker: string
}

/** An actor as one batch left it. */
export interface ActorFact {
  address: string
  birth: string
  version: number
  turn: number
  status: string
  state: string
  paused: boolean
  parked: string | null
  kept: number
  timers: readonly TimerFact[]
  tasks: readonly TaskFact[]
  /** Ids of what its states have invoked, tasks included; also of what has ended since. */
  children: readonly string[]
  /** Effect ids of its callbacks. */
  lives: readonly string[]
  /** Ids of the states that each history state remembers. */
  remembers: Readonly<Record<string, readonly string[]>> | null
  /** The newest entries, oldest first; those of earlier turns were told before. */
  entries: readonly HistoryEntry[]
  context: Readonly<Record<string, unknown>>
}

export interface MessageFact {
  target: number
  number: number
  from: string
  to: string
  type: string
}

export interface BatchFact {
  kind: 'batch'
  epoch: Epoch
  /** The shard's time. */
  now: number
  actors: readonly ActorFact[]
  removed: readonly string[]
  /** Ids of commands that this batch remembers a reply of, as `address id`. */
  remembered: readonly string[]
  outbox: readonly MessageFact[]
  /** `target/number` of messages whose rows go. */
  acknowledged: readonly string[]
  inbound: readonly { source: number; generation: number; last: number }[]
  deadLetters: readonly { from: string; to: string; type: string; code: string }[]
  /** Ids of tasks whose rows are written, also of one that is gone with the same batch. */
  tasks: readonly string[]
}

export type SlotFact =
  | BatchFact
  | { kind: 'claim'; node: string; claimId: string; viewVersion: number }
  | { kind: 'release'; epoch: Epoch }
  /** No record: a checkpoint of this slot has what a node had alone, and the journal begins behind it. */
  | { kind: 'founded' }

/** What a shard is asked for: a page of a list, or counts. */
export interface QuestionFact {
  kind: 'list' | 'count'
  machine: string | null
  condition: ActorCondition | null
  children: boolean
  by: 'id' | 'since'
  descending: boolean
  limit: number
  /** The address that the page before ended with. */
  after: string | null
}

export interface ChunkLeft {
  chunk: string
  mode: 'normal' | 'readonly'
  /** Of whole shards. */
  bids: readonly string[]
}

export type Happening =
  /** The drawn machines of this world. */
  | { kind: 'charts'; charts: readonly ChartPlan[] }
  | { kind: 'sent'; party: string; id: string; address: string; op: string; bad?: true }
  | {
      kind: 'answered'
      party: string
      id: string
      address: string
      op: string
      /** `ok`, or the code of the failure. */
      code: string
      /** The whole reply but for its durability, as text. */
      text: string
      turn?: number
    }
  | { kind: 'gave-up'; party: string; id: string; address: string; tries: number }
  | { kind: 'read-began'; id: string; address: string }
  | { kind: 'asked'; party: string; id: string; shard: number; question: QuestionFact }
  /** An actor or a count per line. */
  | { kind: 'told'; party: string; id: string; shard: number; lines: readonly string[] }
  | { kind: 'node-up'; node: string; version: number }
  | { kind: 'node-down'; node: string; why: string }
  | { kind: 'frozen' | 'thawed'; node: string }
  | { kind: 'clock-jumped'; node: string; byMs: number }
  | { kind: 'cut'; from: string; to: string }
  | { kind: 'healed' }
  | { kind: 'disconnected'; party: string }
  | { kind: 'connected'; party: string }
  | { kind: 'journal-down'; why: string }
  | { kind: 'journal-up' }
  | { kind: 'line'; node: string; how: string }
  | { kind: 'view'; version: number; owners: readonly string[] }
  /** A create-once key of the registry, as the registry has decided it. */
  | { kind: 'claim'; node: string; key: string; outcome: string }
  /** The data directory of embedded nodes is this one's. */
  | { kind: 'owns'; node: string; ownerId: string }
  | { kind: 'leads'; node: string; epoch: number }
  /** An order of an operator that a leader took. */
  | { kind: 'ordered'; node: string; what: string }
  | { kind: 'taken'; node: string; shard: number; slot: number; view: number }
  | { kind: 'not-taken'; node: string; shard: number; why: string }
  | { kind: 'stopped'; node: string; shard: number; how: string; why: string }
  | {
      kind: 'slot'
      node: string
      shard: number
      slot: number
      sequence: number
      hash: string
      prev: string
      fact: SlotFact
    }
  /** A write that met a slot of somebody else, or another end than its writer had seen. */
  | { kind: 'refused'; node: string; shard: number; slot: number }
  | { kind: 'slots-lost'; shard: number; lastSlot: number }
  | { kind: 'slots-removed'; node: string; shard: number; to: number }
  /** `differs`: from a replay of its slots. */
  | {
      kind: 'checkpoint'
      node: string
      shard: number
      slot: number
      hash: string
      differs: string | null
    }
  | { kind: 'checkpoint-loaded'; node: string; shard: number; slot: number }
  | { kind: 'checkpoint-gone'; shard: number; slot: number; why: string }
  | { kind: 'slot-known'; node: string; shard: number; slot: number }
  | { kind: 'flushed'; node: string; shard: number; slot: number }
  /** A reply leaves its node. */
  | { kind: 'released'; node: string; address: string; id: string; code: string; turn?: number }
  | {
      kind: 'relayed'
      node: string
      shard: number
      target: number
      generation: number
      first: number
      count: number
    }
  | { kind: 'callback'; node: string; shard: number; effectId: string; how: 'begins' | 'ends' }
  | { kind: 'task-published'; node: string; taskId: string }
  | { kind: 'task-began'; worker: string; taskId: string; attempt: number; token: string }
  | {
      kind: 'task-reported'
      worker: string
      taskId: string
      token: string
      op: string
      code: string
    }
  | { kind: 'worker'; worker: string; how: string }
  | { kind: 'error-logged'; node: string; message: string }
  /** A call on a chunk, `<disk>/<vuid>`, as it ended there; `lost`: nothing was done, `unheard`: nobody was told. */
  | { kind: 'chunk-call'; party: string; verb: string; chunk: string; how: string }
  /** What a worker said of a move, and was answered; `since`: the event behind which it said so. */
  | {
      kind: 'move-call'
      worker: string
      call: string
      taskId: string
      token: number
      since: number
      answer: string
    }
  /** What lies on disks in the end, and how many blobs each volume was given. */
  | { kind: 'chunks-left'; chunks: readonly ChunkLeft[]; blobs: number }
  | { kind: 'faults-over' }
  | { kind: 'drained'; afterMs: number }
  | { kind: 'not-drained'; why: string }
  | { kind: 'end-store'; node: string; shard: number; appliedSlot: number; differs: string | null }
  | { kind: 'broke'; node: string; why: string }

export type SimEvent = Happening & {
  readonly seq: number
  /** Virtual milliseconds since the start. */
  readonly at: number
}

export type SlotEvent = Extract<SimEvent, { kind: 'slot' }>

/** What a checker found: what is wrong, and where to look. */
export interface Violation {
  checker: string
  what: string
  /** The event at which it shows. */
  seq: number
  shard?: number
  address?: string
}

export type Checker = (events: readonly SimEvent[]) => Violation[]

export class Recorder {
  readonly events: SimEvent[] = []
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  add(happening: Happening): void {
    const event = happening as Happening & { seq: number; at: number }
    event.seq = this.events.length
    event.at = this.#now()
    this.events.push(event)
  }
}
