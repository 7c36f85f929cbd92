/**
 * One chunk: its file, its shards in memory, its status. Decides: what may be done to a shard in which state
 * (put, marked as deleted, deleted for good), that what is deleted does not come back by a late put, and
 * when the file is compacted. Leaves to others: how records get to the disk (`chunk-log.ts`), how bytes are
 * read (`shard-bytes.ts`), which chunks there are (`disk-files.ts`).
 */
import type { Clock, Log } from '../../../../src/index.ts'
import { refusal } from '../codes/index.ts'
import { type Checksums, checksumsOf, requireMeant } from './checksums.ts'
import { ChunkFile, makeChunkFile } from './chunk-file.ts'
import { type Append, ChunkLog } from './chunk-log.ts'
import { compactFile } from './compaction.ts'
import type { DiskHealth } from './disk-health.ts'
import type { FileOps } from './file-ops.ts'
import { type ChunkRecord, FIRST_RECORD_AT, type RecordBody, stretchBytes } from './record.ts'
import { recoverChunk } from './recovery.ts'
import { ShardReader } from './shard-bytes.ts'
import { type Shard, ShardIndex, type ShardInfo } from './shard-index.ts'
import {
  HELD_BYTES_MAX,
  holdBody,
  type StreamTarget,
  type Stretch,
  streamShard,
  wrongLength,
} from './upload.ts'

export interface ChunkStat {
  vuid: bigint
  status: 'normal' | 'readonly' | 'release'
  totalBytes: number
  usedBytes: number
  freeBytes: number
  shards: number
  /** Of `usedBytes`, what no shard needs any more. */
  deadBytes: number
  /** What was written and cannot even be named: any shard that is not found may have been there. */
  damagedBytes: number
}

export type ShardBody = Uint8Array | AsyncIterable<Uint8Array>

export interface ChunkDeps {
  ops: FileOps
  health: DiskHealth
  clock: Clock
  log: Log
  tombstoneKeepMs: number
  /** Runs it when no other chunk of the disk is compacted. */
  inTurn(compact: () => Promise<void>): void
}

/** Below that, what is dead is not worth a copy. */
const DEAD_BYTES_MIN = 1_048_576
/** The chunk has moved to another file since the stretch was reserved. */
class StretchMoved extends Error {}

export class Chunk {
  readonly vuid: bigint
  readonly path: string
  readonly #deps: ChunkDeps
  readonly #log: ChunkLog
  readonly #index = new ShardIndex()
  /** Of shards that are not marked. Refuses with 651, 654, 655, 658. */
  readonly reader: ShardReader
  readonly #bytesMax: number
  readonly #damagedBytes: number
  #isReadonly = false
  /** Nobody is let in any more. */
  #ended: 'released' | 'closed' | undefined
  /** Of stretches without a shard yet. */
  #stretchesBytes = 0
  #compacting: Promise<void> | undefined
  #isCompactionDue = false
  /** After one that failed: again when so much is dead. */
  #compactFrom = DEAD_BYTES_MIN

