/**
 * What the servers of a NATS cluster say of themselves.
 *
 * Decides: how they are asked. Only the system account may; where it exports the question to ours, as in
 * config/nats, all of them answer. Elsewhere nobody hears it, which is told at once.
 * Leaves to others: what is made of it (probe.ts).
 */
import { RequestStrategy } from 'nats'
import type { Connection } from './connection.ts'

export interface ServerVariables {
  server: string
  version: string
  /** After so long a server gives up a client that is silent. */
  staleMs: number
}

/** Servers that are there answer at once. */
const ANSWERS_MS = 1_000
const NANOSECONDS_PER_MS = 1_000_000

/** What VARZ says, as far as it is needed; times in nanoseconds. */
interface Answer {
  data?: { server_name?: string; version?: string; ping_interval?: number; ping_max?: number }
}

/** Empty where we may not ask. */
export async function serverVariables({ nats }: Connection): Promise<ServerVariables[]> {
  const found: ServerVariables[] = []
  try {
    const options = { maxWait: ANSWERS_MS, strategy: RequestStrategy.JitterTimer }
    const answers = await nats.requestMany('$SYS.REQ.SERVER.PING.VARZ', '', options)
    for await (const message of answers) {
      const { server_name, version, ping_interval, ping_max } = message.json<Answer>().data ?? {}
      if (!server_name || !version || !ping_interval || ping_max === undefined) continue
      // It is given up where it would be asked once more.
      const staleMs = ((ping_max + 1) * ping_interval) / NANOSECONDS_PER_MS
      found.push({ server: server_name, version, staleMs })
    }
  } catch {
    // Nobody hears it, or we are not allowed to ask.
  }
  return found
}
