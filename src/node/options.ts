/**
 * What a node is asked to be. Decides: that names, limits, machines and sections fit before anything is
 * opened. Leaves to others: everything that touches a disk or a network.
 */
import type { NatsOptions } from '../adapters/nats/index.ts'
import { silentLog } from '../adapters/system/index.ts'
import type { Log } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  isNodeName,
  type Limits,
  resolveLimits,
  SHARDS_MAX,
  sectionsOf,
  TroupeError,
} from '../protocol/index.ts'
import type { App } from './app.ts'
import { type Registered, register } from './registration.ts'

export interface NodeOptions {
  /** Made if it does not exist. One node per directory: a second one makes the first stop. */
  dataDirectory: string
  /** Default `n1`. */
  name?: string
  /** Default `troupe`. */
  cluster?: string
  /**
   * Of data, or of a cluster, that is made now. What is there keeps its number: with another one the start
   * is refused. Default 64.
   */
  shardCount?: number
  apps: readonly App[]
  limits?: Partial<Limits>
  log?: Log
  /** The node's own worker; false for none. Default: 8 slots on the queues of its tasks. */
  worker?: { slots?: number; queues?: readonly string[] } | false
  /** Sections of the apps by name. */
  config?: Readonly<Record<string, unknown>>
  /** The cluster that it joins. Default: it has everything to itself. */
  nats?: ClusterAccess
  /** Ends the wait for a cluster that is not there, or does not give it its shards yet. */
  signal?: AbortSignal
  /** How far it is with what a start may have to do first, such as bringing data into a cluster. */
  progress?: (step: string, done: number, of: number) => void
}

/** Where the cluster is, and what this node is in it. */
export interface ClusterAccess extends NatsOptions {
  /** Of everything that NATS keeps, where it is made anew: 1, or 3 where NATS is a cluster. Default 1. */
  replicas?: number
  /** A shard and its standby stand in different ones, where there are two. */
  zone?: string
  /** How much it takes in proportion to the others. Default 1. */
  weight?: number
  /** An operator's word that the data of the node that had this name is gone for good. */
  replace?: boolean
}

/** The same, complete and checked. */
export interface NodePlan {
  name: string
  cluster: string
  dataDirectory: string
  limits: Limits
  apps: readonly App[]
  registered: Registered
  /** In the order of the apps. */
  sections: readonly unknown[]
  worker: { slots: number; queues: readonly string[] } | undefined
  log: Log
}

/** @throws TroupeError naming what is wrong */
export function planOf(options: NodeOptions): NodePlan {
  checkNames(options)
  checkShards(options)
  const { apps, dataDirectory, worker } = options
  const limits = resolveLimits(options.limits)
  const registered = register(apps, limits)
  const { slots = DEFAULT_CONFIG.worker.slots, queues = registered.queues } = worker || {}
  return {
    name: options.name ?? 'n1',
    cluster: options.cluster ?? DEFAULT_CONFIG.cluster,
    sections: sectionsOf(apps, options.config ?? {}),
    worker: worker === false ? undefined : { slots, queues },
    log: options.log ?? silentLog,
    ...{ dataDirectory, limits, apps, registered },
  }
}

function checkShards({ shardCount: count }: NodeOptions): void {
  if (count === undefined || (Number.isInteger(count) && count >= 1 && count <= SHARDS_MAX)) return
  throw new TroupeError(
    'invalid-config',
    `shards: ${count} is not a whole number from 1 to ${SHARDS_MAX}`,
  )
}

/** Both stand in subjects, where a dot or a star would mean something else. */
function checkNames({ name, cluster }: NodeOptions): void {
  for (const [what, given] of Object.entries({ name, cluster })) {
    if (given === undefined || isNodeName(given)) continue
    throw new TroupeError(
      'invalid-config',
      `${what}: "${given}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`,
    )
  }
}
