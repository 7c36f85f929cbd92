/**
 * HTTP routes that apps bring along. Decides: how a request reaches an app's code and how its answer
 * leaves. What it means is the app's business; `public` routes skip the roles of the platform, never the
 * guard against browsers, which stands in front of everything.
 */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AppRequest, AppResponse, AppRoute } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import { toJson } from '../protocol/index.ts'
import { type Admission, AUTHOR_UNKNOWN } from './access.ts'
import { listed, parseAppBody } from './app-bodies.ts'
import type { ClaimedRoute } from './app-claims.ts'
import { targetOf, timeoutOf } from './exchange.ts'
import type { OpenRequest, OpenRequests } from './open-requests.ts'
import { checked } from './parameters.ts'
import { withinTime } from './time-limit.ts'

const BODY_BYTES_MAX_DEFAULT = 1024 * 1024

export interface AppServing {
  open: OpenRequests
  admission: Admission
  log: Log
}

/** @param buffered a scope whose bodies arrive as bytes @param streamed one whose bodies are unread */
export function serveAppRoutes(
  claims: readonly ClaimedRoute[],
  buffered: FastifyInstance,
  streamed: FastifyInstance,
  { open, admission, log }: AppServing,
): void {
  const heads = new Set(
    claims.filter(({ route }) => route.method === 'HEAD').map(({ route }) => route.path),
  )
  for (const { app, route } of claims) {
    const scope = route.body === 'stream' ? streamed : buffered
    const answersHead = route.method === 'GET' && !heads.has(route.path)
    scope.route({
      method: answersHead ? ['GET', 'HEAD'] : route.method,
      url: route.path,
      bodyLimit: route.bodyBytesMax ?? BODY_BYTES_MAX_DEFAULT,
      // Before its body is read.
      onRequest: async (request) => void authorOf(route, request, admission),
      onResponse: async (request, reply) => noteChange(app, route, request, reply, admission, log),
      handler: (request, reply) =>
        answer(route, authorOf(route, request, admission), request, reply, { open, admission }),
    })
  }
}

async function answer(
  route: AppRoute,
  author: string,
  request: FastifyRequest,
  reply: FastifyReply,
  { open, admission }: Pick<AppServing, 'open' | 'admission'>,
): Promise<FastifyReply> {
  const timeoutMs = timeoutOf(request.headers)
  const { path, search } = targetOf(request)
  const entry = open.begin(reply.raw)
  const role = roleOf(route)
  if (role !== 'public') entry.isAllowed = () => admission.wouldAdmit(request, role)
  const appRequest: AppRequest = {
    method: request.method,
    path,
    params: request.params as Record<string, string>,
    query: search,
    headers: request.headers,
    body: checkedBody(route, request),
    remoteAddress: request.ip,
    author,
    signal: entry.signal,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  }
  const response = await handle(route, appRequest, entry)
  if (isStream(response.body)) entry.isStreaming = true
  return respond(request, reply, response)
}

/** The time of the caller ends where the answer begins: a stream may go on. */
async function handle(
  route: AppRoute,
  request: AppRequest,
  entry: OpenRequest,
): Promise<AppResponse> {
  const handling = route.handle(request)
  return withinTime(request.timeoutMs, handling, () => {
    entry.abort()
    // A stream that comes too late has nobody to end it.
    handling.then(({ body }) => body instanceof Readable && body.destroy()).catch(() => {})
  })
}

/** @throws TroupeError `unauthorized`, `forbidden` */
function authorOf(route: AppRoute, request: FastifyRequest, admission: Admission): string {
  const role = roleOf(route)
  return role === 'public' ? AUTHOR_UNKNOWN : admission.require(request, role).author
}

/** What an operator did. Clients of an app are the app's: with tokens of their own, and many. */
function noteChange(
  app: string,
  route: AppRoute,
  request: FastifyRequest,
  { statusCode }: FastifyReply,
  admission: Admission,
  log: Log,
): void {
  const role = roleOf(route)
  if (role === 'public' || role === 'read' || statusCode >= 400) return
  const { author } = admission.accessOf(request)
  const { path } = targetOf(request)
  const level = route.isFrequent ? 'debug' : 'info'
  log[level]({ app, method: request.method, path, author }, 'an app was asked for a change')
}

/** The role that a route asks for. */
export function roleOf({ method, role }: AppRoute): NonNullable<AppRoute['role']> {
  return role ?? (method === 'GET' || method === 'HEAD' ? 'read' : 'operate')
}

/** By the schemas of the route. @throws TroupeError `malformed` */
function checkedBody(route: AppRoute, request: FastifyRequest): unknown {
  const { query, body } = route.schemas ?? {}
  if (query) checked(query, listed(targetOf(request).search), 'malformed', 'parameter')
  const given = bodyOf(route, request)
  const isParsed = route.body === undefined || route.body === 'parsed'
  return body && isParsed ? checked(body, given, 'malformed', 'field') : given
}

function bodyOf(route: AppRoute, request: FastifyRequest): unknown {
  if (route.body === 'stream') return request.body ?? Readable.from([])
  const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array(0)
  if (route.body === 'raw') return bytes
  return parseAppBody(route, request.headers['content-type'], bytes)
}

function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  response: AppResponse,
): FastifyReply {
  setStatus(reply, response.status ?? 200)
  for (const [name, value] of Object.entries(response.headers ?? {})) reply.header(name, value)
  const { payload, type } = payloadOf(response.body)
  if (type !== undefined && !reply.hasHeader('content-type')) reply.header('content-type', type)
  if (request.method !== 'HEAD') return reply.send(payload)
  if (payload instanceof Readable) payload.destroy()
  else if (payload !== undefined) reply.header('content-length', Buffer.byteLength(payload))
  return reply.send()
}

/** The highest that the server's own check lets through; protocols of apps have numbers above it. */
const SERVER_STATUS_MAX = 599
/** A status is three digits. */
const STATUS_MAX = 999

/** @throws what the server throws of a status that is none */
function setStatus(reply: FastifyReply, status: number): void {
  const isAbove = Number.isInteger(status) && status > SERVER_STATUS_MAX && status <= STATUS_MAX
  if (isAbove) reply.raw.statusCode = status
  else reply.code(status)
}

function payloadOf(body: unknown): {
  payload: string | Buffer | Readable | undefined
  type?: string
} {
  if (body === undefined) return { payload: undefined }
  if (typeof body === 'string') return { payload: body, type: 'text/plain; charset=utf-8' }
  if (body instanceof Uint8Array) {
    const payload = Buffer.isBuffer(body)
      ? body
      : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    return { payload, type: 'application/octet-stream' }
  }
  if (body instanceof Readable) return { payload: body, type: 'application/octet-stream' }
  if (isStream(body)) return { payload: Readable.from(body), type: 'application/octet-stream' }
  return { payload: toJson(body), type: 'application/json; charset=utf-8' }
}

function isStream(body: unknown): body is AsyncIterable<unknown> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}
