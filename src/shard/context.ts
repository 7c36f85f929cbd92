/** What every part of a shard works with. The engine makes it once per shard. */
import type { Clock, Log, Random, Store } from '../ports/index.ts'
import type { AddressText, Limits } from '../protocol/index.ts'
import type { Heads, Machines } from './heads.ts'
import type { Leases } from './leases.ts'
import type { Leftovers } from './leftovers.ts'

/** Messages that wait (backlog.ts). */
export interface Backlog {
  /** Of the channel to a shard: not acknowledged by it, or not yet stepped here. */
  countFor(target: number): number
}

export interface ShardContext {
  readonly shard: number
  readonly shardCount: number
  readonly limits: Limits
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly machines: Machines
  readonly heads: Heads
  readonly leases: Leases
  readonly leftovers: Leftovers
  readonly backlog: Backlog
  /** Actors that operators cannot end: apps need them. */
  readonly singletons: ReadonlySet<AddressText>
  /** Whether committed transitions are published. */
  readonly announces: boolean
  /** Whether commits go through a journal: then callers may ask for its durability. */
  readonly journaled: boolean
}
