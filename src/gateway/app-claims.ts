/**
 * Who serves which address and method. Decides: that no two apps, and no app and the gateway, claim
 * the same one; it is an error at the start that names both.
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
    for (const route of app.routes?.(context) ?? []) {
      const name = `${route.method} ${route.path}`
      const shape = shapeOf(route.path)
      const own = OWN.find((path) => shape === path || shape.startsWith(`${path}/`))
      if (!route.path.startsWith('/') || own !== undefined) {
        const why =
          own === undefined ? 'a path begins with a slash' : `${own} belongs to the gateway`
        throw new TroupeError('invalid-config', `app ${app.name} claims the route ${name}: ${why}`)
      }
      claim(owners, `${route.method} ${shape}`, app.name, `the route ${name}`)
      claimed.push({ app: app.name, route })
    }
  }
  return claimed
}

/** @throws TroupeError `invalid-config` */
export function claimMethods(apps: readonly RunningApp[]): Map<string, ClaimedMethod> {
  const owners = new Map<string, string>()
  const claimed = new Map<string, ClaimedMethod>()
  for (const { app, context } of apps) {
    for (const method of app.methods?.(context) ?? []) {
      claim(owners, method.name, app.name, `the JSON-RPC method ${method.name}`)
      claimed.set(method.name, { app: app.name, method })
    }
  }
  return claimed
}

function claim(owners: Map<string, string>, key: string, app: string, what: string): void {
  const owner = owners.get(key)
  if (owner !== undefined) {
    const who =
      owner === app
        ? `app ${app} claims ${what} twice`
        : `apps ${owner} and ${app} both claim ${what}`
    throw new TroupeError('invalid-config', `${who}: change one of them`)
  }
  owners.set(key, app)
}

/** Two paths that differ only in the names of their parameters, or a last slash, are the same. */
function shapeOf(path: string): string {
  const plain = path.replace(/:[A-Za-z0-9_]+/g, ':')
  return plain.length > 1 ? plain.replace(/\/$/, '') : plain
}
