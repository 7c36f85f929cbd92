/**
 * The HTTP server of a node. Decides: what stands where, what guards all of it, and how it closes.
 * It speaks to actors through the node's client only; whatever it refuses has changed nothing.
 */
import type { ServerOptions } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import { DEFAULT_CONFIG, TroupeError, toJson } from '../protocol/index.ts'
import { accessOf, requireLoopback, requireRole } from './access.ts'
import { answerActor, type Reply } from './actor-routes.ts'
import { claimMethods, claimRoutes } from './app-claims.ts'
import { serveAppRoutes } from './app-routes.ts'
import { type Exchange, exchangeOf, jsonBodyOf, targetOf, timeoutOf } from './exchange.ts'
import { type GatewayLimits, resolveGatewayLimits } from './limits.ts'
import { countActors, listActors, listAudit, listDeadLetters, listShards } from './list-routes.ts'
import { listMachines, showMachine } from './machine-routes.ts'
import { type Metrics, metricsOf } from './metrics.ts'
import { OpenRequests } from './open-requests.ts'
import { requireOwnOrigin } from './origins.ts'
import { readQuery } from './parameters.ts'
import { unreadableRefusal } from './raw-refusals.ts'
import { answerRpc, parseFailure } from './rpc.ts'
import { ServedRoutes } from './served.ts'
import { SlowBodies } from './slow-bodies.ts'
import { failureOf } from './statuses.ts'
import { withinTime } from './time-limit.ts'

export interface GatewayOptions {
  node: TroupeNode
  /** Default 127.0.0.1; only addresses of this machine are taken. */
  host?: string
  /** Default 9800; 0 takes a free one. */
  port?: number
  /** Default: the node's. */
  log?: Log
  /** How long requests under way may go on once it closes. Default 5 s. */
  graceMs?: number
  limits?: Partial<GatewayLimits>
}

