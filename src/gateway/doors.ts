/**
 * The addresses of a gateway and who is let in at each. Decides: what may be listened on, what errors call
 * a setting, and what the log says of an address that is open. Leaves to others: what is served there.
 */
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  type ListenerConfig,
  nearest,
  type TlsConfig,
  TroupeError,
  type UserConfig,
} from '../protocol/index.ts'
import { Admission, isOwnLoopback, requireSafeListener } from './access.ts'
import type { ClaimedRoute } from './app-claims.ts'
import { Certificate } from './certificates.ts'
import { Networks } from './networks.ts'
import { readUsers, Users } from './users.ts'

export interface DoorOptions {
  /** Default 127.0.0.1; without users only addresses of this machine are taken. */
  host?: string
  /** Default 9800; 0 takes a free one. */
  port?: number
  /** Who may come in, by bearer tokens. Default: nobody in particular, from this machine only. */
  users?: readonly UserConfig[]
  /** The certificate of the main address. Default: it speaks plain HTTP. */
  tls?: TlsConfig
  /** Networks of proxies whose `X-Forwarded-For` counts, at every address. Default: none. */
  trustedProxies?: readonly string[]
  /** Further addresses, each for the routes of one app. Default: none. */
  listeners?: readonly ListenerConfig[]
}

/** An address to listen on, and who is let in there. */
export interface Door {
  /** What errors call it. */
  place: string
  host: string
  port: number
  admission: Admission
  certificate?: Certificate
  /** Whose routes stand there; undefined for everything. */
  app?: string
}

interface Doors {
  users: Users
  proxies: Networks
  /** The main one first. */
  doors: Door[]
}

/**
 * For whoever wants to know before a node is started.
 * @throws TroupeError `invalid-config` for an address that strangers could reach, a wrong user or file
 */
export async function checkListeners(options: DoorOptions): Promise<void> {
  await doorsOf(options)
}

export async function doorsOf(options: DoorOptions & { node?: TroupeNode }): Promise<Doors> {
  const { http } = DEFAULT_CONFIG
  const { host = http.host, port = http.port, listeners = [], trustedProxies = [] } = options
  const users = new Users(await readUsers(options.users))
  const proxies = new Networks(trustedProxies, 'http.trustedProxies')
  requireSafeListener('http', { host, users })
  const admission = new Admission({ users, host })
  const doors: Door[] = [
    { place: 'http', host, port, admission, ...(await certificateOf('http', options)) },
  ]
  for (const [index, listener] of listeners.entries()) {
    const { app, host = http.host, port, anonymous = [], anonymousRole, names = [] } = listener
    const place = `listeners.${index}`
    if (options.node) requireRoutes(app, options.node, `${place}.app`)
    const networks = new Networks(anonymous, `${place}.anonymous`)
    const admitted = { users, host, anonymous: networks, anonymousRole, names }
    requireSafeListener(place, admitted)
    const certificate = await certificateOf(place, listener)
    doors.push({ place, host, port, admission: new Admission(admitted), app, ...certificate })
  }
  return { users, proxies, doors }
}

async function certificateOf(
  place: string,
  { tls }: { tls?: TlsConfig },
): Promise<Pick<Door, 'certificate'>> {
  return tls === undefined ? {} : { certificate: await Certificate.open(`${place}.tls`, tls) }
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

export function announce({ place, host, app, certificate }: Door, url: string, log: Log): void {
  const facts = { url, ...(app === undefined ? {} : { app }), ...certificate?.facts }
  log.info(facts, 'the gateway listens')
  if (certificate || isOwnLoopback(host)) return
  const why = `this address speaks plain HTTP: configure ${place}.tls, or put a proxy with TLS in front of it`
  log.warn({ url, setting: place }, `${why}, or tokens can be read on their way`)
}

export function warnOfUnserved(
  routes: readonly ClaimedRoute[],
  doors: readonly Door[],
  log: Log,
): void {
  const served = new Set(doors.map(({ app }) => app))
  const unserved = routes.filter(({ app, route }) => route.listenerOnly && !served.has(app))
  for (const app of new Set(unserved.map((one) => one.app))) {
    const paths = unserved.filter((one) => one.app === app).map(({ route }) => route.path)
    log.warn({ app, paths }, 'these stand at a listener of the app only, and none is configured')
  }
}
