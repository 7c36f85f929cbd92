/**
 * Appends to a chunk's file. Decides: that what waits while a write is under way goes to the disk in one batch
 * with one flush, and is acknowledged when all of it is there (group commit); that a record is judged
 * when its turn has come, against all that is on the disk by then, so that no two of one shard cross;
 * that a batch which does not fit the disk leaves nothing behind, and the small among its records get another
 * chance alone. Leaves to others: what the records mean (`chunk.ts`).
 */
import type { Clock } from '../../../../src/index.ts'
import type { ChunkFile } from './chunk-file.ts'
import type { DiskHealth } from './disk-health.ts'
import {
  type ChunkRecord,
  encodeBare,
  encodeHead,
  encodeTail,
  endOf,
  NO_TABLE,
  nextAt,
  placed,
  type RecordBody,
  tailAt,
} from './record.ts'

/**
 * What a batch may hold. The whole of it is acknowledged late when it is large; but chunks that are moved come
 * in pieces of 16 MiB, and with three of them at a time a disk took 360, 480 and 770 MB/s in batches of 8, 16
 * and 32 MiB.
 */
const BATCH_BYTES_MAX = 33_554_432
const BATCH_RECORDS_MAX = 256
/** A file that rests for so long says so itself: a crash after that leaves no doubt about its last batch. */
const REST_MS = 1_000

export interface Append {
  record: RecordBody
  /** The bytes of a shard. */
  data?: readonly Uint8Array[]
  table?: Buffer
  /** @param at where it would go @throws StorageRefusal when it may not be done */
  check(at: number): void
  /** It is on the disk. */
  apply(record: ChunkRecord): void
}

interface Waiting {
  append: Append
  resolve: (record: ChunkRecord) => void
  reject: (thrown: unknown) => void
}

/** Whoever asked for the log alone is told that it has it. */
type Turn = () => Promise<void>

interface Placed {
  waiting: Waiting
  record: ChunkRecord
}

export interface ChunkLogDeps {
  health: DiskHealth
  clock: Clock
}

export class ChunkLog {
  readonly #health: DiskHealth
  readonly #clock: Clock
  #file: ChunkFile
  #tail: number
  /** Where a `flushed` record stands, behind all others. */
  #restsAt: number | undefined
  #queue: (Waiting | Turn)[] = []
  /** So many of those that wait are written one by one. */
  #singly = 0
  #isRunning = false
  #isClosed = false
  #cancelRest = () => {}

  constructor(file: ChunkFile, tail: number, { health, clock }: ChunkLogDeps) {
    this.#file = file
    this.#tail = tail
    this.#health = health
    this.#clock = clock
  }

  get file(): ChunkFile {
    return this.#file
  }

  /** Where the next batch goes. */
  get tail(): number {
    return this.#tail
  }

