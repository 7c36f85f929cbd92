/**
 * Lists over all shards. Decides: what can be asked and the shape of a page. Every shard answers a
 * page in the asked order with keys to merge by; the client merges (it has no other knowledge).
 */
import type { AddressText } from './address.ts'
import type { ActorCondition, ActorExpectation, IndexValue } from './expectation.ts'
import type { ActorStatus, AuditView, DeadLetterView, StateValue } from './view.ts'

export interface ActorFilter extends ActorExpectation {
  machine?: string
  /** Ids that begin so. */
  idPrefix?: string
  /**
   * Equality on indexed fields; needs `machine`. Refused for a machine without `index`. A field that no
   * actor has gives an empty page and no error: which fields `index` gives is known of actors only. The
   * same holds for a sort.
   */
  where?: Record<string, IndexValue>
  /** Children are left out unless asked for. */
  children?: boolean
}

/** `id` is the default; `since` sorts by age in the present state; others are indexed fields. */
export interface ActorSort {
  by: string
  descending?: boolean
}

export interface ActorQuery {
  filter: ActorFilter
  sort?: ActorSort
  /** Rows of the page; default 100, at most `pageCountMax`. */
  limit?: number
  /** From the page before; belongs to the same filter and sort. */
  cursor?: string
}

/** All actors of a filter, in no order. */
export type ActorScan = Omit<ActorQuery, 'sort'>

export interface ActorRow {
  address: AddressText
  machine: string
  version: number
  status: ActorStatus
  value: StateValue
  tags: string[]
  turn: number
  createdAt: number
  updatedAt: number
  since: number
  paused: boolean
  parked: boolean
  /** Why it is parked or what it waits for, in words. */
  reason?: string
  index: Record<string, IndexValue>
}

export interface Page<Row> {
  rows: Row[]
  /** Present when there may be more. */
  cursor?: string
}

/** Number of actors by position (as text) and condition. */
export interface CountRow {
  machine: string
  state: string
  condition: ActorCondition
  count: number
}

/** A question to one shard. `after` is from its answer before (`next`), opaque to the client. */
export type ShardQuery =
  | { kind: 'actors'; filter: ActorFilter; sort: ActorSort; limit: number; after?: Uint8Array }
  | { kind: 'count'; filter: ActorFilter }
  | { kind: 'audit'; address?: AddressText; limit: number; before?: number; after?: Uint8Array }
  | { kind: 'dead-letters'; limit: number; after?: Uint8Array }
  | { kind: 'status' }

/** A shard's part of a page. `sortKey`s compare bytewise across shards, in ascending order. */
export interface ShardPage {
  rows: { sortKey: Uint8Array; row: ActorRow }[]
  /** Where to go on; absent when this shard has no more. */
  next?: Uint8Array
}

export interface ShardCount {
  counts: CountRow[]
}

/** The newest first. */
export interface ShardAudit {
  rows: AuditView[]
  /** Where to go on; absent when this shard has no more. */
  next?: Uint8Array
}

/** The newest first. */
export interface ShardDeadLetters {
  rows: DeadLetterView[]
  /** Where to go on; absent when this shard has no more. */
  next?: Uint8Array
}

/** Whether a shard makes progress: what `/ready` and `troupe` report. */
export interface ShardStatus {
  shard: number
  state: 'recovering' | 'serving' | 'leaving' | 'stopped'
  slot: number
  /** The slot of the claim by which it is owned; null where there is no journal, or no claim yet. */
  epoch: number | null
  mailboxCount: number
  residentCount: number
  residentBytes: number
  timersPending: number
  /** Age of the oldest batch that waits for its commit; 0 when none does. */
  commitAgeMs: number
  commits: CommitTally
}

/** What an owner has committed since it took the shard. */
export interface CommitTally {
  /** Batches. */
  count: number
  /** Commands and relayed messages that these answered. */
  commands: number
  /** From the moment a batch was stepped until it was durable and visible, all together. */
  ms: number
}
