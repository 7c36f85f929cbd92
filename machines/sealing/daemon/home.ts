/**
 * Where the threads of a worker live: in a node of this process, or on the nodes of a cluster. Decides:
 * that the steps of this worker are taken from its own queue, and what of its data lies where. Leaves to
 * others: everything a node and a worker do.
 */
import { join } from 'node:path'
import {
  type App,
  type Client,
  createClient,
  createGateway,
  createNode,
  createWorker,
  defineApp,
  type Log,
} from '../../../src/index.ts'
import { queueOfWorker } from '../thread/index.ts'
import type { WorkerConfig } from './config.ts'

export interface Home {
  client: Client
  /** Resolves with the reason when it ends by itself. */
  lost: Promise<string>
  stop(): Promise<void>
}

export interface HomeDeps {
  /** What a node hosts: the pools of the platform, and all of this family. */
  apps: readonly App[]
  log: Log
  signal: AbortSignal
}

/** Steps that run at a time: each thread runs one, and what is drawn back must not wait for them. */
const SLOTS_BESIDE = 8
/** Of the part of the data that a node has, or a worker. */
const NODE_DIRECTORY = 'node'
const WORKER_DIRECTORY = 'worker'

/** Where threads live that live in this process. */
export function nodeDirectoryOf({ data }: WorkerConfig): string {
  return join(data, NODE_DIRECTORY)
}

/** @throws TroupeError */
export async function openHome(
  config: WorkerConfig,
  worker: string,
  deps: HomeDeps,
): Promise<Home> {
  const apps = [...deps.apps, queueApp(worker)]
  const slots = config.threads.length + SLOTS_BESIDE
  return config.cluster === null
    ? openNode({ config, apps, slots }, deps)
    : openMember({ config, apps, slots, worker, cluster: config.cluster }, deps)
}

/** The queue of a worker has its name, which only its configuration says. */
function queueApp(worker: string): App {
  return defineApp({ name: 'sealing-queue', workerQueues: () => [queueOfWorker(worker)] })
}

interface Plan {
  config: WorkerConfig
  apps: readonly App[]
  slots: number
}

async function openNode({ config, apps, slots }: Plan, { log, signal }: HomeDeps): Promise<Home> {
  const node = await createNode({
    dataDirectory: nodeDirectoryOf(config),
    ...{ apps, log, signal },
    // A worker has some hundred actors: fewer shards open and close faster.
    shardCount: 8,
    worker: { slots },
  })
  const client = node.client.as('worker')
  const { http } = config
  if (http === null) return { client, lost: node.stopped, stop: () => node.stop() }
  try {
    const gateway = await createGateway({ ...{ node, log }, ...http })
    const stop = async () => {
      await gateway.close()
      await node.stop()
    }
    return { client, lost: node.stopped, stop }
  } catch (thrown) {
    await node.stop()
    throw thrown
  }
}

async function openMember(
  { config, apps, slots, worker, cluster }: Plan & Member,
  { log, signal }: HomeDeps,
): Promise<Home> {
  const { name, nats, workerNats, group } = cluster
  const author = `sealing worker ${worker}`
  const client = await createClient({ nats, cluster: name, author, log, signal })
  try {
    const process = await createWorker({
      ...{ nats: workerNats, cluster: name, group, apps, slots, log, signal },
      // Names of workers there have no dots.
      name: `sealing-${worker.replaceAll('.', '_')}`.slice(0, 64),
      dataDirectory: join(config.data, WORKER_DIRECTORY),
    })
    const stop = async () => {
      await process.stop()
      await client.close()
    }
    return { client, lost: process.lost.then(({ message }) => message), stop }
  } catch (thrown) {
    await client.close()
    throw thrown
  }
}

interface Member {
  worker: string
  cluster: NonNullable<WorkerConfig['cluster']>
}
