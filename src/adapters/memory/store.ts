/**
 * The store in memory.
 *
 * Decides: the same two moments as a disk. Writes become visible in the next deferred call, all
 * that were called in one turn together, and flushed later; `crash` keeps only what was flushed.
 * A range is read in pages, each of them current: rows that stay are seen once, rows that come or
 * go meanwhile may or may not be. A snapshot keeps the rows of its moment by a list of its own.
 */
import {
  type Clock,
  SNAPSHOT_OPEN_MAX_MS,
  type Store,
  type StoreFailure,
  type StoreRange,
  type StoreRow,
  type StoreSnapshot,
  type StoreTransaction,
} from '../../ports/index.ts'
import { bytesOf, copyOf, textOf } from './bytes.ts'
import { MemorySnapshot } from './snapshot.ts'
import { SortedKeys } from './sorted-keys.ts'

const PAGE_ROWS = 64
const BROKEN: StoreFailure = { kind: 'broken', message: 'injected flush failure' }

export interface MemoryStoreOptions {
  clock: Clock
  /** From visible to flushed; in the next deferred call when absent. */
  flushDelayMs?: number
  /** Nothing is flushed until `flush` is called. */
  manualFlush?: boolean
  /** A snapshot is given up after this. */
  snapshotOpenMaxMs?: number
}

interface Waiting {
  transaction: StoreTransaction
  /** Copies: the caller may reuse its bytes. */
  writes: [key: string, value: Uint8Array | null][]
}

interface Unflushed {
  transaction: StoreTransaction
  /** What the rows were before, for `crash`. */
  before: [key: string, value: Uint8Array | undefined][]
  /** Nothing was written; told in its turn, after the outcomes of those before. */
  failure?: StoreFailure
}

export class MemoryStore implements Store {
  private readonly options: MemoryStoreOptions
  private rows = new Map<string, Uint8Array>()
  private readonly keys = new SortedKeys()
  private waiting: Waiting[] = []
  private unflushed: Unflushed[] = []
  private flushing = false
  private closed = false
  private readonly snapshots = new Set<MemorySnapshot>()
  private faults: StoreFailure['kind'][] = []
  private flushFails = false
  /** A flush has failed; as in LMDB, nothing works from then on. */
  private broken = false

  constructor(options: MemoryStoreOptions) {
    this.options = options
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.checkOpen()
    const value = this.rows.get(textOf(key))
    return value === undefined ? undefined : copyOf(value)
  }

  *range(options: StoreRange): Generator<StoreRow> {
    let from = textOf(options.from)
    let to = textOf(options.to)
    let left = options.limit ?? Number.POSITIVE_INFINITY
    while (from < to && left > 0) {
      this.checkOpen()
      const limit = Math.min(left, PAGE_ROWS)
      const page = options.reverse
        ? this.keys.last({ from, to }, limit)
        : this.keys.first({ from, to }, limit)
      const rows = page.map((key) => ({ key: bytesOf(key), value: copyOf(this.rows.get(key)!) }))
      yield* rows
      if (page.length < limit) return
      left -= page.length
      if (options.reverse) to = page.at(-1)!
      else from = `${page.at(-1)!}\0`
    }
  }

  count(from: Uint8Array, to: Uint8Array): number {
    this.checkOpen()
    return this.keys.count({ from: textOf(from), to: textOf(to) })
  }

  snapshot(): StoreSnapshot {
    this.checkOpen()
    const { clock, snapshotOpenMaxMs = SNAPSHOT_OPEN_MAX_MS } = this.options
    const snapshot: MemorySnapshot = new MemorySnapshot(this.rows, this.keys, () => {
      cancel()
      this.snapshots.delete(snapshot)
    })
    const cancel = clock.after(snapshotOpenMaxMs, () => snapshot.close())
    this.snapshots.add(snapshot)
    return snapshot
  }

  write(transaction: StoreTransaction): void {
    this.checkOpen()
    const writes = transaction.writes.map(([key, value]): Waiting['writes'][number] => {
      if (key.length === 0) throw new RangeError('a key of the store cannot be empty')
      return [textOf(key), value === null ? null : copyOf(value)]
    })
    if (this.waiting.push({ transaction, writes }) === 1) this.options.clock.defer(this.apply)
  }

