/**
 * What a node stands on, and how it has its shards: the two places where a node that is alone and a node
 * of a cluster differ.
 */
import type { Clock, Random, Registry, TaskQueue, Transport } from '../ports/index.ts'
import type { EventObject, ShardStatus, Subjects } from '../protocol/index.ts'
import type { LiveHost, ShardsHere } from '../shard/index.ts'
import type { DataDirectory } from './data.ts'
import type { LeaderLine } from './leader-line.ts'
import type { Membership } from './node.ts'
import type { Peers } from './peers.ts'

export interface Ground {
  data: DataDirectory
  transport: Transport
  taskQueue: TaskQueue
  subjects: Subjects
  clock: Clock
  random: Random
  /** How long a first try of a request waits for its answer, where a node may die with it. */
  answerMs?: number
  /** The other nodes, where there are any. */
  peers?: Peers
  /** What all nodes share, where there are others. */
  registry?: Registry
  /** What is wrong with what it stands on, in words for people. */
  troubles?(): string[]
  /** Closes what was opened for it but the store. */
  close(): Promise<void>
}

export interface Shards {
  /** Resolves when they serve, or when there is nothing more to wait for. */
  start(): Promise<void>
  /** Those that this node owns, and what keeps it from being ready. */
  status(): { shards: ShardStatus[]; reasons: string[] }
  /** A planned end: what this node serves goes to others first, where there are others. */
  leave(): Promise<void>
  /** At once. Nobody is told of anything any more. */
  stop(): void
  /** An event of a callback or observable that runs beside an owner. */
  liveEvent(shard: number, address: string, effectId: string, event: EventObject): void
  /** Who leads; of a node that is alone itself. */
  readonly leader: LeaderLine
  readonly membership?: Membership
}

/** What shards are given by the node that has them. */
export interface ShardsDeps {
  ground: Ground
  /** They open theirs while they serve. */
  here: ShardsHere
  live: LiveHost
  /** Memory and disk may not agree: the node has to end. */
  stopped: (why: string) => void
}

/** A batch that waits longer than this for its commit means that the disk or the journal does not answer. */
const COMMIT_STUCK_MS = 10_000

/** Shards that do not get on, in words. */
export function stuckReasons(shards: readonly ShardStatus[]): string[] {
  return shards
    .filter(({ state, commitAgeMs }) => state === 'serving' && commitAgeMs > COMMIT_STUCK_MS)
    .map(
      ({ shard, commitAgeMs }) =>
        `shard ${shard} waits for its commit since ${Math.round(commitAgeMs)} ms`,
    )
}
