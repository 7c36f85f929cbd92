/**
 * The limits of the gateway, with their defaults and reasons. Decides: names and defaults. Leaves to
 * others: enforcing them.
 *
 * A silent connection is not cut while an answer is awaited: answers may take minutes, and streams may
 * have nothing to say for hours.
 */
import { completeLimits, TroupeError } from '../protocol/index.ts'

export interface GatewayLimits {
  /** Bytes of a request's first line and headers together: what Node takes by default. */
  headerBytesMax: number
  /** From the first byte, or the connection, until all headers are there. They fit a few packets. */
  headersMs: number
  /** From the headers until the whole body is there: half a MiB needs 2 KB/s. Streams are exempt. */
  bodyMs: number
  /** How long a body that a route reads as a stream may stand still while the route waits for more. */
  streamSilenceMs: number
  /** How long a connection is kept for another request: longer than proxies keep theirs (60 s). */
  idleMs: number
  /** Watches at a time: each keeps a connection. */
  watchersMax: number
  /** A silent watch says that often that it lives: proxies cut what is silent for a minute. */
  watchHeartbeatMs: number
  /** Bytes that a watcher has not read yet; past that it is cut, and may come back. */
  watchBufferBytesMax: number
  /** Changes of lists that are remembered for watchers that are slow, or come back. */
  watchBacklogMax: number
  /** How long changes are remembered after the last watcher has gone. */
  watchLingerMs: number
  /** How often the files of tokens and certificates are looked at. */
  credentialsMs: number
}

export const DEFAULT_GATEWAY_LIMITS: Readonly<GatewayLimits> = Object.freeze({
  headerBytesMax: 16 * 1024,
  headersMs: 30_000,
  bodyMs: 300_000,
  streamSilenceMs: 60_000,
  idleMs: 72_000,
  watchersMax: 1_000,
  watchHeartbeatMs: 15_000,
  watchBufferBytesMax: 1024 * 1024,
  watchBacklogMax: 10_000,
  watchLingerMs: 60_000,
  credentialsMs: 5_000,
})

/** Completes a partial set. @throws TroupeError `invalid-config` */
export function resolveGatewayLimits(given: Partial<GatewayLimits> = {}): GatewayLimits {
  return completeLimits(DEFAULT_GATEWAY_LIMITS, given, bad)
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `gateway limits: ${why}`)
}
