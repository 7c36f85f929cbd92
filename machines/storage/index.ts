/**
 * The family `storage`: a small erasure-coded store of real bytes, with every volume and every disk an
 * actor. README.md says what it offers; here it is put together, room by room.
 */
import { type AppContext, type AppRoute, defineApp } from '../../src/index.ts'
import {
  backgroundDaemon,
  backgroundMachines,
  backgroundMetrics,
  backgroundRoutes,
  backgroundSingletons,
} from './background/index.ts'
import { type StorageConfig, storageConfig } from './config.ts'
import { accessRoutes } from './plane/access/index.ts'
import { clustermgrRoutes } from './plane/clustermgr-routes.ts'
import { diskMachines, diskRoutes } from './plane/disks/index.ts'
import { partsOf, planeDaemon } from './plane/parts.ts'
import {
  upkeepMachines,
  upkeepMetrics,
  upkeepRoutes,
  upkeepSingletons,
} from './plane/upkeep/index.ts'
import { volumeMachines, volumeRoutes, volumeSingletons } from './plane/volumes/index.ts'
import { verbGroups } from './verb-groups.ts'
import { storageVerbs } from './verbs.ts'

export const storage = defineApp<StorageConfig>({
  name: 'storage',
  machines: [...diskMachines, ...volumeMachines, ...upkeepMachines, ...backgroundMachines],
  singletons: [...volumeSingletons, ...backgroundSingletons, ...upkeepSingletons],
  config: storageConfig.prefault({}),
  routes: (context) => routesOf(context),
  // Stopped in the opposite order: what others need, last.
  daemons: (context) => {
    const { heartbeats, strays, volumes, switches } = partsOf(context)
    const opened = switches.daemon(context.config.background.open)
    return [
      ...[planeDaemon(context), backgroundDaemon(context), opened],
      ...[heartbeats.daemon(), strays.daemon(), volumes.daemon()],
    ]
  },
  metrics: (context) => [...upkeepMetrics(context), ...backgroundMetrics(context)],
  verbs: storageVerbs,
  verbGroups,
})

function routesOf(context: AppContext<StorageConfig>): AppRoute[] {
  const parts = partsOf(context)
  const { volumes, blobnodes: shards, erasure, upkeep, config } = parts
  const { clock, log } = context
  return [
    ...diskRoutes(parts),
    ...volumeRoutes(parts),
    ...clustermgrRoutes(parts),
    ...upkeepRoutes(upkeep),
    ...backgroundRoutes(context),
    ...accessRoutes({
      ...{ volumes, shards, erasure, upkeep, clock, log, limits: context.config.access },
      modeDefault: config.defaultMode,
    }),
  ]
}
