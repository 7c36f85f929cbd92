/**
 * Bodies that arrive too slowly: a byte a minute would hold a connection for ever. Decides: how long
 * each may take, whether somebody reads it or not, and how it is cut.
 *
 * Node's own `requestTimeout` is one for all requests of a server; a stream may take hours as long as it
 * flows, so bodies are watched here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorRecord } from '../protocol/index.ts'
import type { GatewayLimits } from './limits.ts'
import { refuseOnSocket } from './raw-refusals.ts'

export class SlowBodies {
  readonly #limits: GatewayLimits
  readonly #timers = new WeakMap<IncomingMessage, NodeJS.Timeout>()

  constructor(limits: GatewayLimits) {
    this.#limits = limits
  }

  /** For every request, as soon as its headers are there. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    if (!hasBody(request)) return
    const { bodyMs } = this.#limits
    const why = `the body was not whole within ${bodyMs} ms (bodyMs)`
    this.#set(
      request,
      setTimeout(() => cut(request, response, why), bodyMs),
    )
    request.once('close', () => clearTimeout(this.#timers.get(request)))
  }

  /** Instead: it may take as long as it needs, and must not stand still. */
  watchStream(request: IncomingMessage, response: ServerResponse): void {
    if (!hasBody(request)) return
    const { socket } = request
    const { streamSilenceMs } = this.#limits
    const why = `nothing came of the body for ${streamSilenceMs} ms (streamSilenceMs)`
    let seen = socket.bytesRead
    const look = () => {
      const isSilent = socket.bytesRead === seen
      seen = socket.bytesRead
      // What its reader leaves lying holds up the client, who is not to blame.
      const isHeldUp = request.readableLength >= request.readableHighWaterMark
      if (isSilent && !isHeldUp) cut(request, response, why)
    }
    this.#set(request, setInterval(look, streamSilenceMs))
  }

  #set(request: IncomingMessage, timer: NodeJS.Timeout): void {
    clearTimeout(this.#timers.get(request))
    this.#timers.set(request, timer.unref())
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function cut(request: IncomingMessage, response: ServerResponse, why: string): void {
  const { socket } = request
  if (request.complete || socket.destroyed) return
  // An answer that has begun, or an earlier one that is still being sent, must not get this in between.
  if (response.headersSent || response.socket === null) socket.destroy()
  else refuseOnSocket(socket, 408, errorRecord('deadline', why))
}
