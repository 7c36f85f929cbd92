/** The room of the blobnode: the process with the disks, and the client that nodes call it with. */
export { Blobnode, type BlobnodeDeps, type BlobnodeOptions } from './blobnode.ts'
export { BufferPool } from './buffer-pool.ts'
export {
  BlobnodeClient,
  type BlobnodeClientOptions,
  type CallOptions,
  type GetOptions,
  type UnitPlace,
} from './client.ts'
export { COPY_MS_MAX, type CopyFailure, type WantedShard } from './copy-shards.ts'
export type {
  ChunkStat,
  DiskOpener,
  DiskStore,
  DiskUsage,
  ShardBytes,
  ShardFailure,
  ShardInfo,
  WantedBytes,
} from './disk-store.ts'
export type { IoKind } from './io-kinds.ts'
export { bytesOf, type PutShard } from './many-shards.ts'
export type { FarChunks, NearChunks } from './near-chunks.ts'
export { NodeList, type NodeRequest, type NodeText } from './node-calls.ts'
export { COPY_COUNT_MAX, LIST_COUNT_MAX, MANY_BYTES_MAX, SHARD_BYTES_MAX } from './paths.ts'
