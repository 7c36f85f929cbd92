/**
 * Chunks as a worker in this process calls them. Decides: that those on disks of its own are read and written
 * without a socket, under the same slots as all background traffic; that a disk which stands still keeps its
 * caller no longer than a far one would. Leaves to others: the calls of other blobnodes (`client.ts`).
 */
import { type Clock, TroupeError } from '../../../../src/index.ts'
import { refusal } from '../codes/index.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { BlobnodeClient, CallOptions, GetOptions, PutOptions, UnitPlace } from './client.ts'
import { type CopyFailure, copyInto, readMsMaxOf, type WantedShard } from './copy-shards.ts'
import type { ChunkStat, DiskStore, ShardFailure, ShardInfo, WantedBytes } from './disk-store.ts'
import { type PutShard, putTogether, slicesOf } from './many-shards.ts'
import type { ServedDisk } from './served-disk.ts'

export type FarChunks = Pick<
  BlobnodeClient,
  'statChunk' | 'listShards' | 'getShard' | 'putShard' | 'getShards' | 'putShards' | 'copyShards'
>

export interface NearChunksDeps {
  far: FarChunks
  /** Where others call this blobnode: by that its own disks are known in a mapping. */
  address: () => string
  disks: ReadonlyMap<number, ServedDisk>
  buffers: BufferPool
  clock: Clock
  /** For a whole call of a disk of its own. */
  timeoutMs: number
}

export class NearChunks implements FarChunks {
  readonly #deps: NearChunksDeps

  constructor(deps: NearChunksDeps) {
    this.#deps = deps
  }

  async statChunk(at: UnitPlace, options: CallOptions = {}): Promise<ChunkStat> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.statChunk(at, options)
    return this.#inTime(disk, options, async () => disk.store().statChunk(at.vuid))
  }

  async listShards(
    at: UnitPlace,
    page: { from: bigint; status: number; count: number },
    options: CallOptions = {},
  ): Promise<{ shards: ShardInfo[]; next: bigint }> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.listShards(at, page, options)
    return this.#inTime(disk, options, async () => {
      const { shards, next } = await disk.store().listShards(at.vuid, page)
      return { shards: [...shards], next }
    })
  }

  async getShard(at: UnitPlace, bid: bigint, options: GetOptions = {}): Promise<Buffer> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.getShard(at, bid, options)
    const bytes = await this.#atWork(disk, options, async (store) => {
      const shard = await store.readShard(at.vuid, bid, options.range)
      return Buffer.isBuffer(shard.bytes) ? shard.bytes : gathered(shard.bytes, shard.size)
    })
    disk.counters.gets += 1
    disk.counters.bytes_out += bytes.length
    return bytes
  }

  async putShard(
    at: UnitPlace,
    bid: bigint,
    bytes: Uint8Array,
    options: PutOptions = {},
  ): Promise<{ crc: number }> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.putShard(at, bid, bytes, options)
    const put = await this.#atWork(disk, options, (store) =>
      store.putShard(at.vuid, bid, bytes.byteLength, bytes, options.crc),
    )
    disk.counters.puts += 1
    disk.counters.bytes_in += bytes.byteLength
    return put
  }

  /** What its disk does not end in time may still be written to `target`. */
  async getShards(
    at: UnitPlace,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
    options: CallOptions = {},
  ): Promise<readonly ShardFailure[]> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.getShards(at, wanted, target, options)
    const failed = await this.#atWork(disk, options, (store) =>
      store.readShards(at.vuid, wanted, target),
    )
    if (failed.length > 0) return failed
    disk.counters.gets += wanted.length
    disk.counters.bytes_out += target.length
    return failed
  }

  async putShards(
    at: UnitPlace,
    shards: readonly PutShard[],
    source: Uint8Array,
    options: CallOptions = {},
  ): Promise<readonly ShardFailure[]> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.putShards(at, shards, source, options)
    const { io = 'client' } = options
    return this.#inTime(disk, options, (isGone) =>
      // As in `#atWork`.
      putTogether({ disk, vuid: at.vuid, io, isGone, isUnderWay: true }, slicesOf(shards, source)),
    )
  }

  async copyShards(
    at: UnitPlace,
    from: UnitPlace,
    shards: readonly WantedShard[],
    options: CallOptions = {},
  ): Promise<CopyFailure[]> {
    const disk = this.#near(at)
    if (disk === undefined) return this.#deps.far.copyShards(at, from, shards, options)
    const { clock, timeoutMs, buffers } = this.#deps
    const { io = 'client' } = options
    return this.#inTime(disk, options, (isGone) =>
      copyInto(disk, {
        ...{ vuid: at.vuid, shards, io, isGone, clock, buffers },
        readMsMax: readMsMaxOf(timeoutMs),
        read: (wanted, target, signal) => this.getShards(from, wanted, target, { io, signal }),
      }),
    )
  }

  #near({ address, diskId }: UnitPlace): ServedDisk | undefined {
    return address === this.#deps.address() ? this.#deps.disks.get(diskId) : undefined
  }

  #atWork<T>(
    disk: ServedDisk,
    options: CallOptions,
    work: (store: DiskStore) => Promise<T>,
  ): Promise<T> {
    return this.#inTime(disk, options, async (isGone) => {
      disk.store()
      // It waits in this process, and no caller holds a connection for it: it is not refused for being late.
      const free = await disk.slots.take(options.io ?? 'client', isGone, true)
      try {
        if (isGone()) throw refusal(676, 'the caller has gone')
        return await work(disk.store())
      } finally {
        free()
      }
    })
  }

  /**
   * What its disk does not end is left to itself, and keeps its slot. @param work is told whether anybody still waits
   * @throws TroupeError `unavailable`: not in time; what `signal` was aborted with
   */
  async #inTime<T>(
    { id }: ServedDisk,
    { signal }: CallOptions,
    work: (isGone: () => boolean) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    const { clock, timeoutMs } = this.#deps
    let isGone = false
    let unwatch = () => {}
    const cut = new Promise<never>((_, reject) => {
      const leave = (why: unknown) => {
        isGone = true
        reject(why)
      }
      const late = `disk ${id} did not answer within ${timeoutMs} ms`
      const cancel = clock.after(timeoutMs, () => leave(new TroupeError('unavailable', late)))
      const onAbort = () => leave(signal?.reason)
      signal?.addEventListener('abort', onAbort)
      unwatch = () => {
        cancel()
        signal?.removeEventListener('abort', onAbort)
      }
    })
    try {
      return await Promise.race([work(() => isGone), cut])
    } finally {
      unwatch()
    }
  }
}

/** @param sizeMax of all of it: a range may be less */
async function gathered(pieces: AsyncIterable<Buffer>, sizeMax: number): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(sizeMax)
  let at = 0
  for await (const piece of pieces) at += piece.copy(whole, at)
  return whole.subarray(0, at)
}
