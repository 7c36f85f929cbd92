/** Whole disks that are emptied: dropped ones and broken ones. */
import type { AppOptions, MachineDefinition } from '../../../../src/index.ts'
import { diskDrop, diskRepair } from './disk-job.ts'
import { diskWatch, diskWatchSingleton } from './disk-watch.ts'

export { type DiskJobsConfig, diskJobsConfig } from './config.ts'
export { disksInHand, type WatchRecord } from './disk-watch.ts'
export { JOB_KINDS, JOB_MACHINES, type JobKind, jobAddress } from './job-kinds.ts'
export { type JobProgress, type JobRecord, progressOf } from './job-record.ts'
export { type DiskJobPorts, openDiskJobs } from './ports.ts'
export { isRefusedMove, ownMove, type StartedMove, startedMove } from './started-moves.ts'

export const diskJobMachines: readonly MachineDefinition[] = [diskDrop, diskRepair, diskWatch]
export const diskJobSingletons: NonNullable<AppOptions<unknown>['singletons']> = [
  diskWatchSingleton,
]
