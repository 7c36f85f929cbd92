/**
 * Calls to a node over HTTP. Decides: how its answers become results or errors, and how "nobody is
 * there" is told from "it said no". The path goes out as it is written: an id may be `..`.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { VerbRequest, VerbResponse } from '../node/index.ts'
import {
  DEFAULT_CONFIG,
  type ErrorRecord,
  fromJson,
  parseAddress,
  TroupeError,
  toJson,
} from '../protocol/index.ts'
import { Unreachable, UsageError } from './exit-codes.ts'

interface NodeApiOptions {
  url: string
  /** How long the node may take; it is told, so that it gives up first. */
  timeoutMs: number | undefined
  author: string | undefined
  /** Says who the caller is, where users are configured. */
  token: string | undefined
  /** Who may have signed the node's certificate, as PEM; undefined: whom the system trusts. */
  ca: string | undefined
  signal: AbortSignal
}

const { host, port } = DEFAULT_CONFIG.http
export const URL_DEFAULT = `http://${host}:${port}`
/** An answer needs time to travel after the node has given up. */
const TRAVEL_MS = 2_000
const TIMEOUT_MS_DEFAULT = 40_000
/** Nothing has been sent. */
const NOBODY: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
])

/** What Node says of a certificate that it does not take. */
const UNTRUSTED = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/

export class NodeApi {
  readonly url: string
  readonly #options: NodeApiOptions

  /** @throws UsageError when the URL is none */
  constructor(options: NodeApiOptions) {
    this.#options = options
    this.url = normalUrl(options.url)
  }

  /** @throws TroupeError as the node answered @throws Unreachable */
  async call(request: VerbRequest): Promise<VerbResponse> {
    const incoming = await this.#send(request)
    return this.#answerOf(incoming)
  }

  /**
   * An answer that goes on, by its bytes as they come. It breaks off with an error when nothing comes
   * for `silentMsMax`. @throws TroupeError as the node answered @throws Unreachable
   */
  async stream(
    request: VerbRequest,
    headers: Readonly<Record<string, string>>,
    silentMsMax: number,
  ): Promise<AsyncIterable<Uint8Array>> {
    const incoming = await this.#send(request, { headers, silentMsMax })
    if ((incoming.statusCode ?? 0) < 400) return incoming
    await this.#answerOf(incoming)
    throw new Unreachable(`${this.url} answers ${incoming.statusCode}: is it a Troupe node?`)
  }

  async #answerOf(incoming: IncomingMessage): Promise<VerbResponse> {
    const text = await this.#textOf(incoming)
    const status = incoming.statusCode ?? 0
    const isJson = String(incoming.headers['content-type'] ?? '').includes('json')
    const body = isJson ? this.#jsonOf(text) : text
    if (status >= 400) {
      const record = (body as { error?: ErrorRecord } | null)?.error
      if (typeof record?.code === 'string') throw TroupeError.from(record)
      // An app may refuse in its own JSON; of a text nobody could tell whose it is.
      if (!isJson) throw new Unreachable(`${this.url} answers ${status}: is it a Troupe node?`)
    }
    return { status, body }
  }

  #jsonOf(text: string): unknown {
    try {
      return fromJson(text)
    } catch (cause) {
      throw new Unreachable(`what answers at ${this.url} is no Troupe node: its JSON is broken`, {
        cause,
      })
    }
  }

  #send(
    { method, path, query = {}, body }: VerbRequest,
    streamed?: { headers: Readonly<Record<string, string>>; silentMsMax: number },
  ): Promise<IncomingMessage> {
    const { timeoutMs, author, token, ca, signal } = this.#options
    const target = new URL(this.url)
    const headers: Record<string, string> = { accept: 'application/json', ...streamed?.headers }
    // Node writes headers as latin1; the gateway reads them as UTF-8.
    if (author !== undefined)
      headers['x-troupe-author'] = Buffer.from(author, 'utf8').toString('latin1')
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`
    if (timeoutMs !== undefined && !streamed) headers['x-troupe-timeout-ms'] = String(timeoutMs)
    // As bytes: Node writes headers in the encoding of a text that goes out with them.
    const payload = body === undefined ? undefined : Buffer.from(toJson(body))
    if (payload !== undefined) headers['content-type'] = 'application/json'
    const options = {
      method,
      hostname: target.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: target.port,
      path: `${target.pathname.replace(/\/$/, '')}${path}${queryOf(query)}`,
      headers,
      timeout: streamed?.silentMsMax ?? (timeoutMs ?? TIMEOUT_MS_DEFAULT) + TRAVEL_MS,
      signal,
      ...(ca === undefined ? {} : { ca }),
    }
    return new Promise((resolve, reject) => {
      const open = target.protocol === 'https:' ? httpsRequest : httpRequest
      const outgoing = open(options, resolve)
      outgoing.on('timeout', () => outgoing.destroy(noAnswer(this.url)))
      outgoing.on('error', (error) => reject(this.#explain(error)))
      outgoing.end(payload)
    })
  }

  async #textOf(incoming: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
    } catch (error) {
      throw this.#explain(error)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  #explain(error: unknown): unknown {
    if (error instanceof TroupeError) return error
    const { code } = error as NodeJS.ErrnoException
    if (code !== undefined && NOBODY.has(code)) {
      return new Unreachable(`no node answers at ${this.url}; start one with: troupe start`)
    }
    if (code !== undefined && UNTRUSTED.test(code)) {
      const { message } = error as Error
      return new Unreachable(
        `the certificate of ${this.url} is not trusted: ${message}; name who signed it with --ca FILE or TROUPE_CA`,
      )
    }
    if (code === 'EPROTO' && this.url.startsWith('https:')) {
      const plain = this.url.replace('https:', 'http:')
      return new Unreachable(`what answers at ${this.url} does not speak TLS: try ${plain}`)
    }
    if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'HPE_INVALID_CONSTANT')
      return noAnswer(this.url)
    return error
  }
}

function noAnswer(url: string): TroupeError {
  return new TroupeError(
    'no-answer',
    `the node at ${url} did not answer; look before you send it again${url.startsWith('http:') ? ' (if it speaks TLS: --http https://…)' : ''}`,
  )
}

function normalUrl(given: string): string {
  // `troupe start --http` takes a port alone as well.
  const [, ownPort] = /^:?(\d{1,5})$/.exec(given) ?? []
  const place = ownPort === undefined ? given : `${host}:${ownPort}`
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(place) ? place : `http://${place}`
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageError(`--http: "${given}" is not a URL such as ${URL_DEFAULT}`)
  }
  return url.replace(/\/$/, '')
}

function queryOf(query: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, value)
  return search.size > 0 ? `?${search}` : ''
}

/** `order/7/payment` as the gateway writes it in a path. @throws TroupeError `invalid-address` */
export function actorPath(address: string, verb = ''): string {
  const { machine, id, path } = parseAddress(address)
  const children = path.map((child) => `/children/${encodeURIComponent(child)}`).join('')
  const tail = verb === '' ? '' : `/${verb}`
  return `/troupe/v1/actors/${encodeURIComponent(machine)}/${encodeURIComponent(id)}${children}${tail}`
}
