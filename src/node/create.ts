/**
 * The composition root: a node that has everything to itself, or one of a cluster. Decides: which adapter
 * stands behind which port.
 */
import { MemoryTaskQueue, MemoryTransport } from '../adapters/memory/index.ts'
import { SystemClock, SystemRandom } from '../adapters/system/index.ts'
import { subjectsOf } from '../protocol/index.ts'
import { openData } from './data.ts'
import { EmbeddedShards } from './embedded-shards.ts'
import { startNode } from './hosted-node.ts'
import { joinCluster } from './join.ts'
import type { TroupeNode } from './node.ts'
import { type ClusterAccess, type NodeOptions, planOf } from './options.ts'

/** Puts a node together and starts it. @throws TroupeError naming what is wrong */
export async function createNode(options: NodeOptions): Promise<TroupeNode> {
  return options.nats ? createMember(options, options.nats) : createAlone(options)
}

async function createAlone(options: NodeOptions): Promise<TroupeNode> {
  const plan = planOf(options)
  const clock = new SystemClock()
  const random = new SystemRandom()
  const data = await openData(plan.dataDirectory, plan.cluster, random, options.shardCount)
  const transport = new MemoryTransport({ clock })
  const ground = {
    ...{ data, clock, random, transport },
    taskQueue: new MemoryTaskQueue({ clock }),
    subjects: subjectsOf(plan.cluster),
    close: async () => transport.close(),
  }
  return startNode(plan, ground, (deps) => new EmbeddedShards(plan, data.owner, deps))
}

async function createMember(
  options: NodeOptions,
  { replicas = 1, zone, weight, replace, ...access }: ClusterAccess,
): Promise<TroupeNode> {
  // Before anybody is called: a mistake must not wait for a server.
  const plan = planOf(options)
  const { name, cluster, limits, log } = plan
  const clock = new SystemClock()
  const random = new SystemRandom()
  // A node that is alone does not load what only a cluster needs.
  const { openNatsPorts } = await import('./nats-ports.ts')
  const ports = await openNatsPorts({
    ...{ options: access, replicas, name, cluster, clock, random, log },
    signal: options.signal,
    messageBytesMax: limits.batchBytesMax,
    shardCount: options.shardCount,
  })
  const place = { ...(zone !== undefined && { zone }), ...(weight !== undefined && { weight }) }
  const more = { plan, place, replace: replace ?? false, clock, random }
  return joinCluster({ ...options, ...more }, ports)
}
