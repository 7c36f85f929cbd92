/**
 * The form of a chunk file. Decides: where what stands in it, and how a head is known.
 *
 * A chunk file begins with its own head (twice, each copy on a page of its own), then records follow, each:
 *
 *     head (64) | payload | zeros up to a multiple of 64 | foot (64)
 *
 * The payload of a shard is its bytes and, where it has several blocks, their checksums. The foot is the head
 * once more: a flipped bit in either hides nothing. A large shard's bytes stand in a `stretch` that
 * was reserved for them, and its record, written when they are there, says where.
 *
 * Records are written in batches. A batch begins on a page of its own, so that a page with bytes that were
 * acknowledged is never written again; its last record is marked, and the next one is looked for on the
 * next page. Each head names the place of its batch: all that stands before that place was on the disk when
 * the head was written, so only the last batch of a file can be torn.
 *
 * Heads carry a number that was drawn for the file, and their own place: no bytes of a shard, not even those
 * of another chunk file, are taken for a head.
 */
import { crc32 } from 'node:zlib'
import { tableBytesOf } from './checksums.ts'

export const PAGE_BYTES = 4_096
export const UNIT_BYTES = 64
export const HEAD_BYTES = 64
/** Where the first record stands, behind the two copies of the file's head. */
export const FIRST_RECORD_AT = 2 * PAGE_BYTES

export const HEAD_MAGIC = 0x6b68_7254
export const FOOT_MAGIC = 0x6b66_7254
const FILE_MAGIC = Buffer.from('TroupeCk')
const FORMAT = 1

export const NO_TABLE = Buffer.alloc(0)

/** Their numbers on disk are their places in this list. */
const KINDS = [
  /** A shard; the newest of a bid counts. */
  'shard',
  /** `bid` is marked as deleted. */
  'mark',
  /** `bid` is deleted for good, at the time `size`. */
  'tombstone',
  /** From here on the chunk is read-only (`size` 1) or not (0). */
  'status',
  /** Room of `size` bytes, for a shard whose record follows, or never does. */
  'stretch',
  /** What stands in `size` bytes from `dataAt` on was never acknowledged: a batch that a crash tore. */
  'void',
  /** All before it is on the disk; the next batch is written over it. */
  'flushed',
] as const
export type RecordKind = (typeof KINDS)[number]

export interface ChunkRecord {
  kind: RecordKind
  at: number
  batchAt: number
  /** The next record begins on the next page. */
  isLast: boolean
  /** Of a shard: marked as deleted when it was copied. */
  isMarked: boolean
  bid: bigint
  size: number
  /** Of a shard: where its bytes are. */
  dataAt: number
  crc: number
}

/** What of a record does not follow from its place. */
export type RecordBody = Pick<ChunkRecord, 'kind' | 'bid' | 'size' | 'crc' | 'isMarked'> & {
  /** Of a shard whose bytes are elsewhere, or of a void. */
  dataAt?: number
}

export interface ChunkHead {
  vuid: bigint
  bytesMax: number
  salt: Buffer
}

export function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit
}

export function placed(body: RecordBody, at: number, batchAt: number): ChunkRecord {
  const { kind, bid, size, crc, isMarked, dataAt = at + HEAD_BYTES } = body
  return { kind, at, batchAt, isLast: false, isMarked, bid, size, dataAt, crc }
}

export function isInline({ at, dataAt }: Pick<ChunkRecord, 'at' | 'dataAt'>): boolean {
  return dataAt === at + HEAD_BYTES
}

function payloadBytes(record: ChunkRecord): number {
  const { kind, size } = record
  if (kind === 'stretch') return size
  return (kind === 'shard' && isInline(record) ? size : 0) + tableBytes(record)
}

function tableBytes({ kind, size }: ChunkRecord): number {
  return kind === 'shard' ? tableBytesOf(size) : 0
}

/** Where the checksums of a shard's blocks stand. */
export function tableAt(shard: Pick<ChunkRecord, 'at' | 'dataAt' | 'size'>): number {
  return isInline(shard) ? shard.dataAt + shard.size : shard.at + HEAD_BYTES
}

/** Behind the bytes of a shard, or the room for them. */
export function tailAt(record: ChunkRecord): number {
  return record.at + HEAD_BYTES + payloadBytes(record) - tableBytes(record)
}

export function footAt(record: ChunkRecord): number {
  return record.at + roundUp(HEAD_BYTES + payloadBytes(record), UNIT_BYTES)
}

export function endOf(record: ChunkRecord): number {
  return footAt(record) + HEAD_BYTES
}

