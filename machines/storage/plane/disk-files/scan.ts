/**
 * Finds the records of a chunk file by their heads. Decides: that a head which cannot be read hides
 * nothing but itself: its foot, or else the next head that is one, is searched for. Leaves to others: what
 * the records mean, and whether their bytes are right (`recovery.ts`).
 */
import type { DiskFile } from './file-ops.ts'
import {
  type ChunkRecord,
  decodeHead,
  endOf,
  FIRST_RECORD_AT,
  FOOT_MAGIC,
  footAt,
  HEAD_BYTES,
  HEAD_MAGIC,
  nextAt,
  PAGE_BYTES,
  UNIT_BYTES,
} from './record.ts'

export interface Span {
  from: number
  to: number
}

export interface Scan {
  /** In the order of their places, which is that of their writing. */
  records: ChunkRecord[]
  /** What is no record. */
  holes: Span[]
  fileBytes: number
}

const SEARCH_BYTES = 1_048_576
/** Read at once where records are small. */
const DENSE_BYTES = 65_536
/** Such that the next record may be in what is read. */
const SMALL_RECORD_BYTES = 16_384

export async function scanRecords(file: DiskFile, salt: Buffer): Promise<Scan> {
  const fileBytes = await file.size()
  const heads = new Heads(file, salt)
  const scan: Scan = { records: [], holes: [], fileBytes }
  for (let at = FIRST_RECORD_AT; at < fileBytes; ) {
    let record = await heads.read(at)
    if (record === undefined || record.at !== at || endOf(record) > fileBytes) {
      record = await searchRecord(file, salt, { from: at, to: fileBytes })
      const to = record?.at ?? fileBytes
      if (to > at) scan.holes.push({ from: at, to })
      if (record === undefined) break
    }
    scan.records.push(record)
    at = nextAt(record)
  }
  return scan
}

/** Reads some more than one head at a time, as long as records are small. */
class Heads {
  readonly #file: DiskFile
  readonly #salt: Buffer
  #from = 0
  #bytes: Buffer = Buffer.alloc(0)
  #lastAt = 0

  constructor(file: DiskFile, salt: Buffer) {
    this.#file = file
    this.#salt = salt
  }

  async read(at: number): Promise<ChunkRecord | undefined> {
    const isNear = at - this.#lastAt < SMALL_RECORD_BYTES
    this.#lastAt = at
    if (at < this.#from || at + HEAD_BYTES > this.#from + this.#bytes.length) {
      const bytes = Buffer.allocUnsafe(isNear ? DENSE_BYTES : PAGE_BYTES)
      this.#bytes = bytes.subarray(0, await this.#file.read(bytes, at))
      this.#from = at
    }
    return decodeHead(this.#bytes.subarray(at - this.#from), this.#salt, HEAD_MAGIC)
  }
}

/** The first record whose head or foot stands in the span. */
async function searchRecord(
  file: DiskFile,
  salt: Buffer,
  { from, to }: Span,
): Promise<ChunkRecord | undefined> {
  const window = Buffer.allocUnsafe(Math.min(SEARCH_BYTES, to - from))
  for (let at = from; at < to; at += window.length) {
    const bytes = window.subarray(0, await file.read(window, at))
    for (let offset = 0; offset + HEAD_BYTES <= bytes.length; offset += UNIT_BYTES) {
      const magic = bytes.readUInt32LE(offset)
      if (magic !== HEAD_MAGIC && magic !== FOOT_MAGIC) continue
      const record = decodeHead(bytes.subarray(offset), salt, magic)
      if (record === undefined || record.at < from || endOf(record) > to) continue
      const place = magic === HEAD_MAGIC ? record.at : footAt(record)
      if (place === at + offset) return record
    }
  }
  return undefined
}
