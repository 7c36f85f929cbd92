/**
 * The family `sealing`: threads that seal sectors, the worker that runs their steps, a manager with a
 * simulated chain, and how people look after all of it. README.md says what it offers; here it is put
 * together.
 */
import { z } from 'zod'
import { type App, type AppContext, defineApp } from '../../src/index.ts'
import { Chain, chainConfig, chainMachines, chainRoutes } from './chain/index.ts'
import { fleetRoutes, threadMetrics, utilVerbs } from './fleet/index.ts'
import { sealingHistory } from './history/index.ts'
import {
  managerConfig,
  managerMachines,
  managerRoutes,
  managerSingletons,
} from './manager/index.ts'
import { sealingThread } from './thread/index.ts'
import { verbGroups } from './verb-groups.ts'
import { sealingVerbs } from './verbs.ts'
import { WdPoStJobs, wdpostMachines, wdpostRoutes, wdpostVerbs } from './wdpost/index.ts'
import { groupKeeper } from './worker-group.ts'

const sealingConfig = z.strictObject({
  /** Without it this node knows sectors only as its threads do. */
  manager: managerConfig.nullable().default(null),
  chain: chainConfig.prefault({}),
})
export type SealingConfig = z.output<typeof sealingConfig>

/** @param beside what a worker that stands alone hosts beside this family: the pools of the platform */
export function sealingWith(beside: readonly App[]): App {
  const sealing: App = defineApp<SealingConfig>({
    name: 'sealing',
    machines: [
      sealingThread,
      sealingHistory,
      ...managerMachines,
      ...chainMachines,
      ...wdpostMachines,
    ],
    singletons: managerSingletons,
    config: sealingConfig.prefault({}),
    routes: (context) => routesOf(context),
    daemons: (context) => [groupKeeper(context)],
    metrics: (context) => threadMetrics(context),
    verbs: [...sealingVerbs(async () => [...beside, sealing]), ...utilVerbs, ...wdpostVerbs],
    verbGroups,
  })
  return sealing
}

function routesOf(context: AppContext<SealingConfig>) {
  const { client, clock, config } = context
  const chain = new Chain(client, clock, config.chain)
  const jobs = new WdPoStJobs(client, clock)
  return [
    ...managerRoutes(context, { config: config.manager, chain, jobs }),
    ...chainRoutes(chain),
    ...wdpostRoutes(jobs, chain),
    ...fleetRoutes(context),
  ]
}
