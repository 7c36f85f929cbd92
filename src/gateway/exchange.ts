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
const TIMEOUT_HEADER = 'X-Troupe-Timeout-Ms'
const DURABILITIES: readonly Durability[] = ['flushed', 'journaled', 'flushed+journaled']

/** @throws TroupeError `malformed` for a header that cannot be used */
export function exchangeOf(request: FastifyRequest, access: Access): Exchange {
  const { path, search } = targetOf(request)
  return {
    method: request.method === 'HEAD' ? 'GET' : request.method,
    path: path.length > 1 ? path.replace(/\/$/, '') : path,
    search,
    access,
    options: headerOptionsOf(request.headers),
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

function headerOptionsOf(headers: FastifyRequest['headers']): CallOptions {
  return callOptionsOf(
    {
      id: headers['idempotency-key'],
      timeoutMs: headers['x-troupe-timeout-ms'],
      durability: headers['x-troupe-durability'],
    },
    { timeoutMs: TIMEOUT_HEADER, durability: 'X-Troupe-Durability' },
  )
}

/**
 * What shapes a command, whatever it was called where it came from.
 * @param names for errors
 * @throws TroupeError `malformed`
 */
export function callOptionsOf(
  { id, timeoutMs, durability }: Readonly<Record<string, unknown>>,
  names: { timeoutMs: string; durability: string } = {
    timeoutMs: 'timeoutMs',
    durability: 'durability',
  },
): CallOptions {
  const options: CallOptions = {}
  if (id !== undefined) {
    issuedAtOf(String(id))
    options.id = String(id)
  }
  if (timeoutMs !== undefined) options.timeoutMs = timeoutIn(timeoutMs, names.timeoutMs)
  if (durability !== undefined) {
    const known = DURABILITIES.find((one) => one === durability)
    if (!known) {
      const why = `${names.durability} must be one of: ${DURABILITIES.join(', ')}`
      throw new TroupeError('malformed', why)
    }
    options.durability = known
  }
  return options
}

/** How long the caller will wait, when it says so. @throws TroupeError `malformed` */
export function timeoutOf(headers: FastifyRequest['headers']): number | undefined {
  const timeout = headers['x-troupe-timeout-ms']
  return timeout === undefined ? undefined : timeoutIn(timeout, TIMEOUT_HEADER)
}

function timeoutIn(given: unknown, name: string): number {
  const timeoutMs = Number(given)
  if (/^\d{1,9}$/.test(String(given)) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MAX_MS) {
    return timeoutMs
  }
  throw new TroupeError('malformed', `${name} must be a whole number from 1 to ${TIMEOUT_MAX_MS}`)
}
