/** Emptying disks. Decides: how many at once, how much of each at once, and how often what was told is looked at. */
import { z } from 'zod'

/**
 * The reference's `disk_concurrency` is 1, and clusters of it run with hundreds: where disks go one after the other,
 * one whose volumes are written to, or of which a move waits for a person, holds all others up; and volumes that
 * have lost units on two broken disks wait until the first one is done as a whole. Here those come first over all
 * disks in hand. What a cluster does is bounded by the places of the lane, and four disks of four moves are within
 * its 20.
 */
const DISK_CONCURRENCY = 4
const TASK_LIMIT_PER_DISK = 4
/** Disks tell when they are to be emptied: a look finds what was missed. */
const COLLECT_MS = 5_000
const CHECK_MS = 5_000
const FINISHED_KEPT_MS = 3 * 86_400_000

export const diskJobsConfig = z.strictObject({
  /** Disks that are emptied at a time, of each kind. */
  diskConcurrency: z.int().min(1).max(1_000).default(DISK_CONCURRENCY),
  /** Moves that a disk has under way; those that are parked do not count. */
  taskLimitPerDisk: z.int().min(1).max(1_000).default(TASK_LIMIT_PER_DISK),
  /** Between two looks for disks that are to be emptied. */
  collectMs: z.int().min(50).default(COLLECT_MS),
  /** Until what is left on a disk is looked at again; longer where nothing comes of it. */
  checkMs: z.int().min(50).default(CHECK_MS),
  /** How long a job can be read when it has ended. */
  finishedKeptMs: z.int().min(0).default(FINISHED_KEPT_MS),
})
export type DiskJobsConfig = z.output<typeof diskJobsConfig>
