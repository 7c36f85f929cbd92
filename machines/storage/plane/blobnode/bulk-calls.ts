/**
 * Shards over plain HTTP. Decides: how many connections there are to one blobnode and how long they
 * are kept, that a request which met one that had just gone is sent once more on a fresh one, and when a
 * request has taken too long. Leaves to others: the bytes (`bulk-connection.ts`), TLS (`http-peers.ts`).
 */
import { validateHeaderValue } from 'node:http'
import { TroupeError } from '../../../../src/index.ts'
import {
  type BulkAnswer,
  type BulkCall,
  BulkConnection,
  NoAnswer,
  WrongAnswer,
} from './bulk-connection.ts'

export interface BulkRequest extends Omit<BulkCall, 'head'> {
  method: 'GET' | 'POST'
  path: string
  headers: Readonly<Record<string, string>>
  timeoutMs: number
  signal?: AbortSignal | undefined
}

export interface BulkCallsOptions {
  connectionsMax: number
  idleMs: number
}

interface PeerPlace {
  host: string
  port: number
}

/** To one blobnode. */
interface Peer {
  open: Set<BulkConnection>
  idle: BulkConnection[]
  /** Requests for which there is no connection; each looks again when one is free. */
  waiting: (() => void)[]
}

export class BulkCalls {
  readonly #options: BulkCallsOptions
  /** Those to whom there is a connection. */
  readonly #peers = new Map<string, Peer>()
  #isClosed = false

  constructor(options: BulkCallsOptions) {
    this.#options = options
  }

  /** @throws TroupeError `unavailable`: nobody there, or not in time; what `signal` was aborted with */
  call(url: URL, hostname: string, request: BulkRequest): Promise<BulkAnswer> {
    const { timeoutMs, signal } = request
    const work = new Work()
    const why = `${url.origin} did not answer within ${timeoutMs} ms`
    const late = setTimeout(() => work.end(new TroupeError('unavailable', why)), timeoutMs)
    const onAbort = () => {
      const reason: unknown = signal?.reason
      work.end(reason instanceof Error ? reason : new Error(String(reason)))
    }
    signal?.addEventListener('abort', onAbort)
    return this.#fetch(work, url, hostname, request).finally(() => {
      clearTimeout(late)
      signal?.removeEventListener('abort', onAbort)
    })
  }

  /** Cuts what is under way and refuses who waits. */
  close(): void {
    this.#isClosed = true
    for (const { open, waiting } of [...this.#peers.values()]) {
      for (const connection of [...open]) connection.cut(closed())
      for (const resolve of waiting.splice(0)) resolve()
    }
  }

  async #fetch(work: Work, url: URL, hostname: string, request: BulkRequest): Promise<BulkAnswer> {
    const head = headOf(url, request)
    const place = { host: hostname, port: Number(url.port || 80) }
    for (let isAgain = false; ; isAgain = true) {
      const { peer, connection } = await this.#connection(work, place, isAgain)
      const wasUsed = connection.isUsed
      try {
        if (work.ended) throw work.ended
        work.cut = (thrown) => connection.cut(thrown)
        const { body, answerBytesMax, into } = request
        return await connection.ask({ head, body, answerBytesMax, into })
      } catch (thrown) {
        if (thrown instanceof NoAnswer && wasUsed && !isAgain) continue
        throw explained(thrown, url)
      } finally {
        work.cut = undefined
        this.#leave(peer, connection)
      }
    }
  }

  async #connection(
    work: Work,
    place: PeerPlace,
    isFresh: boolean,
  ): Promise<{ peer: Peer; connection: BulkConnection }> {
    for (;;) {
      if (this.#isClosed) throw closed()
      const peer = this.#peerAt(place)
      const kept = isFresh ? undefined : peer.idle.pop()
      if (kept?.isOpen) return { peer, connection: kept }
      if (kept) continue
      if (isFresh || peer.open.size < this.#options.connectionsMax) {
        const connection = new BulkConnection(place, () => this.#gone(place, peer, connection))
        peer.open.add(connection)
        return { peer, connection }
      }
      await this.#freed(work, peer)
    }
  }

  /** @throws what the work was ended with */
  async #freed(work: Work, peer: Peer): Promise<void> {
    await new Promise<void>((resolve) => {
      work.cut = () => {
        peer.waiting = peer.waiting.filter((other) => other !== resolve)
        resolve()
      }
      peer.waiting.push(resolve)
    })
    if (work.ended === undefined) return
    // It may have been its turn.
    peer.waiting.shift()?.()
    throw work.ended
  }

  #leave(peer: Peer, connection: BulkConnection): void {
    if (!connection.isOpen) return
    connection.rest(this.#options.idleMs)
    peer.idle.push(connection)
    peer.waiting.shift()?.()
  }

  #gone(place: PeerPlace, peer: Peer, connection: BulkConnection): void {
    peer.open.delete(connection)
    peer.idle = peer.idle.filter((other) => other !== connection)
    const next = peer.waiting.shift()
    if (next) return next()
    // A disk that moves leaves an address behind.
    if (peer.open.size === 0) this.#peers.delete(keyOf(place))
  }

  #peerAt(place: PeerPlace): Peer {
    const key = keyOf(place)
    const known = this.#peers.get(key)
    if (known) return known
    const peer = { open: new Set<BulkConnection>(), idle: [], waiting: [] }
    this.#peers.set(key, peer)
    return peer
  }
}

function keyOf({ host, port }: PeerPlace): string {
  return `${host} ${port}`
}

function closed(): TroupeError {
  return new TroupeError('unavailable', 'the client of blobnodes is closed')
}

/** A request, wherever it is by now. */
class Work {
  ended: Error | undefined
  cut: ((thrown: Error) => void) | undefined

  end(thrown: Error): void {
    this.ended ??= thrown
    this.cut?.(thrown)
  }
}

function headOf({ host, pathname }: URL, { method, path, headers, body }: BulkRequest): string {
  const length = body?.reduce((sum, part) => sum + part.byteLength, 0)
  const all = {
    host,
    ...headers,
    ...(length === undefined ? {} : { 'content-length': `${length}` }),
  }
  const lines = Object.entries(all).map(([name, value]) => {
    validateHeaderValue(name, value)
    return `${name}: ${value}\r\n`
  })
  return `${method} ${pathname.replace(/\/$/, '')}${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

function explained(thrown: unknown, { origin }: URL): unknown {
  if (thrown instanceof NoAnswer) {
    const why = `nobody answers at ${origin} (${thrown.code})`
    return new TroupeError('unavailable', why, { cause: thrown })
  }
  if (thrown instanceof WrongAnswer)
    return new TroupeError(
      'unavailable',
      `what answers at ${origin} is no blobnode: ${thrown.message}`,
    )
  return thrown
}
