/**
 * What is served where, for requests that met nothing. Decides: whether the address is wrong or only
 * the method.
 */
import type { FastifyInstance } from 'fastify'
import { TroupeError } from '../protocol/index.ts'
import { HttpRefusal } from './statuses.ts'

export class ServedRoutes {
  readonly #routes: { method: string; pattern: RegExp }[] = []

  /** Takes note of every route that is added from now on. */
  follow(server: FastifyInstance): void {
    server.addHook('onRoute', ({ method, url }) => {
      const pattern = patternOf(url)
      for (const one of [method].flat()) this.#routes.push({ method: one, pattern })
    })
  }

  refusalOf(method: string, path: string): TroupeError {
    const allowed = this.#routes
      .filter(({ pattern }) => pattern.test(path))
      .map((route) => route.method)
    if (allowed.length > 0) return wrongMethod(method, [...new Set(allowed)])
    const hasApi = this.#routes.some(({ pattern }) => pattern.test('/troupe/v1/actors'))
    const hint = hasApi ? '; the API is below /troupe/v1/' : ''
    return new TroupeError('not-found', `there is nothing at ${path.slice(0, 200)}${hint}`)
  }
}

export function wrongMethod(method: string, allowed: readonly string[]): HttpRefusal {
  const list = allowed.join(', ')
  return new HttpRefusal(405, 'not-found', `${method} is not served here; ${list} is`, {
    allow: list,
  })
}

function patternOf(url: string): RegExp {
  const escaped = url.replace(/\/$/, '').replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replace(/:[A-Za-z0-9_]+/g, '[^/]+').replace(/\*/g, '.*')}/?$`)
}
