/** A disk of these tests: in memory, and as broken as a test wants it. */
import { crc32 } from 'node:zlib'
import type {
  ChunkStat,
  DiskStore,
  ShardBytes,
  ShardFailure,
  ShardInfo,
  WantedBytes,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { refusal, StorageRefusal } from '../../../../../machines/storage/plane/codes/index.ts'

interface Kept {
  bytes: Buffer
  flag: 1 | 2
}

export const DISK_UUID = '00000000-0000-4000-8000-000000000001'

export class MemoryDisk implements DiskStore {
  readonly shards = new Map<bigint, Map<bigint, Kept>>()
  readonly statuses = new Map<bigint, ChunkStat['status']>()
  /** Bytes at which a read finds that they are not what was written; of a shard that is read in pieces. */
  corruptAt: number | undefined
  /** Shards that are not what was written, to whoever looks at them where they lie. */
  readonly corrupt = new Set<bigint>()
  /** Larger ones are read in pieces of this size. */
  pieceBytes = 1_048_576
  /** What every call waits for. */
  gate: Promise<void> = Promise.resolve()
  atWork = 0
  atWorkMost = 0
  piecesRead = 0
  isClosed = false
  readonly uuid = DISK_UUID
  broken: string | undefined
  onBroken: (why: string) => void = () => {}
  probe: () => Promise<void> = async () => {}

  break(why: string): void {
    this.broken = why
    this.onBroken(why)
  }

  async createChunk(vuid: bigint, _bytesMax: number): Promise<void> {
    if (!this.shards.has(vuid)) this.shards.set(vuid, new Map())
    this.statuses.set(vuid, 'normal')
  }

  async setChunkStatus(vuid: bigint, status: 'readonly' | 'normal'): Promise<void> {
    this.#chunk(vuid)
    this.statuses.set(vuid, status)
  }

  async releaseChunk(vuid: bigint, force: boolean): Promise<void> {
    if (!force && this.statuses.get(vuid) !== 'readonly')
      throw refusal(625, 'set it readonly first')
    this.shards.delete(vuid)
  }

  statChunk(vuid: bigint): ChunkStat {
    const usedBytes = [...this.#chunk(vuid).values()].reduce(
      (sum, one) => sum + one.bytes.length,
      0,
    )
    const status = this.statuses.get(vuid) ?? 'normal'
    const shards = this.#chunk(vuid).size
    return { vuid, status, totalBytes: 1e9, usedBytes, freeBytes: 1e9 - usedBytes, shards }
  }

  chunks(): ChunkStat[] {
    return [...this.shards.keys()].map((vuid) => this.statChunk(vuid))
  }

  async putShard(
    vuid: bigint,
    bid: bigint,
    size: number,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    crc?: number,
  ): Promise<{ crc: number }> {
    const chunk = this.#chunk(vuid)
    return this.#working(async () => {
      const bytes = body instanceof Uint8Array ? Buffer.from(body) : await this.#gathered(body)
      if (bytes.length !== size) throw refusal(600, 'another size')
      if (crc !== undefined && crc32(bytes) !== crc) throw refusal(658, 'another checksum')
      chunk.set(bid, { bytes, flag: 1 })
      return { crc: crc32(bytes) }
    })
  }

  async readShard(
    vuid: bigint,
    bid: bigint,
    range?: { from: number; to: number },
  ): Promise<ShardBytes> {
    const { bytes: all } = this.#kept(vuid, bid)
    const { from, to } = range ?? { from: 0, to: all.length }
    const size = all.length
    return this.#working(async () => {
      const isPieces = to - from > this.pieceBytes
      if (isPieces) return { size, crc: crc32(all), bytes: this.#pieces(all, from, to) }
      this.#verify(from, to)
      return { size, crc: crc32(all), bytes: all.subarray(from, to) }
    })
  }

  async readShards(
    vuid: bigint,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
  ): Promise<ShardFailure[]> {
    const failed: ShardFailure[] = []
    return this.#working(async () => {
      let at = 0
      for (const { bid, size } of wanted) {
        try {
          const { bytes, flag } = this.#kept(vuid, bid)
          if (flag === 2) throw refusal(654, 'it is marked')
          if (bytes.length !== size) throw refusal(658, 'another size')
          this.#verify(0, size)
          target.set(bytes, at)
        } catch (thrown) {
          if (!(thrown instanceof StorageRefusal)) throw thrown
          failed.push({ bid, why: thrown })
        }
        at += size
      }
      return failed
    })
  }

  async verifyShard(vuid: bigint, bid: bigint): Promise<boolean> {
    if (this.#kept(vuid, bid).flag === 2) throw refusal(654, 'it is marked')
    await this.#working(async () => undefined)
    return !this.corrupt.has(bid)
  }

  statShard(vuid: bigint, bid: bigint): ShardInfo {
    const { bytes, flag } = this.#kept(vuid, bid)
    return { vuid, bid, size: bytes.length, crc: crc32(bytes), offset: 0, flag }
  }

  findShards(vuid: bigint, bids: readonly bigint[]): ShardInfo[] {
    const chunk = this.#chunk(vuid)
    return bids.filter((bid) => chunk.has(bid)).map((bid) => this.statShard(vuid, bid))
  }

  listShards(vuid: bigint, page: { from: bigint; status: number; count: number }) {
    const bids = [...this.#chunk(vuid).keys()].sort((a, b) => (a < b ? -1 : 1))
    const wanted = bids
      .filter((bid) => bid >= page.from)
      .map((bid) => this.statShard(vuid, bid))
      .filter(({ flag }) => page.status === 0 || flag === page.status)
    return { shards: wanted.slice(0, page.count), next: wanted[page.count]?.bid ?? 0n }
  }

  async markDeleted(vuid: bigint, bid: bigint): Promise<void> {
    const kept = this.#kept(vuid, bid)
    if (kept.flag === 2) throw refusal(654, 'marked already')
    kept.flag = 2
  }

  async deleteShard(vuid: bigint, bid: bigint): Promise<void> {
    if (this.#kept(vuid, bid).flag === 1) throw refusal(653, 'mark it first')
    this.#chunk(vuid).delete(bid)
  }

  usage() {
    const chunks = this.shards.size
    return { sizeBytes: 1000, freeBytes: 900, usedBytes: 100, chunks, chunksMax: 64 }
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  #chunk(vuid: bigint): Map<bigint, Kept> {
    const chunk = this.shards.get(vuid)
    if (this.broken !== undefined) throw refusal(613, this.broken)
    if (chunk === undefined) throw refusal(621, `there is no chunk ${vuid}`)
    return chunk
  }

  #kept(vuid: bigint, bid: bigint): Kept {
    const kept = this.#chunk(vuid).get(bid)
    if (kept === undefined) throw refusal(651, `there is no shard ${bid}`)
    return kept
  }

  #verify(from: number, to: number): void {
    const at = this.corruptAt
    if (at !== undefined && at >= from && at < to) throw refusal(658, 'not what was written')
  }

  async *#pieces(all: Buffer, from: number, to: number): AsyncGenerator<Buffer> {
    for (let at = from; at < to; at += this.pieceBytes) {
      const end = Math.min(to, at + this.pieceBytes)
      this.#verify(at, end)
      this.piecesRead += 1
      yield all.subarray(at, end)
    }
  }

  async #gathered(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(Buffer.from(piece))
    return Buffer.concat(pieces)
  }

  async #working<T>(work: () => Promise<T>): Promise<T> {
    this.atWork += 1
    this.atWorkMost = Math.max(this.atWorkMost, this.atWork)
    try {
      await this.gate
      return await work()
    } finally {
      this.atWork -= 1
    }
  }
}
