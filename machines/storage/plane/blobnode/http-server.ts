/**
 * The door of a blobnode: HTTP of its own, since whole shards go through it. Decides: who may call, how
 * many connections there are and how long they may stand still, how a failure is answered. Leaves to
 * others: the calls (`calls.ts`).
 *
 * Whoever may call can delete shards. So a token is asked for wherever there is one, without one only
 * this machine can call, and what a browser sends for some page (it names an origin) is refused.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Log, TroupeError } from '../../../../src/index.ts'
import { refusal, refusalText, StorageRefusal, storageJson } from '../codes/index.ts'
import { Exchange, type HeldExchange } from './exchange.ts'
import { CALLS, type CallName, callNamed, type HeldCall } from './paths.ts'
import { isLoopback, type Place } from './places.ts'
import { PutConnection } from './put-connection.ts'

export interface BlobnodeCalls {
  /** Answers it. @throws StorageRefusal, TroupeError */
  call(name: CallName, exchange: Exchange): Promise<void>
  /** The same for one whose body came to be held. */
  held(name: HeldCall, exchange: HeldExchange): Promise<void>
  /** What this blobnode has and does. */
  stat(): Promise<unknown>
  /** The same for Prometheus. */
  metrics(): Promise<string>
  /** A call was refused, for counting. */
  refused(path: string, status: number): void
}

export interface HttpServerOptions extends Place {
  /** What callers have to know; undefined where only this machine can call. */
  token: string | undefined
  calls: BlobnodeCalls
  log: Log
}

/** Nodes and blobnodes of a large cluster, with some connections each. */
const CONNECTIONS_MAX = 4_096
/** Nobody needs longer for a few lines. */
const HEADERS_MS_MAX = 10_000
/** A connection on which nothing moves, in either direction, while a call is under way. */
const STILL_MS_MAX = 60_000
/** Of the largest shard over a slow line. */
const REQUEST_MS_MAX = 600_000
/** Longer than clients keep one: it is they who close, so that no call meets a connection that just went. */
const IDLE_MS_MAX = 120_000
/** What still runs then is cut by a stop. */
const STOP_MS_MAX = 20_000
const IDLE_LOOK_MS = 50

export class BlobnodeServer {
  readonly place: Place
  readonly #server: Server
  readonly #puts: ReadonlySet<PutConnection>

