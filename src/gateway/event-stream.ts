/**
 * Server-sent events on one connection. Decides: their form, that a silent stream says that it lives,
 * and that a reader who does not keep up is cut: with the id of what it saw last it may come back.
 */
import type { ServerResponse } from 'node:http'
import { toJson } from '../protocol/index.ts'
import type { GatewayLimits } from './limits.ts'

export interface ServerSentEvent {
  event: string
  data: unknown
  /** Where to go on after it; without one the id of the event before stays. */
  id?: string
}

/** How soon a client that lost its stream should come back. */
const RETRY_MS = 1_000
/** Signs of life in a row that find the reader where it was before it is cut. */
const STALLED_BEATS_MAX = 4

export class EventStream {
  readonly #response: ServerResponse
  readonly #limits: GatewayLimits
  readonly #heartbeat: NodeJS.Timeout
  #mark: string | undefined
  #stalledBeats = 0

  constructor(response: ServerResponse, limits: GatewayLimits) {
    this.#response = response
    this.#limits = limits
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Nothing follows a stream: a node that stops need not wait for more.
      connection: 'close',
      // For nginx, which would keep events back until it has many.
      'x-accel-buffering': 'no',
    })
    response.write(`retry: ${RETRY_MS}\n\n`)
    this.#heartbeat = setInterval(() => this.#beat(), limits.watchHeartbeatMs)
    response.once('close', () => clearInterval(this.#heartbeat))
  }

  get isOpen(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded
  }

  send({ event, data, id }: ServerSentEvent): void {
    const lines = id === undefined ? '' : `id: ${id}\n`
    if (id !== undefined) this.#mark = undefined
    this.#write(`${lines}event: ${event}\ndata: ${toJson(data ?? null)}\n\n`)
  }

  /** Where to go on, when there was nothing to say: it goes out with the next sign of life. */
  mark(id: string): void {
    this.#mark = id
  }

  /** Resolves once the reader has taken what was sent, or is gone. */
  async drained(): Promise<void> {
    const response = this.#response
    if (!this.isOpen || !response.writableNeedDrain) return
    await new Promise<void>((resolve) => {
      const done = () => {
        response.off('drain', done)
        response.off('close', done)
        resolve()
      }
      response.once('drain', done)
      response.once('close', done)
    })
  }

  end(): void {
    if (this.isOpen) this.#response.end()
  }

  #beat(): void {
    // Nobody reads: it would hold its place for ever.
    this.#stalledBeats = this.#response.writableNeedDrain ? this.#stalledBeats + 1 : 0
    if (this.#stalledBeats >= STALLED_BEATS_MAX) this.#response.destroy()
    this.#write(this.#mark === undefined ? ':\n\n' : `:\nid: ${this.#mark}\n\n`)
    this.#mark = undefined
  }

  #write(text: string): void {
    if (!this.isOpen) return
    this.#response.write(text)
    // What lies in the buffers of the system is not seen here; it is bounded too.
    if (this.#response.writableLength > this.#limits.watchBufferBytesMax) this.#response.destroy()
  }
}