  append(append: Append): Promise<ChunkRecord> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ append, resolve, reject })
    })
  }

  /** Nothing is written from its turn on until the result is called. */
  pause(): Promise<() => void> {
    return new Promise((resolveTurn) => {
      this.#enqueue(() => new Promise<void>((resume) => resolveTurn(resume)))
    })
  }

  /** Within a pause only. */
  moveTo(file: ChunkFile, tail: number): void {
    this.#file = file
    this.#tail = tail
    this.#restsAt = undefined
  }

  /** What was asked for is done first. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelRest()
    const resume = await this.pause()
    await this.#rest()
    resume()
  }

  #enqueue(next: Waiting | Turn): void {
    this.#queue.push(next)
    this.#cancelRest()
    if (this.#isRunning) return
    this.#isRunning = true
    // What is asked for in the same turn goes along.
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    for (;;) {
      const [next] = this.#queue
      if (next === undefined) break
      if (typeof next === 'function') {
        this.#queue.shift()
        await next()
        continue
      }
      const batch = this.#takeBatch()
      if (batch.length > 0) await this.#write(batch)
    }
    this.#isRunning = false
    if (this.#isClosed || this.#restsAt === this.#tail) return
    this.#cancelRest = this.#clock.after(REST_MS, () => {
      void this.pause().then((resume) => this.#rest().then(resume))
    })
  }

  #takeBatch(): Placed[] {
    const batch: Placed[] = []
    const bids = new Set<bigint>()
    let at = this.#tail
    while (batch.length < BATCH_RECORDS_MAX && at - this.#tail < BATCH_BYTES_MAX) {
      const next = this.#queue[0]
      if (next === undefined || typeof next === 'function') break
      const { append, reject } = next
      const isAlone = append.record.kind === 'stretch' || this.#singly > 0
      if (bids.has(append.record.bid) || (isAlone && batch.length > 0)) break
      this.#queue.shift()
      this.#singly = Math.max(0, this.#singly - 1)
      try {
        this.#health.check()
        append.check(at)
      } catch (thrown) {
        reject(thrown)
        continue
      }
      const record = placed(append.record, at, this.#tail)
      batch.push({ waiting: next, record })
      if (append.record.bid !== 0n) bids.add(append.record.bid)
      at = endOf(record)
      if (isAlone) break
    }
    const last = batch.at(-1)
    if (last) last.record.isLast = true
    return batch
  }

  async #write(batch: readonly Placed[]): Promise<void> {
    try {
      await this.#store(batch)
    } catch (thrown) {
      await this.#undo(batch, thrown)
      return
    }
    this.#tail = nextAt(batch.at(-1)!.record)
    for (const { waiting, record } of batch) {
      waiting.append.apply(record)
      waiting.resolve(record)
    }
  }

  async #store(batch: readonly Placed[]): Promise<void> {
    const { salt } = this.#file.head
    const { disk } = this.#file
    const [{ record: first }] = batch as [Placed]
    if (first.kind === 'stretch') {
      await disk.write([encodeHead(first, salt)], first.at)
      await disk.write([encodeTail(first, salt, NO_TABLE)], tailAt(first))
      return
    }
    const buffers = batch.flatMap(({ waiting, record }) => {
      const { data = [], table = NO_TABLE } = waiting.append
      return [encodeHead(record, salt), ...data, encodeTail(record, salt, table)]
    })
    await disk.write(buffers, first.at)
  }

  /** Nobody finds a part of what was refused, not even after a crash. */
  async #undo(batch: readonly Placed[], thrown: unknown): Promise<void> {
    this.#health.refusalOf(thrown, 'cannot write')
    if (this.#health.broken === undefined) await this.#cut()
    if (this.#health.broken === undefined && batch.length > 1) {
      this.#singly = batch.length
      this.#queue.unshift(...batch.map(({ waiting }) => waiting))
      return
    }
    const why = this.#health.refusalOf(thrown, 'cannot write')
    for (const { waiting } of batch) waiting.reject(why)
  }

  async #cut(): Promise<void> {
    this.#restsAt = undefined
    try {
      await this.#file.disk.truncate(this.#tail)
      await this.#file.disk.sync()
    } catch (thrown) {
      this.#health.break(`what does not fit cannot be taken back: ${String(thrown)}`)
    }
  }

  /** Written where the next batch goes, so it takes no room. */
  async #rest(): Promise<void> {
    if (this.#restsAt === this.#tail || this.#health.broken !== undefined) return
    const { disk, head } = this.#file
    const body = { kind: 'flushed', bid: 0n, size: 0, crc: 0, isMarked: false } as const
    const record = { ...placed(body, this.#tail, this.#tail), isLast: true }
    try {
      await disk.write([encodeBare(record, head.salt)], this.#tail)
      this.#restsAt = this.#tail
    } catch (thrown) {
      this.#health.refusalOf(thrown, 'cannot write')
      if (this.#health.broken === undefined) await this.#cut()
    }
  }
}
