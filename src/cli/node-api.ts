/**
 * Calls to a node over HTTP. Decides: what goes into headers, and which failures of a connection mean that
 * nobody is there. The path goes out as it is written: an id may be `..`.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type {
  VerbBytes,
  VerbRequest,
  VerbResponse,
  VerbTransfer,
  VerbTransferred,
} from '../node/index.ts'
import { DEFAULT_CONFIG, TroupeError, toJson } from '../protocol/light.ts'
import { Unreachable, UsageError } from './exit-codes.ts'
import {
  answerOf,
  type NodeCaller,
  TIMEOUT_MS_DEFAULT,
  TRAVEL_MS,
  targetOf,
} from './node-answers.ts'

/** A request or an answer that takes as long as it flows. */
interface Streamed {
  headers: Readonly<Record<string, string>>
  silentMsMax: number
  body?: VerbBytes | undefined
}

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

export class NodeApi implements NodeCaller {
  readonly url: string
  readonly #options: NodeApiOptions

  /** @throws UsageError when the URL is none */
  constructor(options: NodeApiOptions) {
    this.#options = options
    this.url = normalUrl(options.url)
  }

  async call(request: VerbRequest): Promise<VerbResponse> {
    const incoming = await this.#send(request)
    return this.#answerOf(incoming)
  }

  async stream(
    request: VerbRequest,
    after: string | undefined,
    silentMsMax: number,
  ): Promise<AsyncIterable<Uint8Array>> {
    const headers = {
      accept: 'text/event-stream',
      ...(after === undefined ? {} : { 'last-event-id': after }),
    }
    const incoming = await this.#send(request, { headers, silentMsMax })
    await this.#requireSuccess(incoming)
    return incoming
  }

  async transfer(request: VerbTransfer): Promise<VerbTransferred> {
    const { headers = {}, body } = request
    const silentMsMax = (this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT) + TRAVEL_MS
    const incoming = await this.#send(request, { headers, silentMsMax, body })
    await this.#requireSuccess(incoming)
    const { statusCode: status = 0, headers: answered } = incoming
    return { status, headers: answered, bytes: this.#bytesOf(incoming) }
  }

  /** Each call has a connection of its own. */
  async close(): Promise<void> {}

  async #answerOf(incoming: IncomingMessage): Promise<VerbResponse> {
    const text = await this.#textOf(incoming)
    const type = String(incoming.headers['content-type'] ?? '')
    return answerOf(this.url, { status: incoming.statusCode ?? 0, type, text })
  }

  /** @throws TroupeError as the node answered @throws Unreachable */
  async #requireSuccess(incoming: IncomingMessage): Promise<void> {
    if ((incoming.statusCode ?? 0) < 400) return
    await this.#answerOf(incoming)
    throw new Unreachable(`${this.url} answers ${incoming.statusCode}: is it a Troupe node?`)
  }

  async *#bytesOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const chunk of incoming) yield chunk as Buffer
    } catch (error) {
      throw this.#explain(error)
    }
  }

  async #send(
    request: Omit<VerbRequest, 'body'> & { body?: unknown },
    streamed?: Streamed,
  ): Promise<IncomingMessage> {
    const { method } = request
    const body = streamed?.body ? undefined : request.body
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
    const { length } = streamed?.body ?? {}
    if (length !== undefined) headers['content-length'] = String(length)
    const options = {
      method,
      hostname: target.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: target.port,
      path: `${target.pathname.replace(/\/$/, '')}${targetOf(request)}`,
      headers,
      timeout: streamed?.silentMsMax ?? (timeoutMs ?? TIMEOUT_MS_DEFAULT) + TRAVEL_MS,
      signal,
      ...(ca === undefined ? {} : { ca }),
    }
    // TLS takes a while to load, and most nodes are called without.
    const open = target.protocol === 'https:' ? (await import('node:https')).request : httpRequest
    return new Promise((resolve, reject) => {
      const outgoing = open(options, resolve)
      outgoing.on('timeout', () => outgoing.destroy(noAnswer(this.url)))
      outgoing.on('error', (error) => reject(this.#explain(error)))
      if (streamed?.body) sendAll(outgoing, streamed.body).catch(reject)
      else outgoing.end(payload)
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

/** Until all is sent, or the node answers before: then it wants no more. @throws as the bytes cannot be read */
async function sendAll(outgoing: ClientRequest, { bytes }: VerbBytes): Promise<void> {
  let isAnswered = false
  outgoing.once('response', (incoming) => {
    isAnswered = true
    // Nothing else can be asked on a connection on which half a request lies.
    incoming.once('end', () => outgoing.writableFinished || outgoing.destroy())
  })
  // The headers: who is refused hears so before there is a byte to be sent.
  outgoing.write(Buffer.alloc(0))
  try {
    for await (const chunk of bytes) {
      if (isAnswered || outgoing.destroyed) return
      if (!outgoing.write(chunk)) await mayGoOn(outgoing)
    }
    outgoing.end()
  } catch (thrown) {
    outgoing.destroy()
    throw thrown
  }
}

function mayGoOn(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'response', 'close']
    const go = () => {
      for (const event of events) outgoing.off(event, go)
      resolve()
    }
    for (const event of events) outgoing.on(event, go)
  })
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
