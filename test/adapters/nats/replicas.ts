/**
 * What the replicas of a stream hold, each by itself. Only the leader of a stream answers for it, so
 * every server is made the leader in turn: that needs no trust in what servers say of each other.
 */
import { createHash } from 'node:crypto'
import { askApi, readInfo, readMessage } from '../../../src/adapters/nats/api.ts'
import type { Connection } from '../../../src/adapters/nats/index.ts'
import type { NatsCluster } from '../../nats-server.ts'
import { until } from '../../waiting.ts'

/** By sequence: the subject and a hash of the bytes. */
export type Held = Readonly<Record<number, string>>

const TIMEOUT_MS = 2_000
const LEADERS_MS = 90_000

/** By the name of the server. All of them have to run. */
export async function replicasOf(
  servers: NatsCluster,
  connection: Connection,
  stream: string,
): Promise<Record<string, Held>> {
  const seen: Record<string, Held> = {}
  const isSeenByAll = async () => {
    const leader = await leaderOf(connection, stream)
    if (!(leader in seen)) {
      const held = await heldBy(connection, stream)
      // What was read is the leader's only if it led all the time.
      if ((await leaderOf(connection, stream)) === leader) seen[leader] = held
    }
    if (Object.keys(seen).length === servers.servers.length) return true
    await askApi(connection, `STREAM.LEADER.STEPDOWN.${stream}`, {}, TIMEOUT_MS)
    return false
  }
  await until(
    isSeenByAll,
    { timeoutMs: LEADERS_MS, every: 100 },
    () => `each server leads ${stream} once; so far ${Object.keys(seen).join()}`,
  )
  return seen
}

/** Waits until no replica lags behind. */
export async function replicated(connection: Connection, stream: string): Promise<void> {
  const isWhole = async () => {
    const info = await readInfo(connection, stream, TIMEOUT_MS)
    return info?.cluster?.replicas?.every(({ current, lag = 0 }) => current && lag === 0)
  }
  await until(isWhole, { timeoutMs: 30_000, every: 100 }, `the replicas of ${stream}`)
}

async function leaderOf(connection: Connection, stream: string): Promise<string> {
  const leader = (await readInfo(connection, stream, TIMEOUT_MS))?.cluster?.leader
  if (!leader) throw new Error(`${stream} has no leader`)
  return leader
}

async function heldBy(connection: Connection, stream: string): Promise<Held> {
  const info = await readInfo(connection, stream, TIMEOUT_MS)
  const held: Record<number, string> = {}
  const { first_seq = 1, last_seq = 0 } = info?.state ?? {}
  for (let seq = first_seq; seq <= last_seq; seq++) {
    const found = await readMessage(connection, stream, { seq }, TIMEOUT_MS)
    if (!found) continue
    const hash = createHash('sha256').update(found.bytes).digest('hex').slice(0, 16)
    held[seq] = `${found.subject} ${hash}`
  }
  return held
}
