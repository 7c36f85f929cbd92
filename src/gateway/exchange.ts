/**
 * One request to the generic API, read as far as every route needs it. Decides: which headers shape
 * a command and how its parts are written.
 */
import type { FastifyRequest } from 'fastify'
import type { CallOptions } from '../client/index.ts'
import { type Durability, issuedAtOf, TroupeError } from '../protocol/index.ts'
import type { Access } from './access.ts'
import { readJson } from './json.ts'
import { HttpRefusal } from './statuses.ts'

export interface Exchange {
  method: string
  /** The raw path without the query and without a slash at its end. */
  path: string
  search: URLSearchParams
  access: Access
  options: CallOptions
  /** The JSON body; undefined when there is none. @throws TroupeError `malformed` */
  body(): unknown
}

const TIMEOUT_MAX_MS = 300_000
const DURABILITIES: readonly Durability[] = ['flushed', 'journaled', 'flushed+journaled']

/** @throws TroupeError `malformed` for a header that cannot be used */
export function exchangeOf(request: FastifyRequest, access: Access): Exchange {
  const { path, search } = targetOf(request)
  return {
    method: request.method === 'HEAD' ? 'GET' : request.method,
    path: path.length > 1 ? path.replace(/\/$/, '') : path,
    search,
    access,
    options: callOptionsOf(request.headers),
    body: () => jsonBodyOf(request),
  }
}

/** The raw path and the parameters. Proxies send whole URLs; what stands before the path is theirs. */
export function targetOf(request: FastifyRequest): { path: string; search: URLSearchParams } {
  const target = (request.raw.url ?? '/').replace(/^https?:\/\/[^/?]*/i, '')
  const [path = '', query = ''] = splitOnce(target, '?')
  return { path: path === '' ? '/' : path, search: new URLSearchParams(query) }
}

export function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)]
}

export function jsonBodyOf(request: FastifyRequest): unknown {
  const bytes = request.body
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) return undefined
  const type = String(request.headers['content-type'] ?? 'application/json').toLowerCase()
  const media = (splitOnce(type, ';')[0] ?? '').trim()
  if (media !== 'application/json' && !media.endsWith('+json')) {
    throw new HttpRefusal(
      415,
      'malformed',
      `the body is declared as ${media.slice(0, 60)}; this address takes JSON: send the header "content-type: application/json"`,
    )
  }
  return readJson(bytes)
}

function callOptionsOf(headers: FastifyRequest['headers']): CallOptions {
  const options: CallOptions = {}
  const id = headers['idempotency-key']
  if (id !== undefined) {
    issuedAtOf(String(id))
    options.id = String(id)
  }
  const timeoutMs = timeoutOf(headers)
  if (timeoutMs !== undefined) options.timeoutMs = timeoutMs
  const durability = headers['x-troupe-durability']
  if (durability !== undefined) {
    const known = DURABILITIES.find((one) => one === durability)
    if (!known) {
      throw new TroupeError(
        'malformed',
        `X-Troupe-Durability must be one of: ${DURABILITIES.join(', ')}`,
      )
    }
    options.durability = known
  }
  return options
}

/** How long the caller will wait, when it says so. @throws TroupeError `malformed` */
export function timeoutOf(headers: FastifyRequest['headers']): number | undefined {
  const timeout = headers['x-troupe-timeout-ms']
  if (timeout === undefined) return undefined
  const timeoutMs = Number(timeout)
  if (/^\d{1,9}$/.test(String(timeout)) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MAX_MS) {
    return timeoutMs
  }
  const why = `X-Troupe-Timeout-Ms must be a whole number from 1 to ${TIMEOUT_MAX_MS}`
  throw new TroupeError('malformed', why)
}
