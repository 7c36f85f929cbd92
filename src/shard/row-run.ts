/**
 * Rows as one run of bytes behind a head: the form of slots and of chunks of checkpoints.
 *
 * Decides: that rows are read where they lie. Who replays a journal meets each row for a moment only; an
 * object for every key and value on the way to the store costs more than the store itself. So keys and
 * values that are handed out are views: they keep the bytes of the whole run in memory.
 * Leaves to others: what stands in the head, and what rows mean.
 *
 * `length of the head (2) | head, packed | for each row: length of the key (2), of the value (4), key, value`;
 * numbers are little-endian.
 */
import type { StoreWrite } from '../ports/index.ts'
import { invariant, pack, TroupeError, unpack } from '../protocol/index.ts'

const HEAD_LENGTH_BYTES = 2
const HEAD_BYTES_MAX = 0xffff
/** Of both lengths of a row. */
const LENGTHS_BYTES = 6
const KEY_BYTES_MAX = 0xffff
/** In place of the length of a value: the row is removed. */
const NO_VALUE = -1

/** Rows that were read from bytes, all of them whole. */
export interface RowRun {
  readonly bytes: Uint8Array
  /** Where the first row begins; the last one ends where the bytes do. */
  readonly from: number
  readonly count: number
}

export function encodeRun(head: readonly unknown[], writes: readonly StoreWrite[]): Uint8Array {
  const packed = pack(head)
  invariant(packed.length <= HEAD_BYTES_MAX, 'the head of a run is short')
  let length = HEAD_LENGTH_BYTES + packed.length
  for (const [key, value] of writes) length += LENGTHS_BYTES + key.length + (value?.length ?? 0)
  const bytes = Buffer.allocUnsafeSlow(length)
  bytes.writeUInt16LE(packed.length)
  bytes.set(packed, HEAD_LENGTH_BYTES)
  let at = HEAD_LENGTH_BYTES + packed.length
  for (const [key, value] of writes) {
    invariant(key.length <= KEY_BYTES_MAX, 'the key of a row is short')
    bytes.writeUInt16LE(key.length, at)
    bytes.writeInt32LE(value?.length ?? NO_VALUE, at + 2)
    at += LENGTHS_BYTES
    bytes.set(key, at)
    at += key.length
    if (value === null) continue
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

/** @throws TroupeError `malformed` when the bytes are not one whole run */
export function decodeRun(bytes: Uint8Array): { head: unknown[]; rows: RowRun } {
  if (bytes.length < HEAD_LENGTH_BYTES) throw malformed('they have no head')
  const view = viewOf(bytes)
  const from = HEAD_LENGTH_BYTES + view.getUint16(0, true)
  const head = unpack(bytes.subarray(HEAD_LENGTH_BYTES, from))
  if (!Array.isArray(head)) throw malformed('their head is no list')
  return { head, rows: { bytes, from, count: countRows(view, from) } }
}

function countRows(view: DataView, from: number): number {
  const end = view.byteLength
  let at = from
  let count = 0
  while (at + LENGTHS_BYTES <= end) {
    const valueLength = view.getInt32(at + 2, true)
    if (valueLength < NO_VALUE) throw malformed('a value has no length')
    at += LENGTHS_BYTES + view.getUint16(at, true) + Math.max(0, valueLength)
    count += 1
  }
  if (at !== end) throw malformed('their last row is cut off')
  return count
}

/** A row where it lies: its key from `keyAt` on, then its value, if it has one. */
type VisitRow = (keyAt: number, keyLength: number, valueLength: number) => void

/** In the order of the run. */
export function eachRow({ bytes, from }: RowRun, visit: VisitRow): void {
  const view = viewOf(bytes)
  const end = view.byteLength
  for (let at = from; at < end; ) {
    const keyLength = view.getUint16(at, true)
    const valueLength = view.getInt32(at + 2, true)
    at += LENGTHS_BYTES
    visit(at, keyLength, valueLength)
    at += keyLength + Math.max(0, valueLength)
  }
}

/** A row as `eachRow` tells it. */
export function rowAt(
  { bytes }: RowRun,
  keyAt: number,
  keyLength: number,
  valueLength: number,
): StoreWrite {
  const key = part(bytes, keyAt, keyLength)
  return [key, valueLength === NO_VALUE ? null : part(bytes, keyAt + keyLength, valueLength)]
}

/** All rows in their order. */
export function writesOf(run: RowRun): StoreWrite[] {
  const writes: StoreWrite[] = []
  eachRow(run, (...row) => writes.push(rowAt(run, ...row)))
  return writes
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/** Half as dear as `subarray` of a Buffer. */
function part({ buffer, byteOffset }: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset + at, length)
}

function malformed(why: string): TroupeError {
  return new TroupeError('malformed', `the bytes are not rows of Troupe: ${why}`)
}
