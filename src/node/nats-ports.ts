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
  type ProbeNeeds,
  probe,
} from '../adapters/nats/index.ts'
import { type ClusterLimits, resolveClusterLimits } from '../cluster/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import { DEFAULT_CONFIG } from '../protocol/index.ts'
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
  /** Of a cluster that is made now. Default: as everywhere. */
  shardCount?: number | undefined
  clusterLimits?: Partial<ClusterLimits> | undefined
}

/** The registry, the tasks and the checkpoints. */
const OTHER_STREAMS = 3
/** Subjects in one reason. */
const NAMED_MAX = 3
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
  deps: NatsPortsDeps,
): Promise<ClusterPorts> {
  const { cluster, replicas, options, clock, log, signal } = deps
  await probe({ connection, needs: needsOf(deps), clock, log, signal })
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
    troubles: () => troublesOf(connection),
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

function needsOf({
  replicas,
  messageBytesMax,
  shardCount,
  clusterLimits,
}: NatsPortsDeps): ProbeNeeds {
  const { journalRetentionMs: retentionMs } = resolveClusterLimits(clusterLimits)
  const streams = (shardCount ?? DEFAULT_CONFIG.shards) + OTHER_STREAMS
  return { replicas, messageBytesMax, streams, retentionMs }
}

/** A node does not get on by itself where NATS refuses what it needs: who runs the servers has to know. */
function troublesOf({ isConnected, rights }: Connection): string[] {
  if (!isConnected) return ['there is no connection to NATS']
  const refusals = rights.refusals()
  return [['publish', 'send to'] as const, ['subscription', 'hear'] as const].flatMap(
    ([operation, verb]) => {
      const subjects = refusals.filter((one) => one.operation === operation)
      if (subjects.length === 0) return []
      const named = subjects.slice(0, NAMED_MAX).map(({ subject }) => subject)
      const more = subjects.length > NAMED_MAX ? ` and ${subjects.length - NAMED_MAX} more` : ''
      return [
        `NATS does not allow our user to ${verb} ${named.join(', ')}${more}: give it the rights of a node (config/nats/users.conf); it is tried again by itself`,
      ]
    },
  )
}
