/**
 * The HTTP server of a node. Decides: what is served where, and how it closes. It speaks to actors
 * through the node's client only; whatever it refuses has changed nothing.
 */
import type { FastifyInstance } from 'fastify'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  type ListenerConfig,
  nearest,
  TroupeError,
  type UserConfig,
} from '../protocol/index.ts'
import { Admission, isOwnLoopback, requireSafeListener } from './access.ts'
import { type ClaimedRoute, claimMethods, claimRoutes } from './app-claims.ts'
import { serveAppRoutes } from './app-routes.ts'
import { servePlatform } from './generic-routes.ts'
import { type GatewayLimits, resolveGatewayLimits } from './limits.ts'
import { Listener } from './listener.ts'
import { metricsOf } from './metrics.ts'
import { Networks } from './networks.ts'
import { openApiOf } from './openapi.ts'
import { Users } from './users.ts'
import { Watches } from './watch-routes.ts'
import { serveWorkerRoutes } from './worker-routes.ts'

export interface GatewayOptions {
  node: TroupeNode
  /** Default 127.0.0.1; without users only addresses of this machine are taken. */
  host?: string
  /** Default 9800; 0 takes a free one. */
  port?: number
  /** Who may come in, by bearer tokens. Default: nobody in particular, from this machine only. */
  users?: readonly UserConfig[]
  /** Further addresses, each for the routes of one app. Default: none. */
  listeners?: readonly ListenerConfig[]
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
   * Stops listening, lets requests under way finish for `graceMs`, then cuts what is left. Safe to
   * call twice.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const GRACE_MS_DEFAULT = 5_000

/** @throws TroupeError `invalid-config` naming the route, address, port or user that is wrong */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { node, log = node.log } = options
  const doors = doorsOf(options)
  const limits = resolveGatewayLimits(options.limits)
  const bodyBytesMax = node.limits.payloadBytesMax
  const open = doors.map((door) => ({
    door,
    listener: new Listener({ ...door, limits, bodyBytesMax, log }),
  }))
  const closeAll = (graceMs: number) =>
    Promise.all(open.map(({ listener }) => listener.close(graceMs)))
  const [main] = open as [(typeof open)[0]]
  const watches = new Watches({ node, log, limits, open: main.listener.open })
  try {
    const routes = claimRoutes(node.apps)
    for (const { door, listener } of open) {
      const { app, admission } = door
      if (app === undefined) await servePlatformOn(listener, node, admission, log, watches, routes)
      const own = app === undefined ? routes : routes.filter((one) => one.app === app)
      await serveApps(listener, own, admission, log)
      await listener.listen()
    }
  } catch (thrown) {
    await closeAll(0)
    throw thrown
  }
  for (const { door, listener } of open) announce(door, listener.url, log)
  let closed: Promise<void> | undefined
  const close = async (graceMs = options.graceMs ?? GRACE_MS_DEFAULT) => {
    await closeAll(graceMs)
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
    close: ({ graceMs } = {}) => {
      closed ??= close(graceMs)
      return closed
    },
  }
}

/** An address to listen on, and who is let in there. */
interface Door {
  /** What errors call it. */
  place: string
  host: string
  port: number
  admission: Admission
  /** Whose routes stand there; undefined for everything. */
  app?: string
}

type DoorOptions = Pick<GatewayOptions, 'host' | 'port' | 'users' | 'listeners'>

/**
 * For whoever wants to know before a node is started.
 * @throws TroupeError `invalid-config` for an address that strangers could reach, or a wrong user
 */
export function checkListeners(options: DoorOptions): void {
  doorsOf(options)
}

function doorsOf(options: DoorOptions & { node?: TroupeNode }): Door[] {
  const { http } = DEFAULT_CONFIG
  const users = new Users(options.users)
  const { host = http.host, port = http.port, listeners = [] } = options
  requireSafeListener('http', { host, users })
  const main = { place: 'http', host, port, admission: new Admission({ users, host }) }
  const others = listeners.map(({ app, host = http.host, port, anonymous, names }, index) => {
    const place = `listeners.${index}`
    if (options.node) requireRoutes(app, options.node, `${place}.app`)
    const networks = new Networks(anonymous ?? [], `${place}.anonymous`)
    const admitted = { users, host, anonymous: networks, ...(names ? { names } : {}) }
    requireSafeListener(place, admitted)
    return { place, host, port, admission: new Admission(admitted), app }
  })
  return [main, ...others]
}

/** @throws TroupeError `invalid-config` */
function requireRoutes(name: string, { apps }: TroupeNode, place: string): void {
  const having = apps.filter(({ app }) => app.routes !== undefined).map(({ app }) => app.name)
  if (having.includes(name)) return
  const near = nearest(name, having)
  const hint = near === undefined ? '' : `; did you mean "${near}"?`
  const known = having.join(', ') || 'none'
  const why = `there is no app "${name}" with routes${hint} (there are: ${known})`
  throw new TroupeError('invalid-config', `${place}: ${why}`)
}

function announce({ place, host, app }: Door, url: string, log: Log): void {
  log.info(app === undefined ? { url } : { url, app }, 'the gateway listens')
  if (isOwnLoopback(host)) return
  const why = 'this address speaks plain HTTP: put a proxy with TLS in front of it'
  log.warn({ url, setting: place }, `${why}, or tokens can be read on their way`)
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
  await serveWorkers(listener, node)
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
