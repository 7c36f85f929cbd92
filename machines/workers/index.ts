/**
 * The family `workers`: who runs tasks, in which groups, and how operators take them out of service.
 * README.md says what it offers; here it is put together.
 */
import { type AppContext, type AppDaemon, defineApp } from '../../src/index.ts'
import { Groups } from './groups.ts'
import { lazyWorkers } from './light.ts'
import { worker, workerGroup } from './machines.ts'
import { operatorRoutes } from './routes.ts'
import { verbs } from './verbs.ts'
import { Workers } from './workers.ts'

interface Parts {
  groups: Groups
  workers: Workers
}

/** One of each per node, however many parts of the app ask for it. */
const made = new WeakMap<AppContext, Parts>()

function partsOf(context: AppContext): Parts {
  const known = made.get(context)
  if (known) return known
  const parts = { groups: new Groups(context), workers: new Workers(context) }
  made.set(context, parts)
  return parts
}

export const workers = defineApp({
  name: 'workers',
  machines: [worker, workerGroup],
  workers: (context) => {
    const { groups, workers: all } = partsOf(context)
    return {
      authenticate: (claim) => groups.authenticate(claim),
      heard: (report) => all.heard(report),
      queuesOf: (group) => groups.queuesOf(group),
      overheard: (report) => all.overheard(report),
    }
  },
  routes: (context) => {
    const { groups, workers: all } = partsOf(context)
    return operatorRoutes(groups, all)
  },
  daemons: (context) => [follower(context)],
  verbs,
  verbGroups: lazyWorkers.verbGroups,
})

/** Changes that operators make by any way reach the worker at once. */
function follower(context: AppContext): AppDaemon {
  const stop = new AbortController()
  let following = Promise.resolve()
  return {
    name: 'follows workers',
    start: async () => {
      following = partsOf(context).workers.follow(stop.signal)
    },
    stop: async () => {
      stop.abort()
      await following
    },
  }
}
