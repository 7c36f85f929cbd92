/**
 * How answers leave. Decides: the form of JSON and of failures, and which failures are ours.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../ports/index.ts'
import { toJson } from '../protocol/index.ts'
import { targetOf } from './exchange.ts'
import { failureOf } from './statuses.ts'

export function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  const text = toJson(body ?? null)
  reply
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
  if (reply.request.method !== 'HEAD') return reply.send(text)
  return reply.header('content-length', Buffer.byteLength(text)).send()
}

export function fail(
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
  if (status === 401 || status === 403) {
    const { method, ip: from } = request
    const { path } = targetOf(request)
    log.warn(
      { method, path: path.slice(0, 200), from, why: record.message },
      'a caller was refused',
    )
  }
  return sendJson(reply.code(status).headers(headers), { error: record })
}
