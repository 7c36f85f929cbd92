/**
 * What NATS alone costs on this machine: requests between two processes with the client library of NATS
 * and nothing of Troupe. Decides: their size, which is that of an event as JSON.
 */
import { connect } from 'nats'
import { answerAsks } from './peers.ts'

const SUBJECT = 'bench.echo'
const TIMEOUT_MS = 10_000
/** Troupe's own connections go without stack traces too. */
const OPTIONS = { noAsyncTraces: true }
export const EVENT_BYTES = Buffer.from(JSON.stringify({ type: 'NEXT', by: 'bench' }))

/** The process that answers. */
export async function clusterEcho({ url }: { url: string }): Promise<void> {
  const nats = await connect({ ...OPTIONS, servers: url })
  nats.subscribe(SUBJECT, { callback: (_error, message) => void message.respond(message.data) })
  await nats.flush()
  await answerAsks({})
  await nats.close()
}

export interface BareNats {
  echo(): Promise<unknown>
  /** A request of any subject, as a program that knows nothing of Troupe makes it. */
  request(subject: string): Promise<Uint8Array>
  close(): Promise<void>
}

/** The side that asks, in this process. */
export async function openBareNats(url: string): Promise<BareNats> {
  const nats = await connect({ ...OPTIONS, servers: url })
  const options = { timeout: TIMEOUT_MS }
  return {
    echo: () => nats.request(SUBJECT, EVENT_BYTES, options),
    request: async (subject) => (await nats.request(subject, EVENT_BYTES, options)).data,
    close: () => nats.close(),
  }
}
