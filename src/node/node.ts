/** What a running node shows to the rooms above it (gateway, cli) and to programs. */
import type { Client } from '../client/index.ts'
import type { HostedMachine } from '../machine/index.ts'
import type { Clock, Log } from '../ports/index.ts'
import type { Limits, ShardStatus } from '../protocol/index.ts'
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

export interface TroupeNode {
  readonly name: string
  readonly cluster: string
  readonly client: Client
  readonly machines: ReadonlyMap<string, HostedMachine>
  readonly apps: readonly RunningApp[]
  readonly limits: Limits
  readonly log: Log
  readonly clock: Clock
  /** Workers in processes of their own; undefined when no app of the node admits any. */
  readonly workers?: RemoteWorkers | undefined
  /** Resolves with the reason when the node stops by itself: a failed disk, another owner. */
  readonly stopped: Promise<string>
  ready(): Promise<ReadyReport>
  /** Lets running batches finish, then closes everything. Safe to call twice. */
  stop(): Promise<void>
}
