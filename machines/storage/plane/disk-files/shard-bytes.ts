/**
 * Reads the bytes of shards. Decides: that nothing is given out before it was found to be what was
 * written, that a part costs only the blocks it touches, and that a long one comes in pieces. Leaves to
 * others: which shard is meant, and where it is by now.
 */
import { crc32 } from 'node:zlib'
import { refusal, StorageRefusal } from '../codes/index.ts'
import { areBlocksOf, BLOCK_BYTES, isTableOf, RunningChecksums, tableBytesOf } from './checksums.ts'
import type { ChunkFile } from './chunk-file.ts'
import type { DiskHealth } from './disk-health.ts'
import type { DiskFile } from './file-ops.ts'
import { type ChunkRecord, roundUp, tableAt } from './record.ts'
import { type PlacedShard, readRuns } from './shard-runs.ts'

/** Where a shard stands, and what it is. */
export type StoredShard = Pick<ChunkRecord, 'bid' | 'at' | 'dataAt' | 'size' | 'crc'>

export interface Range {
  from: number
  /** Behind the last byte. */
  to: number
}

export interface ShardBytes {
  /** Of the whole shard. */
  size: number
  crc: number
  /** Of the range. Verified before they are given: a long range piece by piece. */
  bytes: Buffer | AsyncIterable<Buffer>
}

/** One of many that are read together. */
export interface WantedBytes {
  bid: bigint
  size: number
}

/** One that is not given, and why. */
export interface ShardFailure {
  bid: bigint
  why: StorageRefusal
}

/** Held at once. A multiple of the block. */
export const PIECE_BYTES = 16 * BLOCK_BYTES

/** A range up to this length is one buffer. */
const WHOLE_BYTES_MAX = 4 * PIECE_BYTES
/** What is said of one shard, and not of its chunk: not there, deleted, not what was written. */
const OF_SHARDS: ReadonlySet<number> = new Set([651, 654, 658])

export class ShardReader {
  readonly #health: DiskHealth
  readonly #find: (bid: bigint) => { file: ChunkFile; shard: StoredShard }

  /** @param find looks it up anew for each piece: its chunk may be copied meanwhile */
  constructor(health: DiskHealth, find: (bid: bigint) => { file: ChunkFile; shard: StoredShard }) {
    this.#health = health
    this.#find = find
  }

  /** @throws StorageRefusal 655, 658, and what the search for it refuses */
  async read(bid: bigint, given?: Range): Promise<ShardBytes> {
    const { size, crc } = this.#find(bid).shard
    const range = given ?? { from: 0, to: size }
    const { from, to } = range
    if (!(from >= 0 && from <= to && to <= size)) {
      throw refusal(655, `shard ${bid} has ${size} bytes, and none from ${from} to ${to}`)
    }
    if (to - from > WHOLE_BYTES_MAX) return { size, crc, bytes: this.#pieces(bid, crc, range) }
    return { size, crc, bytes: await this.#part(bid, crc, range) }
  }

  /**
   * Many, one behind the other. @param target as long as they are together; what stands in it counts only when
   * all are given @returns those that are not @throws StorageRefusal: of the chunk, or its disk
   */
  async readTogether(wanted: readonly WantedBytes[], target: Uint8Array): Promise<ShardFailure[]> {
    const failed: ShardFailure[] = []
    const placed: PlacedShard[] = []
    let file: ChunkFile | undefined
    let at = 0
    for (const { bid, size } of wanted) {
      try {
        const found = this.#find(bid)
        requireSize(found.shard, size)
        // All of them are looked for in one turn, in which no chunk moves to another file.
        file = found.file
        placed.push({ shard: found.shard, target: target.subarray(at, at + size) })
      } catch (thrown) {
        if (!isOfShard(thrown)) throw thrown
        failed.push({ bid, why: thrown })
      }
      at += size
    }
    if (failed.length > 0 || file === undefined) return failed
    const { disk } = file
    const release = file.hold()
    try {
      const wrong = await this.#health.guard('cannot read', () => readRuns(disk, placed))
      return wrong.map(({ bid }) => ({ bid, why: crcMismatch(bid) }))
    } finally {
      await release()
    }
  }

  /** Whether all that is kept of it is what was written. @throws what the search for it refuses */
  async verify(bid: bigint): Promise<boolean> {
    const { file, shard } = this.#find(bid)
    const release = file.hold()
    try {
      return await this.#health.guard('cannot read', () => shardIsRight(file.disk, shard))
    } finally {
      await release()
    }
  }

  async *#pieces(bid: bigint, crc: number, { from, to }: Range): AsyncIterable<Buffer> {
    for (let at = from; at < to; ) {
      // To the end of a block: none is read twice.
      const end = Math.min(to, roundUp(at + 1, PIECE_BYTES))
      yield await this.#part(bid, crc, { from: at, to: end })
      at = end
    }
  }

  async #part(bid: bigint, crc: number, range: Range): Promise<Buffer> {
    const { file, shard } = this.#find(bid)
    if (shard.crc !== crc) throw refusal(677, `shard ${bid} was written anew; read it again`)
    const release = file.hold()
    try {
      return await this.#health.guard('cannot read', () => readPart(file.disk, shard, range))
    } finally {
      await release()
    }
  }
}

