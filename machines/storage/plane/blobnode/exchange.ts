/**
 * One call as its handler sees it: the body that comes, the answer that goes. Decides: how bytes are taken
 * from and given to a socket without more of them in memory than the two sides are apart.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { refusal, type StorageRefusal, storageJson } from '../codes/index.ts'

/** What an answer of bytes says beside them. */
export interface BytesHead {
  status: 200 | 206
  length: number
  headers?: Readonly<Record<string, string>>
}

/** A call whose body is held whole, whichever way it comes. */
export interface HeldExchange {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  header(name: 'authorization' | 'origin' | 'content-length'): string | undefined
  /** Nobody waits for an answer any more. */
  isGone(): boolean
  /** Of exactly as many bytes as fit into `body`. @throws StorageRefusal 600 when it breaks off */
  whole(body: Buffer): Promise<Buffer>
  json(value: unknown, status?: number): void
  /** Instead of an answer, or in the middle of one: then it ends there. */
  fail(failure: { status: number; text: string }): void
}

export class Exchange implements HeldExchange {
  readonly path: string
  readonly query: URLSearchParams
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  /** The caller waits for a word before it sends its body (`Expect: 100-continue`). */
  #isHeldBack: boolean
  #hasBegun = false

  constructor(request: IncomingMessage, response: ServerResponse, isHeldBack: boolean) {
    this.#request = request
    this.#response = response
    this.#isHeldBack = isHeldBack
    const { path, query } = targetOf(request.url ?? '/')
    this.path = path
    this.query = query
  }

  get method(): string {
    return this.#request.method ?? ''
  }

  header(name: 'authorization' | 'origin' | 'range' | 'content-length'): string | undefined {
    return this.#request.headers[name]
  }

  readonly isGone = (): boolean => this.#response.destroyed

  whole(body: Buffer): Promise<Buffer> {
    this.#begin()
    const request = this.#request
    const size = body.length
    return new Promise((resolve, reject) => {
      let at = 0
      request.on('data', (piece: Buffer) => {
        at += piece.copy(body, at)
      })
      request.once('end', () => (at === size ? resolve(body) : reject(brokenOff(at, size))))
      request.once('error', () => reject(brokenOff(at, size)))
      request.once('close', () => {
        // Every request is closed; to make an error for each takes longer than to read its head.
        if (!request.readableEnded) reject(brokenOff(at, size))
      })
    })
  }

  /** In pieces; the sender is held up while one is worked on. */
  async *pieces(size: number): AsyncGenerator<Buffer, void, undefined> {
    this.#begin()
    let at = 0
    try {
      // Whoever stops reading has an answer to give on this connection.
      for await (const piece of this.#request.iterator({ destroyOnReturn: false })) {
        at += (piece as Buffer).byteLength
        yield piece as Buffer
      }
    } catch {
      // It broke off, or had come whole.
    }
    if (at !== size) throw brokenOff(at, size)
  }

  json(value: unknown, status = 200): void {
    this.text(status, 'application/json', storageJson(value))
  }

  text(status: number, type: string, text: string): void {
    if (this.isGone()) return
    this.#leaveBody()
    const body = Buffer.from(text)
    this.#response.writeHead(status, { 'content-type': type, 'content-length': body.byteLength })
    this.#response.end(body)
  }

  fail({ status, text }: { status: number; text: string }): void {
    if (this.#response.headersSent) this.#response.destroy()
    else this.text(status, 'application/json', text)
  }

  /** Resolves when nobody reads that memory any more: they are sent, or never will be. */
  bytes({ status, length, headers }: BytesHead, body: Buffer): Promise<void> {
    const response = this.#response
    // It would neither finish nor close again.
    if (this.isGone()) return Promise.resolve()
    this.#head({ status, length, ...(headers ? { headers } : {}) })
    return new Promise((resolve) => {
      response.once('close', resolve)
      response.end(body, () => resolve())
    })
  }

  /** What breaks off in the middle ends the connection: a short answer is never taken for a whole one. */
  async stream(head: BytesHead, pieces: AsyncIterable<Buffer>): Promise<void> {
    this.#head(head)
    await pipeline(pieces, this.#response)
  }

  #begin(): void {
    if (this.#isHeldBack) this.#response.writeContinue()
    this.#isHeldBack = false
    this.#hasBegun = true
  }

  #head({ status, length, headers = {} }: BytesHead): void {
    this.#response.writeHead(status, {
      'content-type': 'application/octet-stream',
      'content-length': length,
      ...headers,
    })
  }

  /**
   * Who was refused may still be sending. What is on its way is read, since a connection that is closed
   * before that takes the answer with it; only what is much, or was not asked for, is not waited for.
   */
  #leaveBody(): void {
    const request = this.#request
    if (request.complete) return
    const bytes = Number(request.headers['content-length'] ?? 0)
    const isLittle = bytes <= LEFT_BYTES_MAX && !this.#isHeldBack
    if (this.#hasBegun || isLittle) request.resume()
    else this.#response.setHeader('connection', 'close')
  }
}

const LEFT_BYTES_MAX = 8_388_608

/** What stands in the first line of a request. */
export function targetOf(target: string): { path: string; query: URLSearchParams } {
  const at = target.indexOf('?')
  if (at < 0) return { path: target, query: new URLSearchParams() }
  return { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) }
}

export function brokenOff(bytes: number, size: number): StorageRefusal {
  return refusal(600, `the body broke off after ${bytes} of ${size} bytes`)
}
