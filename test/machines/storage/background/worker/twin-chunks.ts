/**
 * Twins of the chunks of one volume, in memory, with the right bytes of real erasure code; and a task that moves
 * one of them. Decides: what a chunk answers in each of its conditions.
 */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type {
  ChunkCalls,
  MoveTask,
} from '../../../../../machines/storage/background/worker/index.ts'
import { MOVE_LIMITS } from '../../../../../machines/storage/background/worker/limits.ts'
import type {
  ChunkStat,
  CopyFailure,
  PutShard,
  ShardFailure,
  ShardInfo,
  UnitPlace,
  WantedBytes,
  WantedShard,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import {
  type CodeMode,
  codeModeOf,
  refusal,
  StorageRefusal,
  unitCount,
  vuidOf,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { TroupeError } from '../../../../../src/index.ts'

export const VID = 4_294_967_295
const LIST_PAGE_MAX = 3

/** Waits of milliseconds. */
export const QUICK = {
  ...MOVE_LIMITS,
  ...{ retryMs: 1, readyWaitMs: 1, reportMs: 0, acquireWaitMs: 20, acquirePauseMs: 5 },
  taskletBytesMax: 20_000,
}

interface Kept {
  bytes: Buffer
  isMarked: boolean
  isCorrupt: boolean
}

export interface TwinCall {
  name: keyof ChunkCalls
  index: number
  isNew: boolean
  bid: bigint | undefined
}

export class TwinChunks implements ChunkCalls {
  readonly mode: CodeMode
  readonly erasure = Erasure.onDemand({ threads: 1 })
  /** By unit; the new chunk is behind them. */
  readonly chunks: Map<bigint, Kept>[]
  /** What was written, by blob, then by unit. */
  readonly right = new Map<bigint, Buffer[]>()
  readonly away = new Set<number>()
  readonly gone = new Set<number>()
  readonly writable = new Set<number>()
  readonly calls: TwinCall[] = []
  /** Before each call; what it throws is the answer. */
  before: (call: TwinCall) => void | Promise<void> = () => {}

  constructor(mode: string) {
    this.mode = codeModeOf(mode)
    this.chunks = Array.from({ length: unitCount(this.mode) + 1 }, () => new Map())
  }

  get newIndex(): number {
    return unitCount(this.mode)
  }

  get fresh(): Map<bigint, Kept> {
    return this.chunks[this.newIndex]!
  }

  /** Blobs 1, 2, … of a few thousand bytes each. */
  async fill(count: number): Promise<void> {
    for (let n = 1; n <= count; n += 1) await this.write(BigInt(n))
  }

  async write(bid: bigint): Promise<void> {
    const blob = randomBytes(12_000 + 1_000 * (Number(bid) % 7))
    const stripe = this.erasure.stripe(this.mode, blob.length)
    stripe.data.set(blob)
    await this.erasure.encode(stripe)
    const shards = this.indexes().map((index) =>
      Buffer.from(stripe.shard(this.mode.kind === 'replica' ? 0 : index)),
    )
    this.erasure.release(stripe)
    this.right.set(bid, shards)
    for (const [index, bytes] of shards.entries()) this.keep(index, bid, bytes)
  }

  keep(index: number, bid: bigint, bytes = this.rightOf(bid, index)): void {
    this.chunks[index]!.set(bid, { bytes, isMarked: false, isCorrupt: false })
  }

  lose(bid: bigint, ...indexes: number[]): void {
    for (const index of indexes) this.chunks[index]!.delete(bid)
  }

  corrupt(bid: bigint, ...indexes: number[]): void {
    for (const index of indexes) this.chunks[index]!.get(bid)!.isCorrupt = true
  }

  mark(bid: bigint, ...indexes: number[]): void {
    for (const index of indexes) this.chunks[index]!.get(bid)!.isMarked = true
  }

  indexes(): number[] {
    return Array.from({ length: unitCount(this.mode) }, (_, index) => index)
  }

  rightOf(bid: bigint, index: number): Buffer {
    return this.right.get(bid)?.[index] ?? Buffer.alloc(0)
  }

  /** Bids whose shard of that unit stands in the new chunk as it was written, ascending. */
  moved(index: number): bigint[] {
    const right = [...this.fresh].filter(([bid, { bytes }]) =>
      bytes.equals(this.rightOf(bid, index)),
    )
    return right.map(([bid]) => bid).sort((a, b) => Number(a - b))
  }

  /** That read bytes of shards, by unit. */
  readsOf(index: number): number {
    return this.calls.filter(({ name, index: at }) => name === 'getShard' && at === index).length
  }

  task(index: number, given: Partial<MoveTask> = {}): MoveTask {
    const unit = (at: number) => ({
      vuid: vuidOf({ vid: VID, index: at, epoch: 1 }),
      ...{ host: 'http://b', disk_id: at + 1 },
    })
    return {
      ...{ task_id: `manual_migrate-1-${VID}-x`, task_type: 'manual_migrate', source_idc: 'z1' },
      ...{ source_disk_id: index + 1, source_vuid: unit(index).vuid },
      sources: this.indexes().map(unit),
      code_mode: this.mode.id,
      destination: {
        vuid: vuidOf({ vid: VID, index, epoch: 2 }),
        ...{ host: 'http://b', disk_id: this.newIndex + 1 },
      },
      forbidden_direct_download: false,
      ...given,
    }
  }

  async statChunk(at: UnitPlace): Promise<ChunkStat> {
    await this.#called('statChunk', at)
    const status = this.writable.has(at.diskId - 1) ? 'normal' : 'readonly'
    const sizes = { totalBytes: 1e9, usedBytes: 0, freeBytes: 1e9 }
    return { vuid: at.vuid, status, ...sizes, shards: this.#chunk(at).size }
  }

  async listShards(
    at: UnitPlace,
    { from, count }: { from: bigint; count: number },
  ): Promise<{ shards: ShardInfo[]; next: bigint }> {
    await this.#called('listShards', at)
    const bids = [...this.#chunk(at).keys()].filter((bid) => bid >= from)
    bids.sort((a, b) => (a < b ? -1 : 1))
    const most = Math.min(count, LIST_PAGE_MAX)
    const shards = bids.slice(0, most).map((bid): ShardInfo => {
      const { bytes, isMarked } = this.#chunk(at).get(bid)!
      const crc = crc32(bytes)
      return { vuid: at.vuid, bid, size: bytes.length, crc, offset: 0, flag: isMarked ? 2 : 1 }
    })
    return { shards, next: bids[most] ?? 0n }
  }

  async getShard(at: UnitPlace, bid: bigint, options: { signal?: AbortSignal | undefined } = {}) {
    await this.#called('getShard', at, bid)
    options.signal?.throwIfAborted()
    return this.#read(at, bid)
  }

  async putShard(at: UnitPlace, bid: bigint, bytes: Uint8Array, { crc }: { crc?: number } = {}) {
    await this.#called('putShard', at, bid)
    this.#write(at, bid, Buffer.from(bytes), crc ?? crc32(bytes))
    return { crc: crc32(bytes) }
  }

  async getShards(
    at: UnitPlace,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<ShardFailure[]> {
    await this.#called('getShards', at)
    const failed: ShardFailure[] = []
    let from = 0
    for (const { bid, size } of wanted) {
      try {
        const bytes = await this.getShard(at, bid, options)
        if (bytes.length !== size) throw refusal(658, 'another size')
        target.set(bytes, from)
      } catch (thrown) {
        if (!(thrown instanceof StorageRefusal) || ![651, 654, 658].includes(thrown.status)) {
          throw thrown
        }
        failed.push({ bid, why: thrown })
      }
      from += size
    }
    return failed
  }

  async putShards(
    at: UnitPlace,
    shards: readonly PutShard[],
    source: Uint8Array,
  ): Promise<ShardFailure[]> {
    await this.#called('putShards', at)
    const failed: ShardFailure[] = []
    let from = 0
    for (const { bid, size, crc } of shards) {
      try {
        await this.putShard(at, bid, source.subarray(from, from + size), { crc })
      } catch (thrown) {
        if (!(thrown instanceof StorageRefusal) || thrown.status !== 654) throw thrown
        failed.push({ bid, why: thrown })
      }
      from += size
    }
    return failed
  }

  async copyShards(
    at: UnitPlace,
    from: UnitPlace,
    shards: readonly WantedShard[],
  ): Promise<CopyFailure[]> {
    await this.#called('copyShards', at)
    const failed: CopyFailure[] = []
    for (const { bid, crc } of shards) {
      let isSource = true
      const away = failed.find(({ why }) => why.code === 'unavailable')
      if (away) {
        failed.push({ ...away, bid })
        continue
      }
      try {
        await this.#called('getShard', from, bid)
        const bytes = this.#read(from, bid)
        isSource = false
        await this.#called('putShard', at, bid)
        this.#write(at, bid, bytes, crc)
      } catch (thrown) {
        if (!(thrown instanceof TroupeError)) throw thrown
        const isMarked = 'status' in thrown && thrown.status === 654
        if (!isSource && !isMarked) throw thrown
        failed.push({ bid, isSource, why: thrown })
      }
    }
    return failed
  }

  async #called(name: keyof ChunkCalls, { diskId }: UnitPlace, bid?: bigint): Promise<void> {
    const index = diskId - 1
    const call = { name, index, isNew: index === this.newIndex, bid }
    this.calls.push(call)
    await this.before(call)
    if (this.away.has(index)) throw new TroupeError('unavailable', 'nobody answers')
    if (this.gone.has(index)) throw refusal(613, `disk ${diskId} is broken`)
  }

  #chunk({ diskId }: UnitPlace): Map<bigint, Kept> {
    return this.chunks[diskId - 1]!
  }

  #read(at: UnitPlace, bid: bigint): Buffer {
    const kept = this.#chunk(at).get(bid)
    if (kept === undefined) throw refusal(651, `there is no shard ${bid}`)
    if (kept.isMarked) throw refusal(654, `shard ${bid} is marked as deleted`)
    if (kept.isCorrupt) throw refusal(658, 'not what was written')
    return Buffer.from(kept.bytes)
  }

  #write(at: UnitPlace, bid: bigint, bytes: Buffer, crc: number): void {
    if (crc32(bytes) !== crc) throw refusal(658, 'other bytes came than were meant')
    if (this.#chunk(at).get(bid)?.isMarked) throw refusal(654, 'it was deleted')
    this.#chunk(at).set(bid, { bytes, isMarked: false, isCorrupt: false })
  }
}
