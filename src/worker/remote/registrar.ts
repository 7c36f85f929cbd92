/**
 * Who may take tasks as a worker. Decides: what an app answers that keeps the list of workers. Leaves to
 * others: how workers reach their node.
 */
import type { WorkerCondition, WorkerOrder } from './shapes.ts'

export interface WorkerClaim {
  group: string
  key: string
}

/** A worker as the node that hears it knows it. */
export interface WorkerReport extends WorkerCondition {
  name: string
  /** Empty for the worker of the node itself. */
  group: string
  /** The node that hears it. */
  node: string
}

export interface WorkerRegistrar {
  /**
   * The queues that a worker with this key may take tasks from.
   * @throws TroupeError `unauthorized`, the same for a wrong key and for a group that does not exist
   */
  authenticate(claim: WorkerClaim): Promise<{ queues: readonly string[] }>
  /** A worker was heard, one of another process or the node's own. */
  heard(report: WorkerReport): Promise<WorkerOrder>
  /**
   * The queues of a group, for workers of a cluster that come without a key, as NATS has admitted them.
   * Without it there are none of those.
   * @throws TroupeError `forbidden` for a group that takes no workers now
   */
  queuesOf?(group: string): Promise<readonly string[]>
  /** Another node has heard a worker, and has kept of that what is to be kept. */
  overheard?(report: WorkerReport): void
}
