/**
 * What workers in processes of their own ask. Decides: the paths, that the key is looked at before a
 * body is read, and the form: msgpack, so that inputs and results of tasks keep every type.
 *
 * Workers prove themselves by the key of their group (`Authorization: Bearer`): no role of the platform
 * lets anybody in here, and a key lets nobody in anywhere else.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PACKED_TYPE, pack, TroupeError, unpack } from '../protocol/index.ts'
import type { RemoteWorkers, WorkerAdmission } from '../worker/index.ts'
import { timeoutOf } from './exchange.ts'
import type { OpenRequests } from './open-requests.ts'

const ROOT = '/troupe/v1/worker/:group/:worker'
/** Proxies cut connections that are silent for longer. */
const POLL_MS = 25_000
const COMMANDS_MS_DEFAULT = 30_000
/** Results that many tasks bring at once. */
const COMMANDS_BYTES_MAX = 64 * 1024 * 1024
const BODY_BYTES_MAX = 4 * 1024 * 1024

/** The answer, packed; bytes are sent as they are. */
type Answer = (admission: WorkerAdmission, request: FastifyRequest, reply: FastifyReply) => unknown

/** @param scope one whose bodies arrive as bytes */
export function serveWorkerRoutes(
  scope: FastifyInstance,
  workers: RemoteWorkers,
  open: OpenRequests,
): void {
  const admissions = new WeakMap<FastifyRequest, WorkerAdmission>()
  const route = (name: string, bodyLimit: number, answer: Answer) =>
    scope.route({
      method: 'POST',
      url: `${ROOT}/${name}`,
      bodyLimit,
      onRequest: async (request) => {
        admissions.set(request, await workers.enter(claimOf(request)))
      },
      handler: async (request, reply) => {
        const admission = admissions.get(request)
        if (!admission) throw new TroupeError('unauthorized', 'the key was not looked at')
        const answered = await answer(admission, request, reply)
        const bytes = answered instanceof Uint8Array ? answered : pack(answered ?? null)
        return reply.type(PACKED_TYPE).header('cache-control', 'no-store').send(Buffer.from(bytes))
      },
    })
  route('poll', BODY_BYTES_MAX, (admission, request, reply) => {
    const entry = open.begin(reply.raw)
    // It may last, and must not keep a gateway that closes.
    entry.isStreaming = true
    return workers.poll(admission, unpack(bytesOf(request)), {
      timeoutMs: Math.min(POLL_MS, timeoutOf(request.headers) ?? POLL_MS),
      signal: entry.signal,
      confirm: () => workers.enter(claimOf(request)),
    })
  })
  route('tell', BODY_BYTES_MAX, (admission, request) =>
    workers.tell(admission, unpack(bytesOf(request))),
  )
  route('leave', BODY_BYTES_MAX, (admission, request) =>
    workers.leave(admission, unpack(bytesOf(request))),
  )
  route('report', BODY_BYTES_MAX, (admission, request) =>
    workers.report(admission, unpack(bytesOf(request))),
  )
  route('runs', BODY_BYTES_MAX, (admission, request) =>
    workers.bring(admission, unpack(bytesOf(request))),
  )
  route('commands', COMMANDS_BYTES_MAX, (admission, request) => {
    const timeoutMs = timeoutOf(request.headers) ?? COMMANDS_MS_DEFAULT
    return workers.execute(admission, bytesOf(request), timeoutMs)
  })
}

function claimOf(request: FastifyRequest): { group: string; worker: string; key: string } {
  const { group = '', worker = '' } = request.params as Record<string, string>
  const [, key = ''] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  return { group, worker, key }
}

function bytesOf({ body }: FastifyRequest): Uint8Array {
  if (body instanceof Uint8Array) return body
  throw new TroupeError('malformed', `the body is missing: workers send ${PACKED_TYPE}`)
}
