/**
 * The disk of a simulated node: the memory store on the clock of its process, with the latency of a
 * disk and its failures. Decides: when a flush takes long, and which transactions meet a full or
 * broken disk. Says on disk what is on disk: the records of a shard's tail, once flushed.
 */
import { MemoryStore, type MemoryStoreOptions } from '../../src/adapters/memory/index.ts'
import type {
  Clock,
  Store,
  StoreRange,
  StoreRow,
  StoreSnapshot,
  StoreTransaction,
} from '../../src/ports/index.ts'
import { slotOfTailKey, TABLE } from '../../src/shard/keys.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface DiskRates {
  flushMs: number
  slowChance: number
  slowMs: number
  fullChance: number
  brokenChance: number
}

/** What the store waits for a flush; it takes as long as the disk takes. */
export const FLUSH_MS = 1

/** Flushes take time, other waits are what they are. */
export class DiskClock implements Clock {
  readonly #clock: Clock
  readonly #random: SimRandom
  readonly #rates: DiskRates

  constructor(clock: Clock, random: SimRandom, rates: DiskRates) {
    this.#clock = clock
    this.#random = random
    this.#rates = rates
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(delayMs: number, call: () => void): () => void {
    if (delayMs !== FLUSH_MS) return this.#clock.after(delayMs, call)
    const { flushMs, slowChance, slowMs } = this.#rates
    const slow = this.#random.chance(slowChance) ? this.#random.exponential(slowMs) : 0
    return this.#clock.after(this.#random.fraction() * flushMs + slow, call)
  }

  defer(call: () => void): void {
    this.#clock.defer(call)
  }
}

export interface DiskOptions {
  random: SimRandom
  rates: DiskRates
  /** A record of a tail is on disk. */
  flushed: (shard: number, slot: number) => void
}

/** What the disk of a node is to those who look at it or break it. */
export interface SimDisk extends Store {
  readonly inner: MemoryStore
}

export class SimStore implements SimDisk {
  readonly inner: MemoryStore
  readonly #options: DiskOptions

  /** @param before what the disk holds: what was flushed of it is there */
  constructor(process: ProcessClock, options: DiskOptions, before?: SimStore) {
    const clock = new DiskClock(process, options.random, options.rates)
    const how: MemoryStoreOptions = { clock, flushDelayMs: FLUSH_MS }
    this.inner = before ? before.inner.crash(how) : new MemoryStore(how)
    this.#options = options
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.inner.get(key)
  }

  range(options: StoreRange): Iterable<StoreRow> {
    return this.inner.range(options)
  }

  count(from: Uint8Array, to: Uint8Array): number {
    return this.inner.count(from, to)
  }

  snapshot(): StoreSnapshot {
    return this.inner.snapshot()
  }

  write(transaction: StoreTransaction): void {
    const { random, rates, flushed } = this.#options
    if (random.chance(rates.fullChance)) this.inner.failNext('full')
    if (random.chance(rates.brokenChance)) this.inner.failNextFlush()
    const rows = transaction.writes.filter(([key, value]) => key[2] === TABLE.tail && value)
    if (rows.length === 0) return this.inner.write(transaction)
    this.inner.write({
      ...transaction,
      flushed: () => {
        for (const [key] of rows) flushed(((key[0] ?? 0) << 8) | (key[1] ?? 0), slotOfTailKey(key))
        transaction.flushed?.()
      },
    })
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
