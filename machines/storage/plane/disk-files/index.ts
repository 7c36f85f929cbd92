/** The chunk files of one disk. */
export type { ChunkStat, ShardBody } from './chunk.ts'
export {
  CHUNK_BYTES_MAX,
  DiskFiles,
  type DiskFilesOptions,
  type DiskUsage,
} from './disk-files.ts'
export {
  isOfShard,
  type Range,
  type ShardBytes,
  type ShardFailure,
  type WantedBytes,
} from './shard-bytes.ts'
export type { ShardInfo } from './shard-index.ts'
