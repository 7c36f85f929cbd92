/**
 * A node's ports over NATS. Decides: the order in which they are opened and closed, and which connection
 * each has: one that reconnects, and for the journal lines with a single life each.
 */
import {
  type Connection,
  NatsCheckpoints,
  NatsConnector,
  NatsJournal,
  type NatsOptions,
  NatsRegistry,
  NatsTaskQueue,
  NatsTransport,
  probe,
} from '../adapters/nats/index.ts'
import { DEFAULT_CLUSTER_LIMITS } from '../cluster/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import { SHARD_COUNT } from './data.ts'
import type { ClusterPorts } from './join.ts'

export interface NatsPortsDeps {
  options: NatsOptions
  /** Of everything that NATS keeps, where it is made anew. */
  replicas: number
  name: string
  cluster: string
  clock: Clock
  random: Random
  log: Log
  /** Ends the wait for a server that is not there yet. */
  signal: AbortSignal | undefined
  /** Of what is sent in one message at most. */
  messageBytesMax: number
}

/** The registry, the tasks and the checkpoints. */
const OTHER_STREAMS = 3
/** Headers of a message, which count as its bytes. */
const HEADER_BYTES = 1_024

/** @throws TroupeError */
export async function openNatsPorts(deps: NatsPortsDeps): Promise<ClusterPorts> {
  const { name, cluster, options, clock, random, log, signal } = deps
  const connector = new NatsConnector({
    ...{ options, clock, random, log },
    name: `troupe ${cluster} ${name}`,
  })
  const connection = await connector.open({ reconnect: true, ...(signal && { signal }) })
  try {
    return await portsOver(connection, connector, deps)
  } catch (thrown) {
    await connection.close()
    throw thrown
  }
}

async function portsOver(
  connection: Connection,
  connector: NatsConnector,
  { cluster, replicas, options, clock, log, signal, messageBytesMax }: NatsPortsDeps,
): Promise<ClusterPorts> {
  const { journalRetentionMs: retentionMs } = DEFAULT_CLUSTER_LIMITS
  const needs = { replicas, messageBytesMax, streams: SHARD_COUNT + OTHER_STREAMS, retentionMs }
  await probe({ connection, needs, clock, log })
  const shared = { connection, cluster, replicas, clock, log }
  const { inboxPrefix } = options
  const inbox = inboxPrefix === undefined ? {} : { inboxPrefix }
  // First: it waits for servers that cannot keep anything yet.
  const registry = await NatsRegistry.open({ ...shared, ...(signal && { signal }) })
  const checkpoints = new NatsCheckpoints({ connection, cluster, replicas, log })
  const taskQueue = await NatsTaskQueue.open({ ...shared, ...inbox })
  const transport = new NatsTransport({ connection, clock, log, ...inbox })
  const journal = new NatsJournal({
    ...{ cluster, replicas, clock, log, servers: options.servers },
    open: (servers) => connector.open({ reconnect: false, ...(servers && { servers }) }),
  })
  return {
    ...{ transport, journal, registry, taskQueue, checkpoints },
    recordBytesMax: connection.payloadBytesMax - HEADER_BYTES,
    close: async () => {
      await taskQueue.close()
      await journal.close()
      registry.close()
      transport.close()
      await connection.close()
    },
  }
}
