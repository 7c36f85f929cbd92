/**
 * The background tasks of the store: units that move, disks that are emptied, usage that is levelled, volumes
 * that are inspected. Here they are put together with the plane that they work on.
 */
import type {
  AppContext,
  AppDaemon,
  AppMetric,
  AppOptions,
  AppRoute,
  MachineDefinition,
} from '../../../src/index.ts'
import type { StorageConfig } from '../config.ts'
import { partsOf } from '../plane/parts.ts'
import { switchMachines, switchSingletons } from '../switches/index.ts'
import { balanceMachines, balanceSingletons, openBalance } from './balance/index.ts'
import { diskJobMachines, diskJobSingletons, openDiskJobs } from './disk-jobs/index.ts'
import { Inspections, inspectMachines, inspectSingletons, openInspect } from './inspect/index.ts'
import { backgroundMetrics as metricsOf, backgroundRoutes as routesOf } from './interfaces/index.ts'
import {
  laneMachines,
  laneSingletons,
  openLanes,
  openWorkerQueue,
  WorkerQueues,
} from './lanes/index.ts'
import { Moves, moveMachines, openMoves } from './moves/index.ts'

export const backgroundMachines: readonly MachineDefinition[] = [
  ...switchMachines,
  ...moveMachines,
  ...laneMachines,
  ...diskJobMachines,
  ...balanceMachines,
  ...inspectMachines,
]

/** The switches first: the others ask them how they stand. */
export const backgroundSingletons: NonNullable<AppOptions<unknown>['singletons']> = [
  ...switchSingletons,
  ...laneSingletons,
  ...diskJobSingletons,
  ...balanceSingletons,
  ...inspectSingletons,
]

/** What the rooms of background tasks share on a node. */
interface Parts {
  readonly moves: Moves
  readonly queues: WorkerQueues
  readonly inspections: Inspections
}

/** By the section of the configuration: that is what a task has of its node's app, too. */
const made = new WeakMap<object, Parts>()

function backgroundOf(context: AppContext<StorageConfig>): Parts {
  const known = made.get(context.config)
  if (known) return known
  const { client, clock, random, config } = context
  const { lanes, inspect } = config.background
  const { views, table, blobnodes: chunks, upkeep } = partsOf(context)
  const moves = new Moves(client, clock, random)
  const parts: Parts = {
    moves,
    queues: new WorkerQueues({ client, clock, settings: lanes }),
    inspections: new Inspections({
      ...{ client, clock, random, settings: inspect, views, table, chunks, moves, upkeep },
    }),
  }
  made.set(context.config, parts)
  return parts
}

/** Stopped before the plane: what its tasks work with is the plane's. */
export function backgroundDaemon(context: AppContext<StorageConfig>): AppDaemon {
  return {
    name: 'storage background',
    start: async () => open(context),
    stop: async () => {
      backgroundOf(context).queues.close()
      made.delete(context.config)
    },
  }
}

/** Tasks of this node have what they work with from here on. */
function open(context: AppContext<StorageConfig>): void {
  const { config, random } = context
  const { lanes, diskJobs, balance, inspect } = config.background
  const { calls, views, table, disks, blobnodes: shards, upkeep } = partsOf(context)
  const { moves } = backgroundOf(context)
  openLanes(config, lanes)
  openInspect(config, inspect)
  openMoves(config, {
    ...{ calls, views, table, shards, openQueue: openWorkerQueue },
    upkeep: {
      repair: (message) => upkeep.repair(message),
      remove: (blob) =>
        upkeep.remove({ ...blob, unitsMarked: [], isMarked: false, isLeftover: false }),
    },
  })
  openDiskJobs(config, { disks, table, views, calls, moves, limits: diskJobs })
  openBalance(config, {
    ...{ disks, table, views, calls, moves, limits: balance },
    random: () => random.fraction(),
  })
}

export function backgroundRoutes(context: AppContext<StorageConfig>): AppRoute[] {
  const { client, clock, leader, node, config } = context
  const { goTimes } = config.background
  const { views, table, switches } = partsOf(context)
  return routesOf({
    ...{ client, clock, leader, node, goTimes, views, table, switches },
    ...backgroundOf(context),
  })
}

export function backgroundMetrics(context: AppContext<StorageConfig>): AppMetric[] {
  const { client, clock, leader, node } = context
  return metricsOf({ client, clock, leader, node, switches: partsOf(context).switches })
}
