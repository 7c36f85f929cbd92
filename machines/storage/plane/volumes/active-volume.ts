/**
 * A volume that this node writes to. Decides: whether a blob may go there now: there is room, its time is
 * not over, nobody wants it back, and so many units are well that the quorum can be had.
 */
import type { Clock } from '../../../../src/index.ts'
import { type CodeMode, shardBytesOf } from '../codes/index.ts'
import { freeBytesOf, type VolumeView } from './volume-views.ts'

/** What a chunk file keeps beside a shard: a head, a foot, checksums, and what is left of a page. */
const RECORD_BYTES = 4_096
/** Below this part of itself a volume is nearly full, and another one is made beside it. */
const NEARLY_FULL = 1 / 8
/** No blob is given to a volume that may be another's by the time it is written. */
const MARGIN_MS = 2_000

export interface ActiveVolumeFacts {
  vid: number
  mode: CodeMode
  chunkBytesMax: number
  chunkBytesUsed: number
}

export class ActiveVolume {
  readonly vid: number
  readonly mode: CodeMode
  readonly #clock: Clock
  readonly #chunkBytesMax: number
  chunkBytesUsed: number
  /** By the clock that never jumps. */
  heldUntil = 0
  retainedAt = 0
  isWantedBack = false
  /** Units that could not be written, and were not found well since. */
  readonly doubts = new Set<number>()
  /** Since when the quorum cannot be had; by the clock that never jumps. */
  weakSince: number | undefined

  constructor(clock: Clock, { vid, mode, chunkBytesMax, chunkBytesUsed }: ActiveVolumeFacts) {
    this.#clock = clock
    this.vid = vid
    this.mode = mode
    this.#chunkBytesMax = chunkBytesMax
    this.chunkBytesUsed = chunkBytesUsed
  }

  get freeBytes(): number {
    const { chunkBytesUsed } = this
    return freeBytesOf({ chunkBytesMax: this.#chunkBytesMax, chunkBytesUsed }, this.mode)
  }

  get capacityBytes(): number {
    const empty = { chunkBytesMax: this.#chunkBytesMax, chunkBytesUsed: 0 }
    return freeBytesOf(empty, this.mode)
  }

  get isNearlyFull(): boolean {
    return this.freeBytes < this.capacityBytes * NEARLY_FULL
  }

  get isHeld(): boolean {
    return this.#clock.monotonic() < this.heldUntil - MARGIN_MS
  }

  /** @param askedAt by the clock that never jumps: before it was asked for */
  held(retainMs: number, askedAt = this.#clock.monotonic()): void {
    this.retainedAt = askedAt
    this.heldUntil = this.retainedAt + retainMs
  }

  wrote(blobBytes: number): void {
    this.chunkBytesUsed += shardBytesOf(this.mode, blobBytes) + RECORD_BYTES
  }

  /** A run of blobs may be larger than a volume: its end goes elsewhere. */
  hasRoom(bytes: number): boolean {
    return this.freeBytes >= Math.min(bytes, this.capacityBytes * NEARLY_FULL)
  }

  hasQuorum({ units }: VolumeView): boolean {
    const { data, parity, putQuorum } = this.mode
    const isWell = ({ index, isUp }: { index: number; isUp: boolean }) =>
      index < data + parity && isUp && !this.doubts.has(index)
    return units.filter(isWell).length >= putQuorum
  }
}
