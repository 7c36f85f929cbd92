/** The room of upkeep: shards that have to be made whole again, and blobs that have to go, as actors. */
import type { AppOptions } from '../../../../src/index.ts'
import { blobDelete } from './blob-delete.ts'
import { upkeepCounters } from './counters.ts'
import { UPKEEP_KINDS } from './kinds.ts'
import { shardRepair } from './shard-repair.ts'

export { type CountersView, countersView, type UpkeepCounters } from './counters.ts'
export { DeletePace } from './delete-pace.ts'
export { commonSize, type Finding, findingOf } from './findings.ts'
export { countersAddress, UPKEEP_KINDS, type UpkeepKind } from './kinds.ts'
export { type UpkeepConfig, upkeepConfig } from './limits.ts'
export { type RepairMessage, removalAddress } from './messages.ts'
export { openUpkeep, type UpkeepPorts } from './ports.ts'
export { upkeepRoutes } from './routes.ts'
export { type OpenMessage, type Removal, Upkeep, type UpkeepView } from './upkeep.ts'
export { upkeepMetrics } from './upkeep-metrics.ts'

export const upkeepMachines = [shardRepair, blobDelete, upkeepCounters] as const
export const upkeepSingletons: NonNullable<AppOptions<unknown>['singletons']> = UPKEEP_KINDS.map(
  (kind) => ({ machine: upkeepCounters.name, id: kind, input: { kind } }),
)