/** Said of one shard; else of its chunk, or its disk. */
export function isOfShard(thrown: unknown): thrown is StorageRefusal {
  return thrown instanceof StorageRefusal && OF_SHARDS.has(thrown.status)
}

/** @throws StorageRefusal 658 */
function requireSize({ bid, size }: StoredShard, wanted: number): void {
  if (size !== wanted) throw refusal(658, `shard ${bid} has ${size} bytes, not ${wanted}`)
}

function crcMismatch(bid: bigint): StorageRefusal {
  return refusal(
    658,
    `the bytes of shard ${bid} are not what was written; rebuild it from the others`,
  )
}

/** @throws StorageRefusal 658 */
async function readPart(file: DiskFile, shard: StoredShard, range: Range): Promise<Buffer> {
  const { size, crc, bid, dataAt } = shard
  if (range.from === 0 && range.to === size) {
    const bytes = await readWhole(file, dataAt, size)
    if (bytes === undefined || crc32(bytes) !== crc) throw crcMismatch(bid)
    return bytes
  }
  const first = Math.floor(range.from / BLOCK_BYTES)
  const from = first * BLOCK_BYTES
  const to = Math.min(size, Math.ceil(range.to / BLOCK_BYTES) * BLOCK_BYTES)
  if (size <= BLOCK_BYTES) {
    return (await readPart(file, shard, { from: 0, to: size })).subarray(range.from, range.to)
  }
  const table = await readTable(file, shard)
  const bytes = await readWhole(file, dataAt + from, Math.max(0, to - from))
  if (bytes === undefined || !areBlocksOf(table, first, bytes)) throw crcMismatch(bid)
  return bytes.subarray(range.from - from, range.to - from)
}

/** The checksums of its blocks, checked. @throws StorageRefusal 658 */
async function readTable(file: DiskFile, shard: StoredShard): Promise<Buffer> {
  const table = await readWhole(file, tableAt(shard), tableBytesOf(shard.size))
  if (table === undefined || !isTableOf(table, shard.size, shard.crc)) throw crcMismatch(shard.bid)
  return table
}

/** Whether its bytes, and the checksums of its blocks, are what was written. */
export async function shardIsRight(file: DiskFile, shard: StoredShard): Promise<boolean> {
  const running = new RunningChecksums()
  for (let from = 0; from < shard.size; from += PIECE_BYTES) {
    const bytes = Math.min(PIECE_BYTES, shard.size - from)
    const piece = await readWhole(file, shard.dataAt + from, bytes)
    if (piece === undefined) return false
    running.add(piece)
  }
  const { crc, table } = running.finish()
  const stored = await readWhole(file, tableAt(shard), tableBytesOf(shard.size))
  return crc === shard.crc && stored !== undefined && table.equals(stored)
}

/** Undefined where the file ends before. */
async function readWhole(file: DiskFile, at: number, bytes: number): Promise<Buffer | undefined> {
  const buffer = Buffer.allocUnsafe(bytes)
  return (await file.read(buffer, at)) === bytes ? buffer : undefined
}
