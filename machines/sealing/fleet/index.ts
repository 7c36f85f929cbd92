/** The room of the fleet: all workers and threads as people see them and look after them. */
import type { AppContext, AppRoute } from '../../../src/index.ts'
import { Fleet } from './fleet.ts'
import { fleetRoutes as routesOf } from './routes.ts'

export { Fleet, type ThreadFilter } from './fleet.ts'
export { threadMetrics } from './thread-metrics.ts'
export { utilVerbs } from './util-verbs.ts'

export function fleetRoutes(context: Pick<AppContext, 'client' | 'clock'>): AppRoute[] {
  return routesOf(new Fleet(context), context.client)
}
