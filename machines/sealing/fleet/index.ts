/** The room of the fleet: all workers and threads as people see them and look after them. */
import type { AppContext, AppRoute, AppVerb } from '../../../src/index.ts'
import { Fleet } from './fleet.ts'
import { historyVerb } from './history-verb.ts'
import { fleetRoutes as routesOf } from './routes.ts'
import { threadsVerbGroups, threadsVerbs } from './threads-verbs.ts'
import { utilVerbGroups, utilVerbs } from './util-verbs.ts'
import { workerVerb } from './worker-verbs.ts'

export { Fleet, type ThreadFilter } from './fleet.ts'
export { threadMetrics } from './thread-metrics.ts'

export function fleetRoutes(context: Pick<AppContext, 'client' | 'clock'>): AppRoute[] {
  return routesOf(new Fleet(context), context.client)
}

export const fleetVerbs: readonly AppVerb[] = [
  workerVerb,
  ...utilVerbs,
  ...threadsVerbs,
  historyVerb,
]
export const fleetVerbGroups = { ...utilVerbGroups, ...threadsVerbGroups }