  /** @throws TroupeError `invalid-config` without a token on an address others reach, `unavailable` */
  static async listen(options: HttpServerOptions): Promise<BlobnodeServer> {
    const { host, port, token } = options
    if (token === undefined && !isLoopback(host)) {
      const why = `whoever can reach ${host} could delete shards: give --token-file, or listen on 127.0.0.1`
      throw new TroupeError('invalid-config', why)
    }
    const server = serverOf(options)
    const puts = takePuts(server, options)
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const why = `cannot listen on ${host}:${port}: ${cause.message}`
        reject(new TroupeError('unavailable', why, { cause }))
      })
      server.listen({ host, port }, resolve)
    })
    // Of a connection that could not be taken, as without descriptors: the others go on.
    server.on('error', (error) => options.log.warn({ error }, 'a connection was not taken'))
    return new BlobnodeServer(server, host, puts)
  }

  private constructor(server: Server, host: string, puts: ReadonlySet<PutConnection>) {
    this.#server = server
    this.#puts = puts
    this.place = { host, port: (server.address() as AddressInfo).port }
  }

  /** Takes nothing new, and resolves when what runs is answered. */
  async close(): Promise<void> {
    const server = this.#server
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const connection of [...this.#puts]) connection.end()
    // A connection is idle only once its answer has gone.
    const idle = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS)
    const cut = setTimeout(() => {
      server.closeAllConnections()
      for (const connection of [...this.#puts]) connection.cut()
    }, STOP_MS_MAX)
    await closed
    clearInterval(idle)
    clearTimeout(cut)
  }
}

function serverOf(options: HttpServerOptions): Server {
  const secret = secretOf(options)
  const limits = {
    headersTimeout: HEADERS_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    keepAliveTimeout: IDLE_MS_MAX,
    // A piece as large as those that are written to disk at a time.
    highWaterMark: PIECE_BYTES,
    noDelay: true,
  }
  const answered = (exchange: Exchange) =>
    answer(exchange, secret, options, () => route(exchange, options.calls))
  const server = createServer(limits, (request, response) => {
    void answered(new Exchange(request, response, false))
  })
  server.on('checkContinue', (request, response) => {
    void answered(new Exchange(request, response, true))
  })
  server.maxConnections = CONNECTIONS_MAX
  server.timeout = STILL_MS_MAX
  return server
}

const PIECE_BYTES = 65_536

/** Each connection begins as one of puts. @returns those that still are */
function takePuts(server: Server, options: HttpServerOptions): ReadonlySet<PutConnection> {
  const secret = secretOf(options)
  const connections = new Set<PutConnection>()
  const toNode = server.listeners('connection') as ((socket: Socket) => void)[]
  const deps = {
    answer: (call: HeldCall, exchange: HeldExchange) =>
      answer(exchange, secret, options, () => options.calls.held(call, exchange)),
    handOver: (socket: Socket) => {
      for (const listener of toNode) listener.call(server, socket)
    },
    onEnd: (connection: PutConnection) => void connections.delete(connection),
    ...{ firstMsMax: HEADERS_MS_MAX, idleMsMax: IDLE_MS_MAX },
    ...{ stillMsMax: STILL_MS_MAX, requestMsMax: REQUEST_MS_MAX },
  }
  server.removeAllListeners('connection')
  server.on('connection', (socket) => void connections.add(new PutConnection(socket, deps)))
  return connections
}

async function answer(
  exchange: HeldExchange,
  secret: Buffer | undefined,
  { calls, log }: HttpServerOptions,
  work: () => Promise<void>,
): Promise<void> {
  try {
    admit(exchange, secret)
    await work()
  } catch (thrown) {
    if (thrown instanceof StorageRefusal) calls.refused(exchange.path, thrown.status)
    exchange.fail(answerOf(thrown, exchange, log))
  }
}

async function route(exchange: Exchange, calls: BlobnodeCalls): Promise<void> {
  const { path, method } = exchange
  if (method === 'GET' && path === '/stat') return exchange.json(await calls.stat())
  if (method === 'GET' && path === '/metrics') {
    return exchange.text(200, 'text/plain; version=0.0.4; charset=utf-8', await calls.metrics())
  }
  const name = callNamed(path)
  if (name === undefined) {
    throw new TroupeError('not-found', `there is no call ${method} ${path.slice(0, 80)} here`)
  }
  const wanted = CALLS[name].method
  if (method !== wanted) throw refusal(600, `${name} is called with ${wanted}`)
  await calls.call(name, exchange)
}

/** @throws TroupeError `unauthorized`, `forbidden` */
function admit(exchange: HeldExchange, secret: Buffer | undefined): void {
  if (exchange.header('origin') !== undefined) {
    throw new TroupeError('forbidden', 'pages of a browser may not call this')
  }
  if (secret === undefined) return
  const [, given = ''] = /^Bearer (\S+)$/i.exec(exchange.header('authorization') ?? '') ?? []
  // In the same time for every wrong one.
  if (timingSafeEqual(hashOf(given), secret)) return
  const why = 'wanted is the header authorization: Bearer <token of this blobnode>'
  throw new TroupeError('unauthorized', why)
}

function secretOf({ token }: HttpServerOptions): Buffer | undefined {
  return token === undefined ? undefined : hashOf(token)
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

const STATUSES: Readonly<Partial<Record<TroupeError['code'], number>>> = {
  ...{ unauthorized: 401, forbidden: 403, 'not-found': 404, unavailable: 503 },
}

export interface Failure {
  status: number
  text: string
}

function answerOf(thrown: unknown, { method, path }: HeldExchange, log: Log): Failure {
  if (thrown instanceof StorageRefusal) return { status: thrown.status, text: refusalText(thrown) }
  const status = thrown instanceof TroupeError ? STATUSES[thrown.code] : undefined
  if (thrown instanceof TroupeError && status !== undefined) {
    const { message: error, code } = thrown
    return { status, text: storageJson({ error, code }) }
  }
  // What went wrong inside is nobody's business outside.
  log.error({ error: thrown, method, path }, 'a call of the blobnode failed')
  return {
    status: 603,
    text: refusalText(refusal(603, 'the blobnode failed at this; see its log')),
  }
}