  private constructor(
    path: string,
    file: ChunkFile,
    start: { tail: number; damagedBytes: number },
    deps: ChunkDeps,
  ) {
    this.path = path
    this.vuid = file.head.vuid
    this.#bytesMax = file.head.bytesMax
    this.#damagedBytes = start.damagedBytes
    this.#log = new ChunkLog(file, start.tail, deps)
    this.#deps = deps
    this.reader = new ShardReader(deps.health, (bid) => {
      return { file: this.#log.file, shard: this.#found(bid) }
    })
  }

  static async create(
    path: string,
    { vuid, bytesMax }: { vuid: bigint; bytesMax: number },
    deps: ChunkDeps,
  ): Promise<Chunk> {
    const file = await deps.health.guard('cannot make a chunk', () =>
      makeChunkFile(deps.ops, path, { vuid, bytesMax }, async () => {}),
    )
    return new Chunk(path, file, { tail: FIRST_RECORD_AT, damagedBytes: 0 }, deps)
  }

  /** @throws StorageRefusal 624, 658 when it is another chunk's file, or none */
  static async open(path: string, vuid: bigint, deps: ChunkDeps): Promise<Chunk> {
    const file = await ChunkFile.open(deps.ops, path, vuid)
    try {
      const { records, damage, tail } = await recoverChunk(file)
      const damagedBytes = damage.reduce((sum, { from, to }) => sum + to - from, 0)
      if (damagedBytes > 0) deps.log.error({ path, damage }, 'a chunk is damaged')
      const chunk = new Chunk(path, file, { tail, damagedBytes }, deps)
      for (const record of records) chunk.#apply(record)
      chunk.#compactSoon()
      return chunk
    } catch (thrown) {
      await file.release()
      throw thrown
    }
  }

  stat(): ChunkStat {
    const usedBytes = this.#log.tail
    return {
      vuid: this.vuid,
      status: this.#isReadonly ? 'readonly' : 'normal',
      totalBytes: this.#bytesMax,
      usedBytes,
      freeBytes: Math.max(0, this.#bytesMax - usedBytes),
      shards: this.#index.size,
      deadBytes: this.#deadBytes(),
      damagedBytes: this.#damagedBytes,
    }
  }

  /** The newest counts. @param meant its checksum @throws StorageRefusal 600, 622, 627, 654, 658 */
  async put(bid: bigint, size: number, body: ShardBody, meant?: number): Promise<{ crc: number }> {
    const check = (at: number) => this.#checkPut(bid, size, at)
    check(this.#log.tail)
    if (!(body instanceof Uint8Array) && size > HELD_BYTES_MAX) {
      const target: StreamTarget = {
        reserve: () => this.#reserve(bid, size),
        check: ({ crc }) => requireMeant(bid, crc, meant),
        name: (stretch, checksums) => this.#name(bid, size, stretch, checksums),
      }
      return streamShard(body, size, target, this.#deps.health)
    }
    if (body instanceof Uint8Array && body.length !== size) throw wrongLength(size, body.length)
    const isHeld = body instanceof Uint8Array
    const { data, checksums } = isHeld
      ? { data: [body], checksums: checksumsOf(body) }
      : await holdBody(body, size)
    const { crc, table } = checksums
    requireMeant(bid, crc, meant)
    await this.#append({ kind: 'shard', bid, size, crc }, check, { data, table })
    this.#compactSoon()
    return { crc }
  }

  info(bid: bigint): ShardInfo {
    return this.#infoOf(this.#known(bid))
  }

  find(bid: bigint): ShardInfo | undefined {
    return this.#index.get(bid) && this.info(bid)
  }

  list(from: bigint, flag: number, count: number): { shards: ShardInfo[]; next: bigint } {
    this.#checkHere()
    const isWanted = ({ isMarked }: Shard) => flag === 0 || (flag === 2) === isMarked
    // One more says whether there is more.
    const found = this.#index.list(from, count + 1, isWanted)
    const next = found[count]?.bid ?? 0n
    return { shards: found.slice(0, count).map((shard) => this.#infoOf(shard)), next }
  }

  /** Judged in its turn only: the shard may be on its way to the disk. @throws StorageRefusal 651, 654 */
  async markDeleted(bid: bigint): Promise<void> {
    this.#checkHere()
    const check = () => {
      this.#checkHere()
      const state = this.#index.stateOf(bid)
      if (state === 'absent') throw refusal(651, `there is no shard ${bid} in chunk ${this.vuid}`)
      if (state !== 'normal') throw refusal(654, `shard ${bid} is ${state} already`)
    }
    await this.#append({ kind: 'mark', bid }, check)
  }

  async delete(bid: bigint): Promise<void> {
    const check = () => {
      this.#checkHere()
      const state = this.#index.stateOf(bid)
      if (state === 'normal')
        throw refusal(653, `mark shard ${bid} as deleted before it is deleted`)
      if (state !== 'marked') throw refusal(651, `there is no shard ${bid} in chunk ${this.vuid}`)
    }
    check()
    await this.#append({ kind: 'tombstone', bid, size: this.#deps.clock.now() }, check)
    this.#compactSoon()
  }

  async setReadonly(isReadonly: boolean): Promise<void> {
    this.#checkHere()
    if (this.#isReadonly === isReadonly) return
    const check = () => this.#checkHere()
    await this.#append({ kind: 'status', bid: 0n, size: isReadonly ? 1 : 0 }, check)
  }

  /** Its file goes. @throws StorageRefusal 625 unless it is read-only, or forced */
  async release(isForced: boolean): Promise<void> {
    const check = () => {
      this.#checkHere()
      if (!isForced && !this.#isReadonly) {
        throw refusal(625, `chunk ${this.vuid} is not read-only; make it so, or force it`)
      }
    }
    check()
    const resume = await this.#log.pause()
    try {
      check()
      const { ops, health } = this.#deps
      await health.guard('cannot remove a chunk', () => ops.remove(this.path))
      this.#ended = 'released'
    } finally {
      resume()
    }
    await this.#end()
  }

  async close(): Promise<void> {
    this.#ended ??= 'closed'
    await this.#end()
  }

  /** Whether its file has lost its name. */
  async isLost(): Promise<boolean> {
    if (this.#ended || (await this.#isNamed())) return false
    // It may just have moved to another file.
    const resume = await this.#log.pause()
    try {
      return this.#ended === undefined && !(await this.#isNamed())
    } finally {
      resume()
    }
  }

  async #isNamed(): Promise<boolean> {
    const { file } = this.#log
    const release = file.hold()
    return file.disk.isNamed().finally(release)
  }

  async #end(): Promise<void> {
    await this.#compacting
    await this.#log.close()
    await this.#log.file.release()
  }

  #checkHere(): void {
    this.#deps.health.check()
    if (this.#ended === 'released') throw refusal(623, `chunk ${this.vuid} is released`)
    if (this.#ended) throw refusal(604, `chunk ${this.vuid} is being closed`)
  }

  #checkPut(bid: bigint, size: number, at: number): void {
    this.#checkWritable(bid)
    if (at + stretchBytes(size) > this.#bytesMax) {
      throw refusal(627, `chunk ${this.vuid} has no room for ${size} bytes`)
    }
  }

  #checkWritable(bid: bigint): void {
    this.#checkHere()
    if (this.#isReadonly) throw refusal(622, `chunk ${this.vuid} is read-only`)
    const state = this.#index.stateOf(bid)
    if (state === 'marked' || state === 'deleted') {
      throw refusal(654, `shard ${bid} is ${state}: what is deleted does not come back`)
    }
  }

  #known(bid: bigint): Shard {
    this.#checkHere()
    const shard = this.#index.get(bid)
    if (shard) return shard
    if (this.#index.stateOf(bid) === 'deleted') throw refusal(654, `shard ${bid} is deleted`)
    if (this.#damagedBytes > 0) {
      const why = `shard ${bid} is not found in chunk ${this.vuid}, of which ${this.#damagedBytes} bytes cannot be read: it may have been there`
      throw refusal(658, why)
    }
    throw refusal(651, `there is no shard ${bid} in chunk ${this.vuid}`)
  }

  #found(bid: bigint): Shard {
    const shard = this.#known(bid)
    if (shard.isMarked) throw refusal(654, `shard ${bid} is marked as deleted`)
    return shard
  }

  #infoOf({ bid, size, crc, dataAt, isMarked }: Shard): ShardInfo {
    return { vuid: this.vuid, bid, size, crc, offset: dataAt, flag: isMarked ? 2 : 1 }
  }

  async #reserve(bid: bigint, size: number): Promise<Stretch> {
    const bytes = stretchBytes(size)
    const { dataAt } = await this.#append({ kind: 'stretch', bid: 0n, size }, (at) =>
      this.#checkPut(bid, size, at),
    )
    // Nothing ran since it was written that could have moved the chunk.
    const { file } = this.#log
    const close = file.hold()
    this.#stretchesBytes += bytes
    const release = () => {
      this.#stretchesBytes -= bytes
      return close()
    }
    return { file, dataAt, release }
  }

  async #name(bid: bigint, size: number, stretch: Stretch, { crc, table }: Checksums) {
    const { file, dataAt } = stretch
    const check = () => {
      this.#checkWritable(bid)
      if (file !== this.#log.file) throw new StretchMoved()
    }
    try {
      await this.#append({ kind: 'shard', bid, size, crc, dataAt }, check, { table })
      return true
    } catch (thrown) {
      if (thrown instanceof StretchMoved) return false
      throw thrown
    }
  }

  #append(
    record: Partial<RecordBody> & Pick<RecordBody, 'kind' | 'bid'>,
    check: Append['check'],
    payload: Pick<Append, 'data' | 'table'> = {},
  ): Promise<ChunkRecord> {
    return this.#log.append({
      record: { size: 0, crc: 0, isMarked: false, ...record },
      check,
      apply: (written) => this.#apply(written),
      ...payload,
    })
  }

  #apply(record: ChunkRecord): void {
    if (record.kind === 'status') this.#isReadonly = record.size === 1
    else this.#index.apply(record)
  }

  #deadBytes(): number {
    const livingBytes = this.#index.liveBytes + this.#stretchesBytes
    return Math.max(0, this.#log.tail - FIRST_RECORD_AT - livingBytes)
  }

  /** A chunk with damage stays as it is: a copy would not know of what is missing. */
  #compactSoon(): void {
    const deadBytes = this.#deadBytes()
    if (deadBytes < this.#compactFrom || 2 * deadBytes <= this.#log.tail - FIRST_RECORD_AT) return
    if (this.#isCompactionDue || this.#damagedBytes > 0) return
    this.#isCompactionDue = true
    this.#deps.inTurn(async () => {
      this.#compacting = this.#compact()
      await this.#compacting
      this.#isCompactionDue = false
    })
  }

  async #compact(): Promise<void> {
    const { ops, health, clock, log, tombstoneKeepMs } = this.#deps
    const { file: old } = this.#log
    let resume = () => {}
    const pause = async () => {
      resume = await this.#log.pause()
      this.#checkHere()
    }
    try {
      this.#checkHere()
      const { file, places, tombstones, tail } = await health.guard('cannot compact a chunk', () =>
        compactFile(ops, this.path, {
          ...{ file: old, index: this.#index, pause },
          keepFromMs: clock.now() - tombstoneKeepMs,
          check: () => this.#checkHere(),
          isReadonly: () => this.#isReadonly,
        }),
      )
      this.#index.move(places, tombstones)
      this.#log.moveTo(file, tail)
      this.#compactFrom = DEAD_BYTES_MIN
      await old.release()
    } catch (thrown) {
      this.#compactFrom = this.#deadBytes() + DEAD_BYTES_MIN
      log.warn({ chunk: String(this.vuid), error: String(thrown) }, 'a chunk was not compacted')
    } finally {
      resume()
    }
  }
}
