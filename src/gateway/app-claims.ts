/**
 * Who serves which address and method. Decides: that no two apps, and no app and the gateway, claim
 * the same one at the main address; it is an error at the start that names both.
 */
import type { AppMethod, AppRoute, RunningApp } from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'

export interface ClaimedRoute {
  app: string
  route: AppRoute
}

export interface ClaimedMethod {
  app: string
  method: AppMethod
}

/** Addresses of the gateway's own; apps stay out of everything below them. */
const OWN = ['/troupe', '/health', '/ready', '/metrics', '/rpc']

/** @throws TroupeError `invalid-config` */
export function claimRoutes(apps: readonly RunningApp[]): ClaimedRoute[] {
  const owners = new Map<string, string>()
  const claimed: ClaimedRoute[] = []
  for (const { app, context } of apps) {
    const ownShapes = new Set<string>()
    for (const route of app.routes?.(context) ?? []) {
      const { method, path, listenerOnly = false } = route
      const name = `the route ${method} ${path}`
      const shape = `${method} ${shapeOf(path)}`
      if (!path.startsWith('/'))
        throw refusal(`app ${app.name} claims ${name}`, 'a path begins with a slash')
      if (ownShapes.has(shape))
        throw refusal(`app ${app.name} claims ${name} twice`, 'change one of them')
      ownShapes.add(shape)
      if (!listenerOnly) claimAtMain(owners, shape, app.name, name)
      claimed.push({ app: app.name, route })
    }
  }
  return claimed
}

const ELSEWHERE = 'have it stand at listeners of its app only (listenerOnly)'

/** At an address of an app's own nobody else is in the way. */
function claimAtMain(owners: Map<string, string>, shape: string, app: string, name: string): void {
  const path = shape.slice(shape.indexOf('/'))
  const own = OWN.find((one) => path === one || path.startsWith(`${one}/`))
  if (own !== undefined) {
    throw refusal(`app ${app} claims ${name}`, `${own} belongs to the gateway; ${ELSEWHERE}`)
  }
  const owner = owners.get(shape)
  if (owner !== undefined) {
    throw refusal(
      `apps ${owner} and ${app} both claim ${name}`,
      `change one of them, or ${ELSEWHERE}`,
    )
  }
  owners.set(shape, app)
}

/** @throws TroupeError `invalid-config` */
export function claimMethods(apps: readonly RunningApp[]): Map<string, ClaimedMethod> {
  const claimed = new Map<string, ClaimedMethod>()
  for (const { app, context } of apps) {
    for (const method of app.methods?.(context) ?? []) {
      const owner = claimed.get(method.name)?.app
      const name = `the JSON-RPC method ${method.name}`
      const who =
        owner === app.name
          ? `app ${owner} claims ${name} twice`
          : `apps ${owner} and ${app.name} both claim ${name}`
      if (owner !== undefined) throw refusal(who, 'change one of them')
      claimed.set(method.name, { app: app.name, method })
    }
  }
  return claimed
}

function refusal(what: string, why: string): TroupeError {
  return new TroupeError('invalid-config', `${what}: ${why}`)
}

/** Two paths that differ only in the names of their parameters, or a last slash, are the same. */
function shapeOf(path: string): string {
  const plain = path.replace(/:[A-Za-z0-9_]+/g, ':')
  return plain.length > 1 ? plain.replace(/\/$/, '') : plain
}
