/** What the journaled commit path is made of, and what it owns. */
import type { Checkpoints, Clock, Journal, Log, Random, Store } from '../ports/index.ts'
import type { TakeOutcome } from './commit.ts'
import type { ReadTurns } from './read-turns.ts'
import type { Epoch } from './slot-records.ts'
import type { TailRow } from './tail.ts'

/** What another member kept of a shard's journal. */
export interface OtherTail {
  node: string
  /** The newest slot that its store has applied. */
  applied: number
  /** In the order of slots; there may be gaps. */
  rows: TailRow[]
}

export interface TailRequest {
  shard: number
  from: number
  /** Who has claimed the shard last, by records that are known, whether or not a view names it. */
  claimants: readonly string[]
  /** Who has answered before, or was given up: nobody asks them again. */
  heard: readonly string[]
}

/** The tails of other members, for a journal that may have lost its end. */
export interface OtherTails {
  /**
   * Asks all who may have kept records of the shard behind slot `from - 1`, and were not heard. Each lets
   * go of the shard before it answers; `done` is told, never within this call, when all have answered,
   * however long that takes, or were given up by an operator.
   */
  collect(
    request: TailRequest,
    done: (tails: OtherTail[], givenUp: readonly string[]) => void,
  ): { stop(): void }
}

/** The newest slot of an owner, and which copy of the stream said so. */
export interface Position {
  slot: number
  hash: string
  sequence: number
  serverId: string
}

export interface Ownership {
  epoch: Epoch
  last: Position
}

export type TakingOutcome =
  | ({ kind: 'taken' } & Ownership)
  | Exclude<TakeOutcome, { kind: 'taken' }>

export interface TakingListener {
  /** Once at most: the shard is this node's, and is `taken` as soon as the disk has it. */
  claimed: () => void
  done: (outcome: TakingOutcome) => void
}

export interface JournaledCommitDeps {
  shard: number
  store: Store
  journal: Journal
  clock: Clock
  random: Random
  log: Log
  node: string
  /** Of the view that names this node; a loser tries again only with a newer one. */
  viewVersion: number
  /** Without an acknowledgement for this long the end is read before the next write. */
  ownerSilenceMs?: number
  /** What the journal takes in one message; a larger record would be tried for ever. */
  recordBytesMax?: number
  /** Without it only the own tail is asked when the journal may have lost its end. */
  otherTails?: OtherTails
  /** For shards that have much to read; without them all of a node read at once. */
  turns?: ReadTurns
  /** Without them a store that lacks removed slots, or has parted from the journal, cannot go on. */
  checkpoints?: Checkpoints
  /**
   * Told when this store and the journal have parted, and nobody but this node is hindered by it: then
   * the shard is lost to this node. Without it the engine fails, and the process with it.
   */
  parted?: (why: string) => void
}
