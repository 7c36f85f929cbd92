/**
 * The interfaces of the background tasks: what programs of the old store, workers and operators call, and what
 * they are told.
 */
import type { AppRoute } from '../../../../src/index.ts'
import { diskJobRoutes } from './disk-job-routes.ts'
import { operatorRoutes } from './operator-routes.ts'
import { type StandingRoutesDeps, standingRoutes } from './standing-routes.ts'
import { type StatsRoutesDeps, statsRoutes } from './stats-routes.ts'
import { switchRoutes } from './switch-routes.ts'
import { type TaskRoutesDeps, taskRoutes } from './task-routes.ts'
import { type WorkerRoutesDeps, workerRoutes } from './worker-routes.ts'

export { backgroundMetrics } from './metrics.ts'

type InterfaceDeps = StandingRoutesDeps & StatsRoutesDeps & TaskRoutesDeps & WorkerRoutesDeps

export function backgroundRoutes(deps: InterfaceDeps): AppRoute[] {
  return [
    ...statsRoutes(deps),
    ...taskRoutes(deps),
    ...workerRoutes(deps),
    ...switchRoutes(deps),
    ...operatorRoutes(deps),
    ...diskJobRoutes(deps),
    ...standingRoutes(deps),
  ]
}
