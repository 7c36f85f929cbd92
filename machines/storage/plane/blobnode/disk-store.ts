/** What a blobnode asks of the files of a disk (`disk-files`): the seam that tests put a broken disk behind. */
import type { Clock, Log } from '../../../../src/index.ts'
import type {
  DiskUsage,
  ChunkStat as FilesChunkStat,
  ShardBytes,
  ShardFailure,
  ShardInfo,
  WantedBytes,
} from '../disk-files/index.ts'

export type {
  DiskUsage,
  ShardBytes,
  ShardFailure,
  ShardInfo,
  WantedBytes,
} from '../disk-files/index.ts'

/** What of it travels: the rest is the disk's own. */
export type ChunkStat = Omit<FilesChunkStat, 'deadBytes' | 'damagedBytes'>
export type ChunkStatus = ChunkStat['status']

type Awaitable<T> = T | Promise<T>

export interface DiskStore {
  createChunk(vuid: bigint, bytesMax: number): Promise<void>
  setChunkStatus(vuid: bigint, status: 'readonly' | 'normal'): Promise<void>
  releaseChunk(vuid: bigint, force: boolean): Promise<void>
  statChunk(vuid: bigint): Awaitable<ChunkStat>
  chunks(): Awaitable<readonly ChunkStat[]>
  putShard(
    vuid: bigint,
    bid: bigint,
    size: number,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    crc?: number,
  ): Promise<{ crc: number }>
  readShard(vuid: bigint, bid: bigint, range?: { from: number; to: number }): Promise<ShardBytes>
  /** All of them, one behind the other in `target`, verified; or those that it does not give, and why. */
  readShards(
    vuid: bigint,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
  ): Promise<readonly ShardFailure[]>
  /** Whether all that is kept of it is what was written. */
  verifyShard(vuid: bigint, bid: bigint): Promise<boolean>
  statShard(vuid: bigint, bid: bigint): Awaitable<ShardInfo>
  /** Those of them that it has; of others nothing is said. */
  findShards(vuid: bigint, bids: readonly bigint[]): Awaitable<readonly ShardInfo[]>
  listShards(
    vuid: bigint,
    page: { from: bigint; status: number; count: number },
  ): Awaitable<{ shards: readonly ShardInfo[]; next: bigint }>
  markDeleted(vuid: bigint, bid: bigint): Promise<void>
  deleteShard(vuid: bigint, bid: bigint): Promise<void>
  usage(): Awaitable<DiskUsage>
  probe(): Promise<void>
  /** Of its directory; no other one has it. */
  readonly uuid: string
  /** Why; every call is refused from then on. */
  readonly broken: string | undefined
  close(): Promise<void>
}

export interface OpenDisk {
  directory: string
  diskId: number
  clock: Clock
  log: Log
  onBroken: (why: string) => void
}

export type DiskOpener = (disk: OpenDisk) => Promise<DiskStore>
