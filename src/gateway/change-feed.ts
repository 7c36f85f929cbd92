/**
 * What changed lately: addresses of actors, numbered. Decides: how long a change is remembered, so that
 * a watcher that is slow, or lost its connection, goes on where it was; all watchers share one memory.
 *
 * Only the address is kept: who reads it looks at the actor as it is by then.
 */
import { randomBytes } from 'node:crypto'
import type { Client } from '../client/index.ts'
import type { GatewayLimits } from './limits.ts'

/** Addresses that changed, each once, and the number behind them. */
export interface Changes {
  addresses: readonly string[]
  next: number
}

type FeedLimits = Pick<GatewayLimits, 'watchBacklogMax' | 'watchLingerMs'>

/** Changes handed out at a time. */
const CHUNK_COUNT = 256

/** The changes of one machine's actors, or of all. */
export class ChangeFeed {
  /** Numbers begin anew with each feed; who brings one of another is told by this. */
  readonly id = randomBytes(6).toString('base64url')
  readonly #limits: FeedLimits
  readonly #stop = new AbortController()
  /** A ring: the change of number n lies at n modulo its size. */
  readonly #addresses: string[] = []
  readonly #waiting = new Set<() => void>()
  #next = 0

  constructor(client: Client, machine: string | undefined, limits: FeedLimits) {
    this.#limits = limits
    const target = machine === undefined ? 'all' : { machine }
    void this.#follow(client.watch(target, this.#stop.signal))
  }

  /** The number that the next change will have. */
  get next(): number {
    return this.#next
  }

  /** True when every change from that number on is remembered. */
  remembers(from: number): boolean {
    return from <= this.#next && from >= this.#next - this.#limits.watchBacklogMax
  }

  /** Waits for changes from that number on. @returns undefined when they are forgotten, or at the signal */
  async read(from: number, signal: AbortSignal): Promise<Changes | undefined> {
    while (from === this.#next && !signal.aborted) await this.#changed(signal)
    if (signal.aborted || !this.remembers(from)) return undefined
    const next = Math.min(this.#next, from + CHUNK_COUNT)
    const addresses = new Set<string>()
    for (let n = from; n < next; n++) {
      addresses.add(this.#addresses[n % this.#limits.watchBacklogMax] ?? '')
    }
    return { addresses: [...addresses], next }
  }

  close(): void {
    this.#stop.abort()
  }

  async #follow(events: ReturnType<Client['watch']>): Promise<void> {
    for await (const { kind, address } of events) {
      if (kind === 'emitted') continue
      this.#addresses[this.#next % this.#limits.watchBacklogMax] = address
      this.#next += 1
      for (const wake of [...this.#waiting]) wake()
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

/** The feeds that somebody reads, or has read lately. */
export class ChangeFeeds {
  readonly #client: Client
  readonly #limits: FeedLimits
  readonly #feeds = new Map<string, { feed: ChangeFeed; readers: number; end?: NodeJS.Timeout }>()

  constructor(client: Client, limits: FeedLimits) {
    this.#client = client
    this.#limits = limits
  }

  /** @param machine undefined for all @param signal says when it is no longer read */
  join(machine: string | undefined, signal: AbortSignal): ChangeFeed {
    const key = machine ?? ''
    let entry = this.#feeds.get(key)
    if (!entry) {
      entry = { feed: new ChangeFeed(this.#client, machine, this.#limits), readers: 0 }
      this.#feeds.set(key, entry)
    }
    clearTimeout(entry.end)
    entry.readers += 1
    if (signal.aborted) this.#leave(key)
    else signal.addEventListener('abort', () => this.#leave(key), { once: true })
    return entry.feed
  }

  close(): void {
    for (const { feed, end } of this.#feeds.values()) {
      clearTimeout(end)
      feed.close()
    }
    this.#feeds.clear()
  }

  /** Whoever comes back soon finds its place. */
  #leave(key: string): void {
    const entry = this.#feeds.get(key)
    if (!entry) return
    entry.readers -= 1
    if (entry.readers > 0) return
    const end = setTimeout(() => {
      entry.feed.close()
      this.#feeds.delete(key)
    }, this.#limits.watchLingerMs)
    entry.end = end.unref()
  }
}
