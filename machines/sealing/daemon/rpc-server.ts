/**
 * The worker's HTTP server: its JSON-RPC, and its metrics beside it. Decides: who may call, how large a
 * call may be. Leaves to others: the calls (`json-rpc.ts`).
 *
 * Whoever may call can abort sectors, so a token is asked for wherever there is one, and what a browser
 * sends for some page (it names an origin) is refused: a page that somebody on this machine looks at must
 * not reach threads through a port that is open to this machine only.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Log, TroupeError } from '../../../src/index.ts'
import { answerText } from './json-rpc.ts'
import type { Place } from './places.ts'
import type { WorkerHandlers } from './worker-api.ts'

/** As the main door of a node has it; calls are some hundred bytes. */
const BODY_BYTES_MAX = 1_048_576
/** Nobody needs longer for so little. */
const REQUEST_MS_MAX = 30_000
const PATHS: readonly string[] = ['/', '/rpc/v0']

export interface RpcServerOptions extends Place {
  /** What callers have to know; undefined where this machine only can call. */
  token: string | undefined
  handlers: WorkerHandlers
  log: Log
}

/** Listens until it is closed. */
export class Listening {
  readonly place: Place
  readonly #server: Server

  constructor(server: Server, host: string) {
    this.#server = server
    this.place = { host, port: (server.address() as AddressInfo).port }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }
}

/** @throws TroupeError `unavailable` when the port cannot be had */
export function serveRpc(options: RpcServerOptions): Promise<Listening> {
  const { token, handlers, log } = options
  return listen(options, async (request, response) => {
    const refusal = refusalOf(request, token)
    if (refusal !== undefined) {
      request.resume()
      return send(response, refusal.status, { error: refusal.why })
    }
    const text = await bodyOf(request)
    if (text === undefined) return send(response, 413, { error: 'a call has at most 1 MiB' })
    const answer = await answerText(text, handlers, log)
    return answer === undefined ? send(response, 204, undefined) : send(response, 200, answer)
  })
}

/** Prometheus reads it; nothing can be changed there. @throws TroupeError `unavailable` */
export function serveMetrics(place: Place, text: () => Promise<string>): Promise<Listening> {
  return listen(place, async (request, response) => {
    const isRead = request.method === 'GET' && pathOf(request) === '/metrics'
    if (!isRead) return send(response, 404, { error: 'there is GET /metrics here' })
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    response.end(await text())
  })
}

function listen(
  { host, port }: Place,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Listening> {
  const server = createServer({ requestTimeout: REQUEST_MS_MAX }, (request, response) => {
    handle(request, response).catch(() => {
      if (response.headersSent) response.destroy()
      else send(response, 500, { error: 'the worker failed at this' })
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const why = `cannot listen on ${host}:${port}: ${cause.message}`
      reject(new TroupeError('unavailable', why, { cause }))
    })
    server.listen({ host, port }, () => resolve(new Listening(server, host)))
  })
}

function refusalOf(
  request: IncomingMessage,
  token: string | undefined,
): { status: number; why: string } | undefined {
  if (!PATHS.includes(pathOf(request))) return { status: 404, why: 'calls go to / or /rpc/v0' }
  if (request.method !== 'POST') return { status: 405, why: 'calls are sent with POST' }
  if (request.headers.origin !== undefined) {
    return { status: 403, why: 'pages of a browser may not call this' }
  }
  if (token === undefined || isRight(request.headers.authorization, token)) return undefined
  return { status: 401, why: 'wanted is the header authorization: Bearer <token of this worker>' }
}

/** In the same time for every wrong one. */
function isRight(header: string | undefined, token: string): boolean {
  const [, given = ''] = /^Bearer (\S+)$/i.exec(header ?? '') ?? []
  return timingSafeEqual(hashOf(given), hashOf(token))
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '/'
}

/** Undefined when it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > BODY_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (body === undefined) {
    response.writeHead(status)
    response.end()
    return
  }
  // Who was refused may still be sending: that connection is of no further use.
  const more = status === 413 ? { connection: 'close' } : {}
  response.writeHead(status, { 'content-type': 'application/json', ...more })
  response.end(JSON.stringify(body))
}
