/**
 * Fills a chunk with shards of another one, on the blobnode that has the new chunk: so their bytes cross the
 * network once, or not at all, whoever asks for it. Decides: that what is there already is not copied again;
 * that many are read in one call and written with one flush; that a shard which its chunk does not give, or not in
 * time, is told, and keeps no other from its way; that what arrives is what the asker says was written, by its
 * checksum. Leaves to others: which shards, and what becomes of those that could not be had.
 */
import { type Clock, TroupeError } from '../../../../src/index.ts'
import { inParallel } from '../access/parallel.ts'
import { byteGroups } from '../byte-groups.ts'
import { refusal, StorageRefusal } from '../codes/index.ts'
import { pooledBytes } from '../erasure/index.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { DiskStore, ShardFailure } from './disk-store.ts'
import type { IoKind } from './io-kinds.ts'
import { bytesOf, type PutShard, putTogether, slicesOf } from './many-shards.ts'
import type { ServedDisk } from './served-disk.ts'

/** As the asker knows it. */
export type WantedShard = PutShard

/** One that was not copied. */
export interface CopyFailure {
  bid: bigint
  /** The chunk that it was to come from does not give it; else the new one does not take it. */
  isSource: boolean
  why: TroupeError
}

export interface CopyOrder {
  vuid: bigint
  shards: readonly WantedShard[]
  /**
   * Many, one behind the other in `target`, or none. @returns those that the other chunk does not give
   * @throws TroupeError as its blobnode answers; what the signal was aborted with
   */
  read: (
    wanted: readonly WantedShard[],
    target: Uint8Array,
    signal: AbortSignal,
  ) => Promise<readonly ShardFailure[]>
  io: IoKind
  isGone: () => boolean
  clock: Clock
  /** For the reads of all groups together. */
  readMsMax: number
  buffers: BufferPool
  /** Of what is held on its way; whoever asks may hold as much as it likes without. */
  held?: ByteBudget
}

/** Of one chunk, while nobody else waits for what is read: its disk reads ahead. */
const READS_AT_ONCE = 4
/** In one call. */
const READ_BYTES = 4_194_304
/** What is read before it is written, so that one flush takes all of it. */
const GROUP_BYTES = 16_777_216

/** Whoever asks waits so long: a disk that is busy with clients takes its time for 16 MiB. */
export const COPY_MS_MAX = 30_000

/** A third of what the asker waits: what was read by then can still be put, and its answer travel. */
export function readMsMaxOf(askerMs: number): number {
  return Math.ceil(askerMs / 3)
}

/** @throws StorageRefusal, TroupeError: the new chunk, or its disk */
export async function copyInto(disk: ServedDisk, order: CopyOrder): Promise<CopyFailure[]> {
  // Else a chunk that is slow to read would be taken for a new one that is slow to write.
  const late = new AbortController()
  const why = `it was not read within ${order.readMsMax} ms`
  const cancel = order.clock.after(order.readMsMax, () =>
    late.abort(new TroupeError('unavailable', why)),
  )
  const copy = new Copy(disk, order, late.signal)
  try {
    for (const group of cut(order.shards, GROUP_BYTES)) await copy.group(group)
    return copy.failed
  } finally {
    cancel()
  }
}

const cut = (shards: readonly WantedShard[], bytesMax: number) =>
  byteGroups(shards, { bytesOf: ({ size }) => size, bytesMax })

/** Some that are read together, and where they go. */
interface Batch {
  shards: WantedShard[]
  target: Buffer
}

class Copy {
  readonly failed: CopyFailure[] = []
  readonly #disk: ServedDisk
  readonly #order: CopyOrder
  readonly #signal: AbortSignal
  /** Who does not answer is not asked for each of them: that would take as long as they are many. */
  #away: TroupeError | undefined

  constructor(disk: ServedDisk, order: CopyOrder, signal: AbortSignal) {
    this.#disk = disk
    this.#order = order
    this.#signal = signal
  }

  /** What of it is not there yet. */
  async group(group: readonly WantedShard[]): Promise<void> {
    const { vuid, io, isGone, held, buffers } = this.#order
    const there = await bidsThere(this.#disk.store(), vuid, group)
    const shards = group.filter(({ bid }) => !there.has(bid))
    if (shards.length === 0) return
    if (this.#away) {
      this.failed.push(...unread(shards, this.#away))
      return
    }
    const giveBack = held?.take(pooledBytes(bytesOf(shards)))
    try {
      const memory = buffers.take(bytesOf(shards))
      const batches = batchesOf(shards, memory)
      await inParallel(batches, READS_AT_ONCE, (batch) => this.#read(batch))
      const read = batches.flatMap(({ shards: some, target }) => slicesOf(some, target))
      const place = { disk: this.#disk, vuid, io, isGone, isUnderWay: true }
      const failed = await putTogether(place, read)
      for (const { bid, why } of failed) this.failed.push({ bid, isSource: false, why })
      // What was given up may still be written to.
      if (this.#away === undefined) buffers.give(memory)
    } finally {
      giveBack?.()
    }
  }

  /** Leaves in it what could be had, one behind the other. */
  async #read(batch: Batch): Promise<void> {
    while (batch.shards.length > 0) {
      if (this.#order.isGone()) throw refusal(676, 'the caller has gone')
      const failures = await this.#readOnce(batch)
      if (failures.length === 0) return
      const bids = new Set(failures.map(({ bid }) => bid))
      this.failed.push(...failures)
      batch.shards = batch.shards.filter(({ bid }) => !bids.has(bid))
      batch.target = batch.target.subarray(0, bytesOf(batch.shards))
    }
  }

  async #readOnce({ shards, target }: Batch): Promise<CopyFailure[]> {
    const signal = this.#signal
    if (this.#away) return unread(shards, this.#away)
    try {
      signal.throwIfAborted()
      const failures = await this.#order.read(shards, target, signal)
      return failures.map(({ bid, why }) => ({ bid, isSource: true, why }))
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      if (!(thrown instanceof StorageRefusal)) this.#away = thrown
      return unread(shards, thrown)
    }
  }
}

function unread(shards: readonly WantedShard[], why: TroupeError): CopyFailure[] {
  return shards.map(({ bid }) => ({ bid, isSource: true, why }))
}

function batchesOf(shards: readonly WantedShard[], memory: Buffer): Batch[] {
  let at = 0
  return [...cut(shards, READ_BYTES)].map((some) => {
    const target = memory.subarray(at, at + bytesOf(some))
    at += target.length
    return { shards: some, target }
  })
}

async function bidsThere(
  store: DiskStore,
  vuid: bigint,
  wanted: readonly WantedShard[],
): Promise<ReadonlySet<bigint>> {
  const bids = wanted.map(({ bid }) => bid)
  const known = new Map((await store.findShards(vuid, bids)).map((shard) => [shard.bid, shard]))
  const there = wanted.filter(({ bid, size, crc }) => {
    const shard = known.get(bid)
    return shard?.flag === 1 && shard.size === size && shard.crc === crc
  })
  return new Set(there.map(({ bid }) => bid))
}
