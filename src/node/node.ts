/** What a running node shows to the rooms above it (gateway, cli) and to programs. */
import type { Client } from '../client/index.ts'
import type { LeaderReport, Order, OwnerChange } from '../cluster/index.ts'
import type { HostedMachine } from '../machine/index.ts'
import type { Clock, Log, Transport } from '../ports/index.ts'
import type { Limits, ShardStatus, Subjects } from '../protocol/index.ts'
import type { RemoteWorkers } from '../worker/index.ts'
import type { App, AppContext } from './app.ts'

export interface RunningApp {
  readonly app: App
  readonly context: AppContext
}

/** `ready` is false while a shard that this node owns does not make progress. */
export interface ReadyReport {
  ready: boolean
  /** Why not, in words; empty when ready. */
  reasons: string[]
  shards: ShardStatus[]
}

/** What a node of a cluster knows of it, and what operators can have done with it. */
export interface Membership {
  status(): ClusterReport
  /** What this node itself has of each shard. */
  seats(): SeatReport[]
  /** What only the leader knows, asked from it; null where nobody leads or answers. */
  plans(options?: { timeoutMs?: number }): Promise<LeaderReport | null>
  /**
   * An operator's word to the leader, from any node. Resolves with the shards that get other owners, once
   * it is as durable as the placement itself; under a dry run nothing changes.
   * @throws TroupeError `conflict`, `not-found`; `unavailable` where nobody leads, `no-answer`
   */
  order(order: Order, options?: { dryRun?: boolean }): Promise<OwnerChange[]>
  /**
   * An operator's word to all nodes: shards that wait for the records of this one go on without; what only
   * it had is lost. Resolves with those shards. @throws TroupeError `conflict` for a node that is there
   */
  giveUp(node: string): Promise<number[]>
}

export interface ClusterReport {
  leader: { name: string; epoch: number } | null
  /** Who owns what, by the newest view that this node has seen. */
  view: { leaderEpoch: number; version: number } | null
  nodes: NodeReport[]
  /** In their order. */
  shards: ShardReport[]
}

export interface NodeReport {
  name: string
  /** False for a member of the view that is silent. */
  isHeard: boolean
  isLeaving: boolean
  /** Since an operator wishes that it has no shards; null otherwise. */
  drain: { by: string; at: number } | null
  zone: string | null
  weight: number
  /** How many shards it is named for, how many it serves, how many it follows. */
  owns: number
  serves: number
  follows: number
}

export interface ShardReport {
  shard: number
  owner: string | null
  standby: string | null
  /** Who says that it serves: the owner, once it has taken it, and for a moment the one before. */
  servedBy: string[]
  /** How many slots the standby is behind; null while that is not known. */
  standbyLag: number | null
  /** Whose records this node waits for, since the journal may have lost its end. */
  waitsFor: string[]
  /** To which node an operator wishes it; a pin holds until it is taken back. */
  move: { to: string; isPinned: boolean; by: string; at: number } | null
}

/** One shard as this node has it. */
export interface SeatReport {
  shard: number
  role: 'owner' | 'standby' | 'none'
  /** How many slots it is behind as a standby; null while that is not known. */
  lag: number | null
  /** How often it has taken the shard from one who served it, and how often from nobody. */
  handovers: number
  takeovers: number
  /** How long the last handover took, from its word until this node served. */
  pauseMs: number | null
}

export interface TroupeNode {
  readonly name: string
  readonly cluster: string
  readonly client: Client
  readonly machines: ReadonlyMap<string, HostedMachine>
  readonly apps: readonly RunningApp[]
  readonly limits: Limits
  readonly log: Log
  readonly clock: Clock
  /** What its clients speak over; in a cluster anybody's programs may. */
  readonly transport: Transport
  readonly subjects: Subjects
  /** Workers in processes of their own; undefined when no app of the node admits any. */
  readonly workers?: RemoteWorkers | undefined
  /** Its place among others; undefined when it has everything to itself. */
  readonly membership?: Membership | undefined
  /** Resolves with the reason when the node stops by itself: a failed disk, another owner. */
  readonly stopped: Promise<string>
  ready(): Promise<ReadyReport>
  /**
   * The first half of a stop: it is not ready any more, and what it serves goes to others, where there
   * are others. Requests are answered meanwhile, and forwarded to who serves them. Safe to call twice.
   */
  handOver(): Promise<void>
  /** Hands over what others can take, lets running batches finish, closes everything. Safe to call twice. */
  stop(): Promise<void>
}
