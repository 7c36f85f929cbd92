/**
 * The HTTP server of a node, and the same for whoever comes over the transport of a cluster. Decides: what
 * is served where, and how it closes. It speaks to actors through the node's client only; whatever it
 * refuses has changed nothing.
 */
import type { FastifyInstance } from 'fastify'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import type { UserConfig } from '../protocol/index.ts'
import { Admission } from './access.ts'
import { serveApi } from './api-requests.ts'
import { type ClaimedRoute, claimMethods, claimRoutes } from './app-claims.ts'
import { roleOf, serveAppRoutes } from './app-routes.ts'
import { Credentials } from './credentials.ts'
import { announce, type DoorOptions, doorsOf, warnOfUnserved } from './doors.ts'
import { servePlatform } from './generic-routes.ts'
import { type GatewayLimits, resolveGatewayLimits } from './limits.ts'
import { Listener, type ListenerOptions } from './listener.ts'
import { metricsOf } from './metrics.ts'
import { Networks } from './networks.ts'
import { openApiOf } from './openapi.ts'
import { serveSubjects } from './subject-requests.ts'
import { Users } from './users.ts'
import { Watches } from './watch-routes.ts'
import { serveWorkerRoutes } from './worker-routes.ts'

export interface GatewayOptions extends DoorOptions {
  node: TroupeNode
  /** Default: the node's. */
  log?: Log
  /** How long requests under way may go on once it closes. Default 5 s. */
  graceMs?: number
  limits?: Partial<GatewayLimits>
}

export interface Gateway {
  readonly url: string
  readonly port: number
  /** In the order of the options. */
  readonly listeners: readonly { app: string; url: string }[]
  /**
   * Takes these users from now on, and reads all files of tokens and certificates again; those are
   * looked at every few seconds anyway. @throws TroupeError `invalid-config`; those before stay
   */
  reload(users: readonly UserConfig[]): Promise<void>
  /**
   * Stops listening, lets requests under way finish for `graceMs`, then cuts what is left. Safe to
   * call twice.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const GRACE_MS_DEFAULT = 5_000

/** @throws TroupeError `invalid-config` naming the route, address, port, file or user that is wrong */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { node, log = node.log } = options
  const { users, proxies, doors } = await doorsOf(options)
  const routes = claimRoutes(node.apps)
  const limits = resolveGatewayLimits(options.limits)
  const bodyBytesMax = node.limits.payloadBytesMax
  const { fastify: framework } = await import('fastify')
  const open = doors.map((door) => ({
    door,
    listener: new Listener({ ...door, proxies, limits, bodyBytesMax, log, framework }),
  }))
  const closeAll = (graceMs: number) =>
    Promise.all(open.map(({ listener }) => listener.close(graceMs)))
  const [main] = open as [(typeof open)[0]]
  const { admission } = main.door
  const watches = new Watches({ node, log, limits, open: main.listener.open, admission })
  let requests: Awaited<ReturnType<typeof serveTransport>> | undefined
  try {
    for (const { door, listener } of open) {
      const { app } = door
      const own = routes.filter(({ app: owner, route }) =>
        app === undefined ? !route.listenerOnly : owner === app,
      )
      if (app === undefined) {
        await servePlatformOn(listener, node, admission, log, watches, own)
        await serveWorkers(listener, node)
      }
      await serveApps(listener, own, door.admission, log)
      await listener.listen()
    }
    // A node that has everything to itself has nobody else on its transport.
    if (node.membership) requests = await serveTransport(node, routes, limits, log, framework)
  } catch (thrown) {
    await closeAll(0)
    throw thrown
  }
  for (const { door, listener } of open) announce(door, listener.url, log)
  warnOfUnserved(routes, doors, log)
  const credentials = new Credentials({
    users,
    configured: options.users ?? [],
    certificates: doors.flatMap(({ certificate }) => certificate ?? []),
    everyMs: limits.credentialsMs,
    log,
    changed: () => {
      for (const { listener } of open) listener.open.abortRevoked()
    },
  })
  let closed: Promise<void> | undefined
  const close = async (graceMs = options.graceMs ?? GRACE_MS_DEFAULT) => {
    credentials.close()
    await Promise.all([closeAll(graceMs), requests?.close(graceMs)])
    watches.close()
    log.info({ url: main.listener.url }, 'the gateway is closed')
  }
  return {
    url: main.listener.url,
    port: main.listener.port,
    listeners: open.slice(1).map(({ door, listener }) => ({
      app: door.app ?? '',
      url: listener.url,
    })),
    reload: (configured) => credentials.reload(configured),
    close: ({ graceMs } = {}) => {
      closed ??= close(graceMs)
      return closed
    },
  }
}

/** What HTTP offers, for whoever reaches the transport: by its subjects, and by all routes of apps and platform. */
async function serveTransport(
  node: TroupeNode,
  routes: readonly ClaimedRoute[],
  limits: GatewayLimits,
  log: Log,
  framework: ListenerOptions['framework'],
): Promise<{ close(graceMs: number): Promise<void> }> {
  const admission = new Admission({ users: new Users(), host: 'localhost', isInner: true })
  const bodyBytesMax = node.limits.payloadBytesMax
  const proxies = new Networks([], 'transport')
  const inner = new Listener({
    ...{ place: 'transport', host: 'localhost', port: 0, admission, proxies },
    ...{ limits, bodyBytesMax, log, framework },
  })
  const watches = new Watches({ node, log, limits, open: inner.open, admission })
  // Those that everybody may call ask for keys that only HTTP carries.
  const own = routes.filter(({ route }) => !route.listenerOnly && roleOf(route) !== 'public')
  await servePlatformOn(inner, node, admission, log, watches, own)
  await serveApps(inner, own, admission, log)
  await inner.server.ready()
  const api = serveApi({ node, log, server: inner.server.server })
  const subjects = serveSubjects({ node, log })
  return {
    close: async (graceMs) => {
      inner.open.abortStreams()
      await Promise.all([subjects.close(), api.close(graceMs)])
      await inner.close(0)
      watches.close()
    },
  }
}

async function servePlatformOn(
  listener: Listener,
  node: TroupeNode,
  admission: Admission,
  log: Log,
  watches: Watches,
  routes: readonly ClaimedRoute[],
): Promise<void> {
  const methods = claimMethods(node.apps)
  const metrics = metricsOf(node, log)
  const openApi = openApiOf({ node, routes, methods, hasUsers: !admission.trustsAddressOf({}) })
  await listener.server.register((scope, _options, done) => {
    takeBytes(scope)
    servePlatform(scope, { node, log, admission, metrics, methods, watches, openApi })
    done()
  })
}

async function serveWorkers({ server, open }: Listener, { workers }: TroupeNode): Promise<void> {
  if (workers === undefined) return
  await server.register((scope, _options, done) => {
    takeBytes(scope)
    serveWorkerRoutes(scope, workers, open)
    done()
  })
}

async function serveApps(
  { server, slow, open }: Listener,
  routes: readonly ClaimedRoute[],
  admission: Admission,
  log: Log,
): Promise<void> {
  await server.register((buffered, _options, done) => {
    takeBytes(buffered)
    void buffered.register((streamed, _inner, innerDone) => {
      streamed.addHook('onRequest', async (request, reply) => {
        slow.watchStream(request.raw, reply.raw)
      })
      streamed.removeAllContentTypeParsers()
      streamed.addContentTypeParser('*', (_request, stream, parsed) => parsed(null, stream))
      serveAppRoutes(routes, buffered, streamed, { open, admission, log })
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
