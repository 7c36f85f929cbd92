/**
 * Which bytes lie where, as arithmetic. Decides: the blobs of an object, the parts of them that a range
 * touches, and the shards of a blob that hold a part. Leaves to others: reading them.
 */
import { type CodeMode, shardBytesOf } from '../codes/index.ts'
import type { BlobId } from './blob-id.ts'
import type { ByteRange } from './ports.ts'

/** One blob of an object. */
export interface BlobPlace {
  vid: number
  bid: bigint
  /** As they are stored: of an empty object one. */
  bytes: number
}

/** A part of a blob. */
export interface BlobPart extends BlobPlace {
  range: ByteRange
}

export function* blobsOf({ size, blobBytes, slices }: BlobId): Generator<BlobPlace, void, void> {
  let left = size
  for (const { vid, firstBid, count } of slices) {
    for (let at = 0; at < count; at++) {
      yield { vid, bid: firstBid + BigInt(at), bytes: Math.max(1, Math.min(left, blobBytes)) }
      left -= blobBytes
    }
  }
}

/** In order. An empty range has no parts. What is before the range costs nothing: an id may claim much. */
export function* partsOf(id: BlobId, range: ByteRange): Generator<BlobPart, void, void> {
  if (range.from >= range.to) return
  const { blobBytes, size, slices } = id
  const first = Math.floor(range.from / blobBytes)
  const last = Math.floor((range.to - 1) / blobBytes)
  let sliceAt = 0
  for (const { vid, firstBid, count } of slices) {
    const end = Math.min(sliceAt + count - 1, last)
    for (let at = Math.max(sliceAt, first); at <= end; at++) {
      const begin = at * blobBytes
      const bytes = Math.min(size - begin, blobBytes)
      const part = { from: Math.max(0, range.from - begin), to: Math.min(bytes, range.to - begin) }
      yield { vid, bid: firstBid + BigInt(at - sliceAt), bytes, range: part }
    }
    sliceAt += count
  }
}

/** What is read of a blob. */
export interface ShardWindow {
  /** Data units that hold bytes of the range, in order; of replicas all copies, of which one will do. */
  units: number[]
  /**
   * The same part of each shard. It covers what is wanted of all of them: column for column, other
   * shards make up one that is missing.
   */
  window: ByteRange
}

export function shardWindowOf(mode: CodeMode, blobBytes: number, range: ByteRange): ShardWindow {
  if (mode.kind === 'replica') {
    return { units: Array.from({ length: mode.data }, (_, index) => index), window: range }
  }
  const shardBytes = shardBytesOf(mode, blobBytes)
  const first = Math.floor(range.from / shardBytes)
  const last = Math.floor((range.to - 1) / shardBytes)
  const units = Array.from({ length: last - first + 1 }, (_, at) => first + at)
  if (first < last) return { units, window: { from: 0, to: shardBytes } }
  const begin = first * shardBytes
  return { units, window: { from: range.from - begin, to: range.to - begin } }
}

/** What the window of a data unit has of a range of the blob, counted from the window's begin. */
export function wantedOf(
  mode: CodeMode,
  blobBytes: number,
  range: ByteRange,
  { window }: ShardWindow,
  index: number,
): ByteRange {
  if (mode.kind === 'replica') return { from: 0, to: window.to - window.from }
  const begin = index * shardBytesOf(mode, blobBytes) + window.from
  return {
    from: Math.max(0, range.from - begin),
    to: Math.min(window.to - window.from, range.to - begin),
  }
}
