/**
 * Calls over kept connections. Decides: how "nobody is there" is told, and that a call which met a
 * connection that just went is sent once more on a fresh one: everything that goes this way may be done
 * twice. Leaves to others: what answers mean, and any further try.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { TroupeError } from '../../../../src/index.ts'
import { copyBytes } from '../erasure/index.ts'
import { BulkCalls } from './bulk-calls.ts'

export interface PeerRequest {
  method: 'GET' | 'POST'
  path: string
  headers?: Readonly<Record<string, string>>
  body?: readonly Uint8Array[]
  /** Its body (`up`) or its answer (`down`) is large, and the answer says how long it is. */
  bulk?: 'up' | 'down'
  /** Where the body of a 200 goes, if it is as long. */
  into?: Uint8Array
  /** Of its answer; more is taken for no answer. */
  answerBytesMax: number
  timeoutMs: number
  signal?: AbortSignal | undefined
}

export interface PeerAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: Buffer
  /** False: the connection broke off in the middle of the body, and `body` is what had come. */
  isWhole: boolean
}

export interface HttpPeersOptions {
  /** Who may have signed certificates, as PEM; undefined: whom the system trusts. */
  ca?: string | undefined
}

/** Shorter than servers keep them: then it is we who close one. */
const IDLE_MS = 30_000
/** To one peer. What is beyond waits for one of them. */
const SOCKETS_MAX = 256
const BULK_OPTIONS = { connectionsMax: SOCKETS_MAX, idleMs: IDLE_MS }
/** A larger body waits for the word that it is wanted: whoever refuses it is heard, and nothing is sent in vain. */
const ASKED_BYTES_MIN = 1_048_577
const ORIGINS_MAX = 4_096

interface Origin {
  url: URL
  isSecure: boolean
  hostname: string
}

export class HttpPeers {
  readonly #plain: HttpAgent
  readonly #secure: HttpsAgent
  /** Apart: after anything but a put, a connection goes the longer way at its other end (`put-connection.ts`). */
  readonly #bulk = { up: new BulkCalls(BULK_OPTIONS), down: new BulkCalls(BULK_OPTIONS) }
  readonly #ca: string | undefined
  readonly #origins = new Map<string, Origin>()

  constructor({ ca }: HttpPeersOptions = {}) {
    const options = { keepAlive: true, timeout: IDLE_MS, maxSockets: SOCKETS_MAX, noDelay: true }
    this.#ca = ca
    this.#plain = new HttpAgent(options)
    this.#secure = new HttpsAgent({ ...options, ...(ca === undefined ? {} : { ca }) })
  }

  /** @throws TroupeError `unavailable`: nobody there, or not in time; what `signal` was aborted with */
  async call(base: string, request: PeerRequest): Promise<PeerAnswer> {
    const origin = this.#originOf(base)
    request.signal?.throwIfAborted()
    const { headers = {}, bulk } = request
    if (bulk && !origin.isSecure)
      return this.#bulk[bulk].call(origin.url, origin.hostname, { ...request, headers })
    try {
      return await this.#send(origin, request, false)
    } catch (thrown) {
      if (!(thrown instanceof StaleConnection)) throw thrown
      return await this.#send(origin, request, true)
    }
  }

  close(): void {
    this.#plain.destroy()
    this.#secure.destroy()
    this.#bulk.up.close()
    this.#bulk.down.close()
  }

  #send(origin: Origin, request: PeerRequest, isFresh: boolean): Promise<PeerAnswer> {
    const { method, path, headers, body, timeoutMs, signal } = request
    const { url, isSecure, hostname } = origin
    const bytes = body?.reduce((sum, part) => sum + part.byteLength, 0)
    const isAsked = bytes !== undefined && bytes >= ASKED_BYTES_MIN
    const options = {
      ...{ method, hostname, port: url.port, path: `${url.pathname.replace(/\/$/, '')}${path}` },
      agent: isFresh ? (false as const) : isSecure ? this.#secure : this.#plain,
      headers: {
        ...headers,
        ...(bytes === undefined ? {} : { 'content-length': bytes }),
        ...(isAsked ? { expect: '100-continue' } : {}),
      },
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
    }
    return new Promise((resolve, reject) => {
      const outgoing = (isSecure ? httpsRequest : httpRequest)(options)
      const watch = new Watch(outgoing, url, timeoutMs, signal)
      outgoing.once('response', (incoming) => {
        const read = bodyOf(incoming, request, watch)
        read.then(resolve, reject).finally(() => {
          watch.end()
          // It was refused before its body was sent.
          if (!outgoing.writableEnded) outgoing.destroy()
        })
      })
      outgoing.on('error', (error) => {
        watch.end()
        reject(watch.cut ?? explained(error, outgoing, url))
      })
      const send = () => {
        for (const part of body?.slice(0, -1) ?? []) outgoing.write(part)
        outgoing.end(body?.at(-1))
      }
      if (isAsked) outgoing.once('continue', send)
      else send()
    })
  }

  #originOf(base: string): Origin {
    const known = this.#origins.get(base)
    if (known) return known
    if (!URL.canParse(base) || !/^https?:$/.test(new URL(base).protocol)) {
      throw new TroupeError('malformed', `"${base.slice(0, 80)}" is no URL such as http://10.0.0.7`)
    }
    const url = new URL(base)
    const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const origin = { url, isSecure: url.protocol === 'https:', hostname }
    if (this.#origins.size >= ORIGINS_MAX) this.#origins.clear()
    this.#origins.set(base, origin)
    return origin
  }
}

