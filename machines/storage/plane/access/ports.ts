/**
 * What this room asks of the others, as far as it asks it: units of volumes, the table of volumes, the
 * threads that code, and work that outlives a request. The rooms beside this one fit them as they are.
 */
import type { CodeMode } from '../codes/index.ts'

/** Where a unit of a volume lies. */
export interface UnitPlace {
  address: string
  diskId: number
  vuid: bigint
}

export interface UnitView extends UnitPlace {
  index: number
  /** Its disk is normal and was heard of lately. */
  isUp: boolean
}

export interface VolumeView {
  vid: number
  mode: CodeMode
  /** By index. */
  units: readonly UnitView[]
  /** Of blobs, about. */
  freeBytes: number
}

/** From `from` on, up to but without `to`. */
export interface ByteRange {
  from: number
  to: number
}

/** Shards on blobnodes. @throws StorageRefusal as a blobnode answers; TroupeError where nobody does */
export interface ShardIo {
  putShard(
    at: UnitPlace,
    bid: bigint,
    bytes: Uint8Array,
    /** Bytes that do not fit `crc` are refused, and not stored. */
    options: { crc: number; signal?: AbortSignal },
  ): Promise<unknown>
  /** The blobnode has verified what it gives. */
  getShard(
    at: UnitPlace,
    bid: bigint,
    options?: { range?: ByteRange; signal?: AbortSignal },
  ): Promise<Buffer>
  markDelete(at: UnitPlace, bid: bigint): Promise<unknown>
}

export interface VolumesPort {
  /** @throws StorageRefusal 904 */
  view(vid: number, options?: { fresh?: boolean }): Promise<VolumeView>
  /**
   * Units of which these chunks are all there is, by the volume as it stands now: in their place, with none that is
   * made to follow, and none left that was followed. @throws StorageRefusal 904
   */
  settled(vid: number, vuids: readonly bigint[]): Promise<ReadonlySet<number>>
  /** @throws TroupeError `unavailable` where none can be had */
  writable(
    mode: CodeMode,
    options: { avoid?: ReadonlySet<number>; bytes: number },
  ): Promise<VolumeView>
  wrote(vid: number, bytes: number): void
  failed(vid: number, index: number): void
  /** The first of so many in a row. */
  nextBids(count: number): Promise<bigint>
}

/** Durable when they resolve; the same again is one. */
export interface UpkeepPort {
  repair(message: {
    vid: number
    bid: bigint
    badIndexes: readonly number[]
    reason: string
  }): Promise<void>
  remove(message: {
    vid: number
    bid: bigint
    /** Their shard is marked, or deleted already. */
    unitsMarked: readonly number[]
    /** All units are. */
    isMarked: boolean
    /** Nobody was told of it: its bytes need not be kept for a while. */
    isLeftover: boolean
  }): Promise<void>
}

/** The shards of a blob, side by side in one buffer. */
export interface StripePort {
  readonly shardBytes: number
  /** The blob's bytes; what is behind them is zero. */
  readonly data: Uint8Array
  shard(index: number): Buffer
}

export interface ErasurePort {
  stripe(mode: CodeMode, blobBytes: number): StripePort
  /** @returns the CRC-32 of each shard */
  encode(stripe: StripePort): Promise<number[]>
  rebuild(stripe: StripePort, present: readonly number[], wanted: readonly number[]): Promise<void>
  canRebuild(mode: CodeMode, present: readonly number[], wanted: readonly number[]): boolean
  release(stripe: StripePort): void
}

/** Whether `wanted` follow from `present`. */
export type CanRebuild = ErasurePort['canRebuild']
