/** The section `storage.background`: one part per room that has settings. */
import { z } from 'zod'
import { openSwitches } from '../switches/index.ts'
import { balanceConfig } from './balance/index.ts'
import { diskJobsConfig } from './disk-jobs/index.ts'
import { inspectConfig } from './inspect/index.ts'
import { lanesConfig } from './lanes/index.ts'

export const backgroundConfig = z.strictObject({
  /** Of the switches, those that are open when the store is installed; later on operators say. */
  open: openSwitches,
  /** Times of tasks as the old scheduler prints them, and few programs can read, instead of RFC 3339. */
  goTimes: z.boolean().default(false),
  lanes: lanesConfig.prefault({}),
  diskJobs: diskJobsConfig.prefault({}),
  balance: balanceConfig.prefault({}),
  inspect: inspectConfig.prefault({}),
})
export type BackgroundConfig = z.output<typeof backgroundConfig>
