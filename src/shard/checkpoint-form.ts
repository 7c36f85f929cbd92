/**
 * The form of a checkpoint: which rows of a shard stand in it, its chunks, and its record.
 *
 * Decides: that a chunk is one pack, complete in itself; that the chunks are one after the other what the
 * record says, by a digest that goes through all of them; and that rows of a node's own (raw records,
 * what was set aside) do not travel. Leaves to others: where the bytes lie (ports/checkpoints.ts).
 */
import type { CheckpointRecord, StoreRow } from '../ports/index.ts'
import { hashBytes, pack, unpack } from '../protocol/index.ts'
import { begin, TABLE } from './keys.ts'

/** What the record of a checkpoint says. */
export interface Checkpoint {
  slot: number
  /** Of the record in that slot: the checkpoint belongs to one chain only. */
  hash: string
  /** Whose chunks they are. */
  attempt: string
  chunks: number
  /** Of all rows in all chunks. */
  rows: number
  digest: string
}

const FORM = 1

export const EMPTY_DIGEST = '0'.repeat(16)

/** Every row that batches write, and nothing else: what a node adds lies before and behind. */
export function checkpointRange(shard: number): { from: Buffer; to: Buffer } {
  return { from: begin(shard, TABLE.applied + 1, 0), to: begin(shard, TABLE.tail, 0) }
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { slot, hash, attempt, chunks, rows, digest } = checkpoint
  return pack([FORM, slot, hash, attempt, chunks, rows, digest])
}

/** Undefined when this version cannot read it: then it is no checkpoint for this node. */
export function decodeCheckpoint({ slot, value }: CheckpointRecord): Checkpoint | undefined {
  const [form, at, hash, attempt, chunks, rows, digest] = listOf(value)
  if (form !== FORM || at !== slot || typeof hash !== 'string') return undefined
  if (typeof attempt !== 'string' || typeof digest !== 'string') return undefined
  if (typeof chunks !== 'number' || typeof rows !== 'number') return undefined
  return { slot, hash, attempt, chunks, rows, digest }
}

export function encodeChunk(shard: number, index: number, rows: readonly StoreRow[]): Uint8Array {
  return pack([FORM, shard, index, rows.map(({ key, value }) => [key, value])])
}

/** Undefined when it is not this chunk: damaged bytes may still unpack, to anything. */
export function decodeChunk(
  shard: number,
  index: number,
  bytes: Uint8Array,
): StoreRow[] | undefined {
  const [form, of, at, rows] = listOf(bytes)
  if (form !== FORM || of !== shard || at !== index || !Array.isArray(rows)) return undefined
  const range = checkpointRange(shard)
  const read = rows.map((row: unknown) => rowOf(row, range))
  return read.every((row) => row !== undefined) ? read : undefined
}

/** A row of this shard that batches write, or nothing. */
function rowOf(row: unknown, { from, to }: { from: Buffer; to: Buffer }): StoreRow | undefined {
  const [key, value] = Array.isArray(row) ? (row as unknown[]) : []
  if (!(key instanceof Uint8Array) || !(value instanceof Uint8Array)) return undefined
  const isInside = Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0
  return isInside ? { key, value } : undefined
}

export function digestOf(before: string, chunk: Uint8Array): string {
  return hashBytes(Buffer.from(before + hashBytes(chunk), 'latin1'))
}

function listOf(bytes: Uint8Array): unknown[] {
  try {
    const fields = unpack(bytes)
    return Array.isArray(fields) ? fields : []
  } catch {
    return []
  }
}
