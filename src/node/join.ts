/**
 * The composition root of a node of a cluster, over ports that somebody has opened. Decides: the order of
 * joining. Leaves to others: which adapters stand behind the ports.
 */
import { SystemClock, SystemRandom } from '../adapters/system/index.ts'
import { resolveClusterLimits } from '../cluster/index.ts'
import type {
  Checkpoints,
  Clock,
  Journal,
  Random,
  Registry,
  Subscription,
  TaskQueue,
  Transport,
} from '../ports/index.ts'
import { subjectsOf } from '../protocol/index.ts'
import { ClusterShards, type Place } from './cluster-shards.ts'
import { type DataDirectory, requireShards } from './data.ts'
import { serveFacts } from './facts.ts'
import { startNode } from './hosted-node.ts'
import { Joining } from './joining.ts'
import { openMemberData } from './member-data.ts'
import type { TroupeNode } from './node.ts'
import { type NodeOptions, type NodePlan, planOf } from './options.ts'
import { Peers } from './peers.ts'
import { takePart } from './taking-part.ts'

/** What all nodes of a cluster share. */
export interface ClusterPorts {
  transport: Transport
  journal: Journal
  registry: Registry
  taskQueue: TaskQueue
  checkpoints: Checkpoints
  /** What the journal takes in one message. Default: anything. */
  recordBytesMax?: number
  /** What is wrong with them now, in words for people. */
  troubles?(): string[]
  close(): Promise<void>
}

export interface JoinOptions extends NodeOptions {
  place?: Place
  /** An operator's word that the data of the node that had this name is gone for good. */
  replace?: boolean
  clock?: Clock
  random?: Random
  /** Of these options, where it is made already. */
  plan?: NodePlan
}

/** As long as a node is silent before it is taken for dead. */
const ANSWER_MS = 5_000

/** Once it is called the ports are the node's: it closes them. @throws TroupeError */
export async function joinCluster(options: JoinOptions, ports: ClusterPorts): Promise<TroupeNode> {
  let opened: Opened
  try {
    opened = await open(options, ports)
  } catch (thrown) {
    await ports.close()
    throw thrown
  }
  const { plan, data, clock, random, peers, presence } = opened
  const { cluster, limits } = plan
  const subjects = subjectsOf(cluster)
  const facts = { cluster, limits, shardCount: data.shardCount }
  const answers = [presence, serveFacts(ports.transport, subjects, facts)]
  const { transport, taskQueue, journal, registry, checkpoints, recordBytesMax } = ports
  const place = options.place ?? {}
  const ground = {
    answerMs: place.answerMs ?? ANSWER_MS,
    peers,
    ...{ data, transport, taskQueue, registry, clock, random },
    subjects,
    troubles: () => ports.troubles?.() ?? [],
    close: async () => {
      for (const answer of answers) answer.unsubscribe()
      await ports.close()
    },
  }
  const { signal } = options
  const more = { journal, registry, checkpoints, recordBytesMax, place, peers, signal }
  return startNode(plan, ground, (deps) => new ClusterShards(plan, { ...deps, ...more }))
}

interface Opened {
  plan: NodePlan
  data: DataDirectory
  clock: Clock
  random: Random
  peers: Peers
  /** Whoever asks for this node's name is answered. */
  presence: Subscription
}

async function open(options: JoinOptions, ports: ClusterPorts): Promise<Opened> {
  const plan = options.plan ?? planOf(options)
  const { clock = new SystemClock(), random = new SystemRandom(), signal } = options
  const { registry, transport } = ports
  const { name, cluster, log } = plan
  const peers = new Peers({ name, transport, subjects: subjectsOf(cluster), log })
  const joining = new Joining({ name, cluster, clock, log, registry, peers, signal })
  // First: to open its directory would end it.
  await joining.requireNobody()
  const presence = peers.listen()
  try {
    const data = await agree({ ...options, plan, clock, random }, ports, joining)
    return { plan, data, clock, random, peers, presence }
  } catch (thrown) {
    presence.unsubscribe()
    throw thrown
  }
}

/** Nothing is written to the directory for good before the cluster has agreed. */
async function agree(
  options: JoinOptions & Required<Pick<JoinOptions, 'plan' | 'clock' | 'random'>>,
  { journal, checkpoints }: ClusterPorts,
  joining: Joining,
): Promise<DataDirectory> {
  const { plan, clock, random, signal, progress, place, shardCount, replace = false } = options
  const { name, log } = plan
  const data = await openMemberData(plan.dataDirectory, plan, random)
  try {
    const { legacy } = data
    if (legacy) requireShards(legacy, shardCount, plan.dataDirectory)
    const agreed = await takePart({
      ...{ name, data, joining, journal, checkpoints, clock, random, log },
      ...{ shardCount, replace, signal, progress },
      chunkBytesMax: resolveClusterLimits(place?.limits).checkpointChunkBytesMax,
    })
    return await data.settle(agreed)
  } catch (thrown) {
    await data.store.close()
    throw thrown
  }
}
