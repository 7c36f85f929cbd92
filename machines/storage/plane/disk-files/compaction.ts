/**
 * Gives back what is dead in a chunk's file. Decides: that what is alive is copied beside it while the chunk
 * goes on, and only what changed meanwhile while it stands still; that bytes are copied with the checksums
 * they have, so that damage stays what it is; that tombstones go along for as long as somebody may still ask
 * for the shard to be repaired. Leaves to others: when (`chunk.ts`), and the exchange of the files
 * (`chunk-file.ts`).
 */
import { tableBytesOf } from './checksums.ts'
import { type ChunkFile, makeChunkFile } from './chunk-file.ts'
import type { DiskFile, FileOps } from './file-ops.ts'
import {
  type ChunkHead,
  type ChunkRecord,
  encodeBare,
  encodeHead,
  encodeTail,
  endOf,
  FIRST_RECORD_AT,
  nextAt,
  placed,
  type RecordBody,
  tableAt,
} from './record.ts'
import { PIECE_BYTES } from './shard-bytes.ts'
import type { Shard, ShardIndex } from './shard-index.ts'

/** Little enough to be copied while the chunk stands still. */
const REST_BYTES = 4_194_304
const ROUNDS_MAX = 8
/** Written at once. */
const HELD_BYTES_MAX = 1_048_576

export interface CompactionDeps {
  file: ChunkFile
  index: ShardIndex
  /** Tombstones of before are left behind. */
  keepFromMs: number
  /** @throws when it is to be given up */
  check(): void
  /** Nothing is written from then on. */
  pause(): Promise<void>
  isReadonly(): boolean
}

export interface Compacted {
  file: ChunkFile
  places: ReadonlyMap<bigint, ChunkRecord>
  tombstones: ReadonlyMap<bigint, number>
  tail: number
}

/**
 * Returns within the pause, with the file that has the name now.
 * @throws what `check` and the disk say; the chunk goes on as it was
 */
export async function compactFile(
  ops: FileOps,
  path: string,
  deps: CompactionDeps,
): Promise<Compacted> {
  const { vuid, bytesMax } = deps.file.head
  let copied: Omit<Compacted, 'file'> | undefined
  const file = await makeChunkFile(ops, path, { vuid, bytesMax }, async (draft, head) => {
    copied = await new Compaction(deps).copy(draft, head)
  })
  return { ...copied!, file }
}

class Compaction {
  readonly #deps: CompactionDeps
  readonly #places = new Map<bigint, ChunkRecord>()
  /** Where in the old file that was. */
  readonly #copiedFrom = new Map<bigint, number>()

  constructor(deps: CompactionDeps) {
    this.#deps = deps
  }

  async copy(draft: DiskFile, { salt }: ChunkHead): Promise<Omit<Compacted, 'file'>> {
    const out = new DraftLog(draft, salt)
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      if ((await this.#copyNew(out)) < REST_BYTES) break
    }
    await this.#deps.pause()
    await this.#copyNew(out)
    return this.#finish(out)
  }

  /** @returns how many bytes */
  async #copyNew(out: DraftLog): Promise<number> {
    const { index, check } = this.#deps
    const startAt = out.at
    for (const shard of index.inPlace()) {
      if (this.#copiedFrom.get(shard.bid) === shard.at) continue
      check()
      this.#places.set(shard.bid, await this.#copyShard(out, shard))
      this.#copiedFrom.set(shard.bid, shard.at)
    }
    return out.at - startAt
  }

  async #copyShard(out: DraftLog, shard: Shard): Promise<ChunkRecord> {
    const { bid, size, crc, isMarked } = shard
    const record = out.place({ kind: 'shard', bid, size, crc, isMarked })
    await out.add(encodeHead(record, out.salt))
    for (let from = 0; from < size; from += PIECE_BYTES) {
      await out.add(await this.#read(shard.dataAt + from, Math.min(PIECE_BYTES, size - from)))
    }
    const table = await this.#read(tableAt(shard), tableBytesOf(size))
    await out.add(encodeTail(record, out.salt, table))
    return record
  }

  /** Zeros stand for what is missing: they do not fit the checksum. */
  async #read(at: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.alloc(bytes)
    await this.#deps.file.disk.read(buffer, at)
    return buffer
  }

  async #finish(out: DraftLog): Promise<Omit<Compacted, 'file'>> {
    const { index, keepFromMs, isReadonly } = this.#deps
    const none = { size: 0, crc: 0, isMarked: false }
    for (const [bid, record] of this.#places) {
      const isMarked = index.get(bid)?.isMarked ?? false
      if (isMarked && !record.isMarked) await out.bare({ ...none, kind: 'mark', bid })
    }
    const tombstones = new Map<bigint, number>()
    for (const [bid, ms] of index.tombstones) {
      if (ms < keepFromMs && !this.#places.has(bid)) continue
      tombstones.set(bid, ms)
      await out.bare({ ...none, kind: 'tombstone', bid, size: ms })
    }
    const status = { ...none, kind: 'status', bid: 0n, size: isReadonly() ? 1 : 0 } as const
    return { places: this.#places, tombstones, tail: await out.end(status) }
  }
}

/** Writes records one behind the other, some at once. Nothing of it counts before the last one is there. */
class DraftLog {
  readonly salt: Buffer
  at = FIRST_RECORD_AT
  readonly #file: DiskFile
  #held: Buffer[] = []
  #heldBytes = 0
  #writtenTo = FIRST_RECORD_AT

  constructor(file: DiskFile, salt: Buffer) {
    this.#file = file
    this.salt = salt
  }

  place(body: RecordBody): ChunkRecord {
    const record = placed(body, this.at, FIRST_RECORD_AT)
    this.at = endOf(record)
    return record
  }

  async add(bytes: Buffer): Promise<void> {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes >= HELD_BYTES_MAX) await this.#write()
  }

  async bare(body: RecordBody): Promise<void> {
    await this.add(encodeBare(this.place(body), this.salt))
  }

  /** Says of all before it that it is on the disk: it has its name only when it is. @returns the tail */
  async end(body: RecordBody): Promise<number> {
    const record = { ...placed(body, this.at, this.at), isLast: true }
    await this.add(encodeBare(record, this.salt))
    await this.#write()
    return nextAt(record)
  }

  async #write(): Promise<void> {
    await this.#file.write(this.#held, this.#writtenTo)
    this.#writtenTo += this.#heldBytes
    this.#held = []
    this.#heldBytes = 0
  }
}
