/** The room of upkeep: shards that have to be made whole again, and blobs that have to go, as actors. */
import { blobDelete } from './blob-delete.ts'
import { shardRepair } from './shard-repair.ts'

export { openUpkeep, type UpkeepPorts } from './ports.ts'
export { Upkeep } from './upkeep.ts'
export { upkeepMetrics } from './upkeep-metrics.ts'

export const upkeepMachines = [shardRepair, blobDelete] as const