export interface Gateway {
  readonly url: string
  readonly port: number
  /**
   * Stops listening, lets requests under way finish for `graceMs`, then cuts what is left. Safe to
   * call twice.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const ROOT = '/troupe/v1'
const ACTORS_DEPTH = `${ROOT}/actors`.split('/').length
const GRACE_MS_DEFAULT = 5_000

/** @throws TroupeError `invalid-config` naming the route, address or port that cannot be had */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { http } = DEFAULT_CONFIG
  const { node, host = http.host, port = http.port, log = node.log } = options
  requireLoopback(host)
  const limits = resolveGatewayLimits(options.limits)
  const open = new OpenRequests()
  const slow = new SlowBodies(limits)
  const served = new ServedRoutes()
  const closing = { now: false }
  const server = fastify({
    logger: false,
    bodyLimit: node.limits.payloadBytesMax,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: limits.idleMs,
    http: httpOptionsOf(limits),
    // Whatever fits the headers is judged by us, not by the router.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: limits.headerBytesMax },
    frameworkErrors: (error, request, reply) => {
      slow.watch(request.raw, reply.raw)
      return fail(error, request, reply, log)
    },
    clientErrorHandler: unreadableRefusal(limits),
  })
  server.setErrorHandler((thrown, request, reply) => fail(thrown, request, reply, log))
  server.setNotFoundHandler((request, reply) =>
    fail(served.refusalOf(request.method, targetOf(request).path), request, reply, log),
  )
  server.addHook('onRequest', async (request, reply) => {
    slow.watch(request.raw, reply.raw)
    requireOwnOrigin(request.headers)
    if (closing.now) throw new TroupeError('unavailable', 'the node is stopping')
  })
  served.follow(server)
  server.removeAllContentTypeParsers()
  // Whatever has no route has no body either.
  server.addContentTypeParser('*', (_request, stream, parsed) => {
    stream.resume()
    parsed(null)
  })
  try {
    await serveAll(server, node, log, open, slow)
    await listen(server, host, port)
  } catch (thrown) {
    await server.close()
    throw thrown
  }
  const bound = (server.server.address() as AddressInfo).port
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`
  log.info({ url }, 'the gateway listens')
  let closed: Promise<void> | undefined
  const close = async (graceMs = options.graceMs ?? GRACE_MS_DEFAULT) => {
    closing.now = true
    await closeAll(server, open, graceMs)
    log.info({ url }, 'the gateway is closed')
  }
  return {
    url,
    port: bound,
    close: ({ graceMs } = {}) => {
      closed ??= close(graceMs)
      return closed
    },
  }
}

/** Node looks for late headers by itself, every so often. */
function httpOptionsOf({ headerBytesMax, headersMs }: GatewayLimits): ServerOptions {
  return {
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersMs,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.ceil(headersMs / 4),
  }
}

async function serveAll(
  server: FastifyInstance,
  node: TroupeNode,
  log: Log,
  open: OpenRequests,
  slow: SlowBodies,
): Promise<void> {
  const routes = claimRoutes(node.apps)
  const methods = claimMethods(node.apps)
  const metrics = metricsOf(node, log)
  await server.register((scope, _options, done) => {
    takeBytes(scope)
    serveGeneric(scope, node)
    serveHealth(scope, node)
    serveMetrics(scope, metrics)
    scope.post('/rpc', async (request, reply) => {
      requireRole(accessOf(request.headers), 'operate')
      const timeoutMs = timeoutOf(request.headers)
      let body: unknown
      try {
        body = jsonBodyOf(request)
      } catch (thrown) {
        return sendJson(reply, parseFailure(thrown))
      }
      const report = (thrown: unknown) =>
        log.error({ err: thrown, request: request.id }, 'a method failed')
      const answering = answerRpc(methods, body, request.id, report)
      const answer = await withinTime(timeoutMs, answering, () => {})
      return answer === undefined ? reply.code(204).send() : sendJson(reply, answer)
    })
    done()
  })
  await server.register((buffered, _options, done) => {
    takeBytes(buffered)
    void buffered.register((streamed, _inner, innerDone) => {
      streamed.addHook('onRequest', async (request, reply) => {
        slow.watchStream(request.raw, reply.raw)
      })
      streamed.removeAllContentTypeParsers()
      streamed.addContentTypeParser('*', (_request, stream, parsed) => parsed(null, stream))
      serveAppRoutes(routes, buffered, streamed, open)
      innerDone()
    })
    done()
  })
}

/** Bodies arrive as bytes; what they mean is decided by who is asked. */
function takeBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, parsed) =>
    parsed(null, bytes),
  )
}

type Ask = (exchange: Exchange) => unknown

function serveGeneric(scope: FastifyInstance, node: TroupeNode): void {
  const reads: Record<string, Ask> = {
    '/actors': (exchange) => listActors(node, exchange),
    '/count': (exchange) => countActors(node, exchange),
    '/machines': (exchange) => listMachines(node, exchange),
    '/audit': (exchange) => listAudit(node, exchange),
    '/dead-letters': (exchange) => listDeadLetters(node, exchange),
    '/shards': (exchange) => listShards(node, exchange),
  }
  for (const [path, ask] of Object.entries(reads)) {
    serveJson(scope, ['GET', 'HEAD'], path, async (exchange) => ({
      status: 200,
      body: await ask(exchange),
    }))
  }
  serveJson(scope, ['GET', 'HEAD'], '/machines/:name', async (exchange, { name = '' }) => ({
    status: 200,
    body: await showMachine(node, name, exchange),
  }))
  // The raw path is read, not the router's parameters: each part is decoded once, by itself. It is
  // cut by its slashes, because the router also knows `%61ctors`.
  serveJson(
    scope,
    ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    '/actors/*',
    async (exchange) => {
      const rest = exchange.path.split('/').slice(ACTORS_DEPTH).join('/')
      const reply = await answerActor(node, rest, exchange)
      return reply.status === 201 ? { ...reply, headers: { location: exchange.path } } : reply
    },
  )
}

function serveJson(
  scope: FastifyInstance,
  method: ('GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[],
  path: string,
  answer: (exchange: Exchange, params: Record<string, string>) => Promise<Reply>,
): void {
  scope.route({
    method,
    url: `${ROOT}${path}`,
    handler: async (request, reply) => {
      const exchange = exchangeOf(request)
      requireRole(exchange.access, 'read')
      const { status, body, headers } = await answer(
        exchange,
        request.params as Record<string, string>,
      )
      return sendJson(reply.code(status).headers({ ...headers }), body)
    },
  })
}

function serveHealth(scope: FastifyInstance, node: TroupeNode): void {
  const noParameters = (request: FastifyRequest) => readQuery(exchangeOf(request).search, {})
  scope.route({
    method: ['GET', 'HEAD'],
    url: '/health',
    handler: (request, reply) => {
      noParameters(request)
      return sendJson(reply, { status: 'up', node: node.name, cluster: node.cluster })
    },
  })
  scope.route({
    method: ['GET', 'HEAD'],
    url: '/ready',
    handler: async (request, reply) => {
      noParameters(request)
      const { ready, reasons } = await node.ready()
      return sendJson(reply.code(ready ? 200 : 503), { ready, reasons })
    },
  })
}

function serveMetrics(scope: FastifyInstance, metrics: Metrics): void {
  scope.route({
    method: ['GET', 'HEAD'],
    url: '/metrics',
    handler: async (request, reply) => {
      requireRole(accessOf(request.headers), 'read')
      return reply.type(metrics.contentType).send(await metrics.text())
    },
  })
}

function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  const text = toJson(body ?? null)
  reply
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
  if (reply.request.method !== 'HEAD') return reply.send(text)
  return reply.header('content-length', Buffer.byteLength(text)).send()
}

function fail(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  const { status, headers, record, isFault } = failureOf(thrown, request.id)
  // Whoever hangs up in the middle of a request is no fault of ours.
  const isGone = request.raw.socket.destroyed && !request.raw.complete
  if (isFault && !isGone)
    log.error({ err: thrown, request: request.id, method: request.method }, 'a request failed')
  return sendJson(reply.code(status).headers(headers), { error: record })
}

async function listen(server: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await server.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why: Record<string, string> = {
      EADDRINUSE:
        'another program listens there: stop it, or choose another port (0 takes a free one)',
      EACCES: 'this user may not listen there: choose a port above 1023',
      EADDRNOTAVAIL: 'this machine has no such address',
    }
    throw new TroupeError(
      'invalid-config',
      `http: cannot listen on ${host}:${port}: ${why[code ?? ''] ?? (cause as Error).message}`,
      { cause },
    )
  }
}

async function closeAll(
  server: FastifyInstance,
  open: OpenRequests,
  graceMs: number,
): Promise<void> {
  open.abortStreams()
  const late = setTimeout(() => {
    open.abortAll()
    server.server.closeAllConnections()
  }, graceMs)
  try {
    await server.close()
  } finally {
    clearTimeout(late)
  }
}