  close(): Promise<void> {
    this.checkOpen()
    while (this.waiting.length > 0 || (this.unflushed.length > 0 && !this.broken)) {
      this.apply()
      this.flush()
    }
    this.end()
    return Promise.resolve()
  }

  /** Flushes what is visible now. */
  flush(): void {
    this.flushFirst(this.unflushed.length)
  }

  /** This store dies, as if its process had been killed; the new one holds what was flushed. */
  crash(options: Partial<MemoryStoreOptions> = {}): MemoryStore {
    const survivor = new MemoryStore({ ...this.options, ...options })
    survivor.rows = new Map(this.rows)
    for (const { before } of this.unflushed.toReversed()) {
      for (const [key, value] of before.toReversed()) {
        if (value === undefined) survivor.rows.delete(key)
        else survivor.rows.set(key, value)
      }
    }
    for (const key of survivor.rows.keys()) survivor.keys.add(key)
    this.end()
    this.waiting = []
    this.unflushed = []
    return survivor
  }

  /** The next transaction that would be applied fails so; nothing of it is written. */
  failNext(kind: StoreFailure['kind']): void {
    this.faults.push(kind)
  }

  /** The next flush fails: its transactions are told `failed`, stay visible, and are lost by `crash`. */
  failNextFlush(): void {
    this.flushFails = true
  }

  private readonly apply = (): void => {
    const batch = this.waiting
    this.waiting = []
    let next = 0
    try {
      while (next < batch.length && !this.closed) this.applyOne(batch[next++]!)
    } finally {
      // A callback that threw must not take the transactions behind it along.
      if (next < batch.length && !this.closed) {
        if (this.waiting.length === 0) this.options.clock.defer(this.apply)
        this.waiting = [...batch.slice(next), ...this.waiting]
      }
      this.startFlush()
    }
  }

  private applyOne({ transaction, writes }: Waiting): void {
    const failure = this.takeFailure(transaction)
    if (failure !== undefined) {
      if (this.unflushed.length === 0 || this.broken) transaction.failed(failure)
      else this.unflushed.push({ transaction, before: [], failure })
      return
    }
    const before: Unflushed['before'] = []
    for (const [key, value] of writes) {
      const old = this.rows.get(key)
      before.push([key, old])
      if (value === null) {
        if (old === undefined) continue
        this.rows.delete(key)
        this.keys.delete(key)
      } else {
        this.rows.set(key, value)
        if (old === undefined) this.keys.add(key)
      }
    }
    this.unflushed.push({ transaction, before })
    transaction.visible?.()
  }

  private takeFailure({ condition }: StoreTransaction): StoreFailure | undefined {
    if (this.broken) return BROKEN
    const kind = this.faults.shift()
    if (kind !== undefined) return { kind, message: 'injected' }
    if (condition === undefined) return undefined
    const value = this.rows.get(textOf(condition.key))
    if (value !== undefined && Buffer.compare(value, condition.equals) === 0) return undefined
    return { kind: 'fenced', message: 'the row of the condition has other bytes' }
  }

  private startFlush(): void {
    const { clock, flushDelayMs, manualFlush } = this.options
    if (manualFlush || this.flushing || this.broken || this.closed) return
    if (this.unflushed.length === 0) return
    this.flushing = true
    const count = this.unflushed.length
    const done = (): void => {
      this.flushing = false
      try {
        this.flushFirst(count)
      } finally {
        this.startFlush()
      }
    }
    if (flushDelayMs === undefined) clock.defer(done)
    else clock.after(flushDelayMs, done)
  }

  private flushFirst(count: number): void {
    if (count > 0 && this.flushFails) {
      this.flushFails = false
      this.breakDown(count)
    }
    if (this.broken) return
    for (let i = 0; i < count; i++) {
      // One by one, so that a crash inside a callback finds the rest unflushed.
      const entry = this.unflushed.shift()
      if (entry === undefined) return
      if (entry.failure === undefined) entry.transaction.flushed?.()
      else entry.transaction.failed(entry.failure)
    }
  }

  /** The rows stay visible; `crash` takes them back. */
  private breakDown(count: number): void {
    this.broken = true
    for (const { transaction, failure } of this.unflushed.slice(0, count)) {
      transaction.failed(failure ?? BROKEN)
    }
  }

  private end(): void {
    this.closed = true
    for (const snapshot of [...this.snapshots]) snapshot.close()
  }

  private checkOpen(): void {
    if (this.closed) throw new Error('the store is closed')
  }
}
