/** The room of the blobnode: the process with the disks, and the client that nodes call it with. */
export { Blobnode, type BlobnodeDeps, type BlobnodeOptions } from './blobnode.ts'
export {
  BlobnodeClient,
  type BlobnodeClientOptions,
  type CallOptions,
  type GetOptions,
  type UnitPlace,
} from './client.ts'
export type {
  ChunkStat,
  DiskOpener,
  DiskStore,
  DiskUsage,
  ShardBytes,
  ShardInfo,
} from './disk-store.ts'
export type { IoKind } from './io-kinds.ts'
export { LIST_COUNT_MAX, SHARD_BYTES_MAX } from './paths.ts'
