/**
 * The routes of the platform itself: the API below `/troupe/v1/`, JSON-RPC, health and metrics.
 * Decides: what stands where and which role it asks for at least.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import type { JsonSchema, Role } from '../protocol/index.ts'
import type { Admission } from './access.ts'
import { readActorPath } from './actor-paths.ts'
import { answerActor, type Reply } from './actor-routes.ts'
import type { ClaimedMethod } from './app-claims.ts'
import { giveUpNode, ORDERS, orderCluster } from './cluster-routes.ts'
import { type Exchange, exchangeOf, jsonBodyOf, targetOf, timeoutOf } from './exchange.ts'
import { LISTS, ROOT } from './generic-paths.ts'
import { showMachine } from './machine-routes.ts'
import type { Metrics } from './metrics.ts'
import { readQuery } from './parameters.ts'
import { sendJson } from './replies.ts'
import { answerRpc, parseFailure } from './rpc.ts'
import { wrongMethod } from './served.ts'
import { withinTime } from './time-limit.ts'
import type { Watches } from './watch-routes.ts'

const ACTORS_DEPTH = `${ROOT}/actors`.split('/').length

export interface Platform {
  node: TroupeNode
  log: Log
  admission: Admission
  metrics: Metrics
  methods: ReadonlyMap<string, ClaimedMethod>
  watches: Watches
  /** The document of the whole interface. */
  openApi: JsonSchema
}

/** @param scope one whose bodies arrive as bytes */
export function servePlatform(scope: FastifyInstance, platform: Platform): void {
  serveLists(scope, platform)
  serveGiveUp(scope, platform)
  serveOrders(scope, platform)
  serveActors(scope, platform)
  serveWatch(scope, platform)
  serveRpc(scope, platform)
  serveHealth(scope, platform.node)
  serveMetrics(scope, platform)
}

function serveLists(scope: FastifyInstance, platform: Platform): void {
  const { node, openApi } = platform
  for (const { path, ask } of LISTS) {
    serveJson(scope, platform, ['GET', 'HEAD'], path, async (exchange) => ({
      status: 200,
      body: await ask(node, exchange),
    }))
  }
  serveJson(scope, platform, ['GET', 'HEAD'], '/openapi.json', async ({ search }) => {
    readQuery(search, {})
    return { status: 200, body: openApi }
  })
  serveJson(
    scope,
    platform,
    ['GET', 'HEAD'],
    '/machines/:name',
    async (exchange, { name = '' }) => ({
      status: 200,
      body: await showMachine(node, name, exchange),
    }),
  )
}

/** What it gives up cannot be had back, so it takes an administrator. */
function serveGiveUp(scope: FastifyInstance, platform: Platform): void {
  const answer = async (exchange: Exchange) => ({
    status: 200,
    body: await giveUpNode(platform.node, exchange),
  })
  serveJson(scope, platform, ['POST'], '/cluster/give-up', answer, 'admin')
}

/** Where shards are is nothing that users of actors decide. */
function serveOrders(scope: FastifyInstance, platform: Platform): void {
  for (const name of Object.keys(ORDERS)) {
    const answer = async (exchange: Exchange) => ({
      status: 200,
      body: await orderCluster(platform.node, name, exchange),
    })
    serveJson(scope, platform, ['POST'], `/cluster/${name}`, answer, 'admin')
  }
}

function serveActors(scope: FastifyInstance, platform: Platform): void {
  const methods: Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
  // The raw path is read, not the router's parameters: each part is decoded once, by itself. It is
  // cut by its slashes, because the router also knows `%61ctors`.
  const { node, watches, log } = platform
  serveJson(scope, platform, methods, '/actors/*', async (exchange, _params, request, reply) => {
    const rest = exchange.path.split('/').slice(ACTORS_DEPTH).join('/')
    const path = readActorPath(rest, node.limits)
    if (path.verb === 'watch') {
      if (request.method !== 'GET') throw wrongMethod(request.method, ['GET'])
      await watches.actor(request, reply, exchange, path.address)
      return undefined
    }
    const answer = await answerActor(node, path, exchange, log)
    return answer.status === 201
      ? { ...answer, headers: { ...answer.headers, location: exchange.path } }
      : answer
  })
}

function serveWatch(scope: FastifyInstance, platform: Platform): void {
  serveJson(scope, platform, ['GET'], '/watch', async (exchange, _params, request, reply) => {
    await platform.watches.list(request, reply, exchange)
    return undefined
  })
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

function serveJson(
  scope: FastifyInstance,
  { admission }: Platform,
  method: Method[],
  path: string,
  /** Resolves with nothing when it has answered by itself. */
  answer: (
    exchange: Exchange,
    params: Record<string, string>,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => Promise<Reply | undefined>,
  role: Role = 'read',
): void {
  const access = (request: FastifyRequest) => admission.require(request, role)
  scope.route({
    method,
    url: `${ROOT}${path}`,
    // Before its body is read.
    onRequest: async (request) => void access(request),
    handler: async (request, reply) => {
      const exchange = exchangeOf(request, access(request))
      const params = request.params as Record<string, string>
      const answered = await answer(exchange, params, request, reply)
      if (!answered) return reply
      const { status, body, headers } = answered
      return sendJson(reply.code(status).headers({ ...headers }), body)
    },
  })
}

/** Each method asks for its own role; who may not even look is not heard. */
function serveRpc(scope: FastifyInstance, { admission, methods, log }: Platform): void {
  scope.route({
    method: 'POST',
    url: '/rpc',
    onRequest: async (request) => void admission.require(request, 'read'),
    handler: async (request, reply) => {
      const access = admission.accessOf(request)
      const timeoutMs = timeoutOf(request.headers)
      let body: unknown
      try {
        body = jsonBodyOf(request)
      } catch (thrown) {
        return sendJson(reply, parseFailure(thrown))
      }
      const report = (thrown: unknown) =>
        log.error({ err: thrown, request: request.id }, 'a method failed')
      const answering = answerRpc({ methods, access, requestId: request.id, report, log }, body)
      const answer = await withinTime(timeoutMs, answering, () => {})
      return answer === undefined ? reply.code(204).send() : sendJson(reply, answer)
    },
  })
}

/** For whoever watches over the process: it needs no token. */
function serveHealth(scope: FastifyInstance, node: TroupeNode): void {
  const noParameters = (request: FastifyRequest) => readQuery(targetOf(request).search, {})
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

function serveMetrics(scope: FastifyInstance, { admission, metrics }: Platform): void {
  scope.route({
    method: ['GET', 'HEAD'],
    url: '/metrics',
    handler: async (request, reply) => {
      admission.require(request, 'read')
      return reply.type(metrics.contentType).send(await metrics.text())
    },
  })
}
