/** Disks: their actors, who is heard, where new units go. */
import type { MachineDefinition } from '../../../../src/index.ts'
import { disk } from './disk.ts'

export { DISK_WATCH, type DiskNews, diskNews } from './disk-news.ts'
export type { DiskRecord, DiskStanding } from './disk-record.ts'
export { DISK_ID_MAX, isReadonly, statusOf } from './disk-record.ts'
export { DiskTable, type DiskView } from './disk-table.ts'
export { type DiskStatus, Disks } from './disks.ts'
export { Heartbeats } from './heartbeats.ts'
export { allUnits, hostsToLose, type Placement, place } from './placement.ts'
export { type DiskRoutesDeps, diskIdOf, diskRoutes, refusing } from './routes.ts'

export const diskMachines: readonly MachineDefinition[] = [disk]