export function nextAt(record: ChunkRecord): number {
  return record.isLast ? roundUp(endOf(record), PAGE_BYTES) : endOf(record)
}

/** Of a record without a payload. */
export const BARE_BYTES = 2 * HEAD_BYTES

/** What a stretch for so many bytes takes. */
export function stretchBytes(size: number): number {
  return roundUp(HEAD_BYTES + size, UNIT_BYTES) + HEAD_BYTES
}

/** All that a shard takes of its file. */
export function shardBytes(shard: Pick<ChunkRecord, 'at' | 'dataAt' | 'size'>): number {
  const { size } = shard
  const table = tableBytesOf(size)
  if (isInline(shard)) return stretchBytes(size + table)
  return stretchBytes(table) + roundUp(stretchBytes(size), PAGE_BYTES)
}

export function encodeHead(record: ChunkRecord, salt: Buffer, magic = HEAD_MAGIC): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32LE(magic, 0)
  salt.copy(head, 8)
  head.writeUIntLE(record.at, 16, 6)
  head[22] = KINDS.indexOf(record.kind)
  head[23] = (record.isLast ? 1 : 0) | (record.isMarked ? 2 : 0)
  head.writeBigUInt64LE(record.bid, 24)
  head.writeUIntLE(record.size, 32, 6)
  head.writeUIntLE(record.dataAt, 40, 6)
  head.writeUIntLE(record.batchAt, 48, 6)
  head.writeUInt32LE(record.crc, 56)
  head.writeUInt32LE(crc32(head.subarray(8), magic), 4)
  return head
}

/** What follows the payload of a record: the checksums of its blocks, zeros, the foot. */
export function encodeTail(record: ChunkRecord, salt: Buffer, table: Buffer): Buffer {
  const padding = footAt(record) - record.at - HEAD_BYTES - payloadBytes(record)
  return Buffer.concat([table, Buffer.alloc(padding), encodeHead(record, salt, FOOT_MAGIC)])
}

/** All of a record without a payload. */
export function encodeBare(record: ChunkRecord, salt: Buffer): Buffer {
  return Buffer.concat([encodeHead(record, salt), encodeTail(record, salt, NO_TABLE)])
}

/** Undefined when there is none. */
export function decodeHead(head: Buffer, salt: Buffer, magic: number): ChunkRecord | undefined {
  if (head.length < HEAD_BYTES || head.readUInt32LE(0) !== magic) return undefined
  const body = head.subarray(8, HEAD_BYTES)
  if (head.readUInt32LE(4) !== crc32(body, magic) || !salt.equals(body.subarray(0, 8))) {
    return undefined
  }
  const kind = KINDS[head[22]!]
  if (kind === undefined) return undefined
  const flags = head[23]!
  return {
    kind,
    at: head.readUIntLE(16, 6),
    batchAt: head.readUIntLE(48, 6),
    isLast: (flags & 1) !== 0,
    isMarked: (flags & 2) !== 0,
    bid: head.readBigUInt64LE(24),
    size: head.readUIntLE(32, 6),
    dataAt: head.readUIntLE(40, 6),
    crc: head.readUInt32LE(56),
  }
}

/** Both copies, with the pages they stand on. */
export function encodeFileHead({ vuid, bytesMax, salt }: ChunkHead): Buffer {
  const pages = Buffer.alloc(FIRST_RECORD_AT)
  const head = pages.subarray(0, HEAD_BYTES)
  FILE_MAGIC.copy(head)
  head.writeUInt32LE(FORMAT, 12)
  salt.copy(head, 16)
  head.writeBigUInt64LE(vuid, 24)
  head.writeUIntLE(bytesMax, 32, 6)
  head.writeUInt32LE(crc32(head.subarray(12)), 8)
  head.copy(pages, PAGE_BYTES)
  return pages
}

/** From the first pages of a file; undefined when neither copy can be read. */
export function decodeFileHead(pages: Buffer): ChunkHead | undefined {
  for (const from of [0, PAGE_BYTES]) {
    const head = pages.subarray(from, from + HEAD_BYTES)
    if (head.length < HEAD_BYTES || !FILE_MAGIC.equals(head.subarray(0, 8))) continue
    if (head.readUInt32LE(8) !== crc32(head.subarray(12))) continue
    if (head.readUInt32LE(12) !== FORMAT) continue
    const salt = Buffer.from(head.subarray(16, 24))
    return { vuid: head.readBigUInt64LE(24), bytesMax: head.readUIntLE(32, 6), salt }
  }
  return undefined
}
