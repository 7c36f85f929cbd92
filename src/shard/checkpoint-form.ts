/**
 * The form of a checkpoint: which rows of a shard stand in it, its chunks, and its record.
 *
 * Decides: that a chunk is complete in itself; that the chunks are one after the other what the
 * record says, by a digest that goes through all of them; and that rows of a node's own (raw records,
 * what was set aside) do not travel. Leaves to others: where the bytes lie (ports/checkpoints.ts).
 */
import {
  type CheckpointRecord,
  STORE_KEY_BYTES_MAX,
  type StoreRow,
  type StoreWrite,
} from '../ports/index.ts'
import { hashBytes, pack, unpack } from '../protocol/index.ts'
import { begin, HEAD, TABLE } from './keys.ts'
import { decodeRun, eachRow, encodeRun, type RowRun } from './row-run.ts'

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

const FORM = 2

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
  const writes = rows.map(({ key, value }): StoreWrite => [key, value])
  return encodeRun([FORM, shard, index], writes)
}

/** Its rows where they lie. Undefined when it is not this chunk: damaged bytes may still be rows, of anything. */
export function decodeChunk(shard: number, index: number, bytes: Uint8Array): RowRun | undefined {
  try {
    const { head, rows } = decodeRun(bytes)
    const [form, of, at] = head
    if (form !== FORM || of !== shard || at !== index) return undefined
    return holdsOnlyRowsOf(shard, rows) ? rows : undefined
  } catch {
    return undefined
  }
}

/** Rows that batches write, none of which is removed, and each of which a store takes. */
function holdsOnlyRowsOf(shard: number, run: RowRun): boolean {
  const { from, to } = checkpointRange(shard)
  const { bytes } = run
  let isSo = true
  eachRow(run, (keyAt, keyLength, valueLength) => {
    const table = bytes[keyAt + HEAD - 1] ?? 0
    const isOfShard = bytes[keyAt] === from[0] && bytes[keyAt + 1] === from[1]
    const isInside = table >= from[HEAD - 1]! && table < to[HEAD - 1]!
    const isKey = keyLength >= HEAD && keyLength <= STORE_KEY_BYTES_MAX
    if (!isKey || valueLength < 0 || !isOfShard || !isInside) isSo = false
  })
  return isSo
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
