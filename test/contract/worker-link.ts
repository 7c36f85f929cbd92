/** A node's side for workers behind real HTTP, and links of workers to it. */
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import { HttpCaller, HttpLink } from '../../src/adapters/http/index.ts'
import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { SystemClock, SystemRandom } from '../../src/adapters/system/index.ts'
import { Client } from '../../src/client/index.ts'
import { OpenRequests } from '../../src/gateway/open-requests.ts'
import { failureOf } from '../../src/gateway/statuses.ts'
import { serveWorkerRoutes } from '../../src/gateway/worker-routes.ts'
import type { TaskQueue } from '../../src/ports/index.ts'
import { resolveLimits, subjectsOf, TroupeError, toJson } from '../../src/protocol/index.ts'
import { RemoteWorkers, UploadedRuns } from '../../src/worker/index.ts'
import { silentLog } from '../worker/process/real-time.ts'

export const KEY = 'the-key'

export interface LinkedNode {
  readonly workers: RemoteWorkers
  readonly transport: MemoryTransport
  readonly url: string
  link(worker?: string, instance?: string): HttpLink
  close(): Promise<void>
}

export async function linkedNode(
  taskQueue: Pick<TaskQueue, 'consume'>,
  queues: readonly string[],
): Promise<LinkedNode> {
  const clock = new SystemClock()
  const random = new SystemRandom()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  const limits = resolveLimits()
  const base = { clock, random, transport, subjects, limits }
  const registrar = {
    authenticate: async ({ key }: { key: string }) => {
      if (key !== KEY) throw new TroupeError('unauthorized', 'a wrong key')
      return { queues }
    },
    heard: async () => ({ admitted: true }),
  }
  const client = new Client({ ...base, shardCount: 1 })
  const workers = new RemoteWorkers({
    ...base,
    node: 'n1',
    cluster: 'test',
    registrar,
    client,
    taskQueue,
    log: silentLog,
    runs: new UploadedRuns({ directory: '/nonexistent', clock, log: silentLog }),
  })
  const server = fastify({ forceCloseConnections: true })
  const open = new OpenRequests()
  server.setErrorHandler((thrown, request, reply) => {
    const { status, record } = failureOf(thrown, request.id)
    return reply
      .code(status)
      .type('application/json')
      .send(toJson({ error: record }))
  })
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, parsed) =>
    parsed(null, bytes),
  )
  serveWorkerRoutes(server, workers, open)
  await server.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  const links: HttpLink[] = []
  return {
    workers,
    transport,
    url,
    link: (worker = 'w1', instance = worker) => {
      const caller = new HttpCaller({ url, group: '1', worker, key: () => KEY })
      const link = new HttpLink({ caller, instance, clock, random, log: silentLog })
      links.push(link)
      return link
    },
    close: async () => {
      await Promise.all(links.map((link) => link.close()))
      workers.stop()
      await server.close()
      transport.close()
    },
  }
}