/** A kept connection that the other side had closed: nobody has heard what was sent. */
class StaleConnection extends Error {}

/** Ends a call when its time is over, or nobody wants it. */
class Watch {
  readonly place: string
  /** Why it was ended here; what its connection says of that is an echo. */
  cut: Error | undefined
  readonly #late: NodeJS.Timeout
  readonly #outgoing: ClientRequest
  readonly #signal: AbortSignal | undefined

  constructor(
    outgoing: ClientRequest,
    { origin }: URL,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.place = origin
    this.#outgoing = outgoing
    this.#signal = signal
    const why = `${origin} did not answer within ${timeoutMs} ms`
    this.#late = setTimeout(() => this.#end(new TroupeError('unavailable', why)), timeoutMs)
    signal?.addEventListener('abort', this.#onAbort)
  }

  end(): void {
    clearTimeout(this.#late)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#signal?.reason
    this.#end(reason instanceof Error ? reason : new Error(String(reason)))
  }

  #end(cut: Error): void {
    this.cut = cut
    this.#outgoing.destroy(cut)
  }
}

function bodyOf(
  incoming: IncomingMessage,
  { answerBytesMax: bytesMax, into }: PeerRequest,
  watch: Watch,
): Promise<PeerAnswer> {
  const { statusCode: status = 0, headers } = incoming
  const length = lengthOf(headers)
  return new Promise((resolve, reject) => {
    const tooLarge = () => {
      reject(new TroupeError('unavailable', `${watch.place} answers more than ${bytesMax} bytes`))
      incoming.destroy()
    }
    if (length !== undefined && length > bytesMax) return tooLarge()
    const pieces = new Pieces(length, status === 200 ? into : undefined)
    const told = (isWhole: boolean) => resolve({ status, headers, body: pieces.bytes(), isWhole })
    incoming.on('data', (piece: Buffer) => {
      pieces.add(piece)
      if (pieces.size > bytesMax) tooLarge()
    })
    incoming.once('end', () => told(incoming.complete))
    incoming.on('error', () => (watch.cut === undefined ? told(false) : reject(watch.cut)))
  })
}

function lengthOf(headers: IncomingMessage['headers']): number | undefined {
  const given = headers['content-length']
  return given !== undefined && /^\d{1,15}$/.test(given) ? Number(given) : undefined
}

/** A body as it comes: into one buffer where its length is known; in `into`, in the end, if it is as long. */
class Pieces {
  size = 0
  readonly #into: Buffer | undefined
  readonly #whole: Buffer | undefined
  readonly #pieces: Buffer[] = []

  constructor(length: number | undefined, into?: Uint8Array) {
    if (into) this.#into = Buffer.from(into.buffer, into.byteOffset, into.length)
    if (length === undefined) return
    this.#whole = this.#into?.length === length ? this.#into : Buffer.allocUnsafe(length)
  }

  add(piece: Buffer): void {
    if (this.#whole === undefined) this.#pieces.push(piece)
    else piece.copy(this.#whole, this.size)
    this.size += piece.byteLength
  }

  bytes(): Buffer {
    if (this.#whole) return this.#whole.subarray(0, this.size)
    const body = Buffer.concat(this.#pieces)
    if (this.#into?.length !== body.length) return body
    copyBytes(this.#into, 0, body)
    return this.#into
  }
}

function explained(error: Error, outgoing: ClientRequest, { origin }: URL): Error {
  const { code = error.message } = error as NodeJS.ErrnoException
  const isCut = code === 'ECONNRESET' || code === 'EPIPE'
  if (isCut && outgoing.reusedSocket) return new StaleConnection(error.message)
  return new TroupeError('unavailable', `nobody answers at ${origin} (${code})`, { cause: error })
}
