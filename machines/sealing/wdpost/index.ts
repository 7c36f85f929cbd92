/** The room of window proofs: a class for the manager, its machine, routes and verbs. */
import type { MachineDefinition } from '../../../src/index.ts'
import { wdpostJobMachine } from './job.ts'

export { wdpostVerbGroups } from '../verb-groups.ts'
export { type WdPoStDetail, WdPoStJobs, type WdPoStRequest, type WdPoStSummary } from './jobs.ts'
export { wdpostRoutes } from './routes.ts'
export { wdpostVerbs } from './verbs.ts'

export const wdpostMachines: readonly MachineDefinition[] = [wdpostJobMachine]
