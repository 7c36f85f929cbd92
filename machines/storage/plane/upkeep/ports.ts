/**
 * What upkeep needs of the other rooms, and how its tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening and closing it.
 */
import type { CodeMode } from '../codes/index.ts'
import { NodePorts } from '../node-ports.ts'
import type { DeletePace } from './delete-pace.ts'
import type { UpkeepKind } from './kinds.ts'

export interface UnitPlace {
  address: string
  diskId: number
  vuid: bigint
}

/** The mapping of a volume, as far as upkeep looks at it. */
export interface UpkeepVolume {
  readonly mode: CodeMode
  readonly units: readonly (UnitPlace & { readonly index: number })[]
}

interface IoOptions {
  signal?: AbortSignal
  io?: 'repair' | 'delete'
}

/** @throws TroupeError: the blobnode's refusal, or `unavailable` */
export interface UpkeepShards {
  /** Checked against its checksum; a part of it against those of its blocks. `to` is exclusive. */
  getShard(
    at: UnitPlace,
    bid: bigint,
    options?: IoOptions & { range?: { from: number; to: number } },
  ): Promise<Buffer>
  putShard(
    at: UnitPlace,
    bid: bigint,
    bytes: Uint8Array,
    /** Bytes that do not fit `crc` are refused, and not stored. */
    options: IoOptions & { crc: number },
  ): Promise<unknown>
  statShard(at: UnitPlace, bid: bigint, options?: IoOptions): Promise<{ size: number; flag: 1 | 2 }>
  markDelete(at: UnitPlace, bid: bigint, options?: IoOptions): Promise<void>
  deleteShard(at: UnitPlace, bid: bigint, options?: IoOptions): Promise<void>
}

export interface UpkeepStripe {
  readonly shardBytes: number
  shard(index: number): Buffer
}

export interface UpkeepErasure<TStripe extends UpkeepStripe = UpkeepStripe> {
  stripe(mode: CodeMode, blobBytes: number): TStripe
  rebuild(stripe: TStripe, present: readonly number[], wanted: readonly number[]): Promise<void>
  release(stripe: TStripe): void
}

export interface UpkeepPorts {
  volumes: {
    view(vid: number, options?: { fresh?: boolean }): Promise<UpkeepVolume>
    /** Of its units, by index, as they stand now. */
    vuids(vid: number): Promise<readonly bigint[]>
  }
  shards: UpkeepShards
  erasure: UpkeepErasure
  /** Broken, or being repaired: nothing can be deleted there, and it may come back. */
  brokenDisks(): Promise<ReadonlySet<number>>
  /** Whether it is switched on. */
  isOn(kind: UpkeepKind): Promise<boolean>
  deletes: Pick<DeletePace, 'ask'>
}

const ports = new NodePorts<UpkeepPorts>()

export const openUpkeep = ports.open.bind(ports)
export const portsOf = ports.of.bind(ports)
