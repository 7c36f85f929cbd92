/**
 * Statistics over HTTP, at the paths of the old scheduler and of its later versions. Decides: that the node that
 * leads tells of everything at `/stats`, and every other node of repairs and deletions only, as of old; that
 * `/leader/stats` can be asked of any. Leaves to others: the figures (`figures.ts`), their form (`stats.ts`).
 */
import { z } from 'zod'
import {
  type AppContext,
  type AppRequest,
  type AppRoute,
  TroupeError,
} from '../../../../src/index.ts'
import { storageAnswer } from '../../plane/codes/index.ts'
import { diskIdOf } from '../../plane/disks/index.ts'
import { JOB_KINDS, type JobKind } from '../disk-jobs/index.ts'
import { allStatsAnswer, statsAnswer } from './answers.ts'
import { disksOf, type FigureSources, figuresOf, ownFiguresOf } from './figures.ts'
import { numbered, SeedRefusal } from './seed-forms.ts'
import { allStats, ownStats } from './stats.ts'

export type StatsRoutesDeps = FigureSources & Pick<AppContext, 'leader' | 'node'>

const statsQuery = z.object({
  /** `true`: arrays of numbers beside the windows, all disks in hand, and why lanes stand. */
  extended: z.enum(['true', 'false']).optional(),
})
const migratingQuery = z.object({
  task_type: z.string().optional(),
  disk_id: z.string().optional(),
})
const migratingAnswer = z.object({ total_tasks_cnt: z.int(), migrated_tasks_cnt: z.int() })

/** As the later versions say it. */
const NOT_IN_HAND: Readonly<Record<JobKind, string>> = {
  disk_drop: 'not dropping disk',
  disk_repair: 'not repairing disk',
}

export function statsRoutes(deps: StatsRoutesDeps): AppRoute[] {
  const get = (
    path: string,
    summary: string,
    schemas: NonNullable<AppRoute['schemas']>,
    answer: (request: AppRequest) => Promise<object>,
  ) =>
    numbered({
      ...{ method: 'GET', path, summary, schemas, isFrequent: true },
      handle: async (request) => storageAnswer(await answer(request)),
    })
  const all = async ({ query }: AppRequest) => allStats(await figuresOf(deps), isExtended(query))
  const ofAll = { query: statsQuery, answer: allStatsAnswer }
  return [
    get(
      '/stats',
      'background tasks as this node tells of them: all on the node that leads, else repairs and deletions',
      { query: statsQuery, answer: statsAnswer },
      async (request) =>
        deps.leader.name() === deps.node
          ? all(request)
          : ownStats(await ownFiguresOf(deps), isExtended(request.query)),
    ),
    get('/leader/stats', 'all background tasks', ofAll, all),
    get('/stats/leader', 'the same as /leader/stats, as later versions have it', ofAll, all),
    get(
      '/stats/disk/migrating',
      'how far a disk is that is dropped or repaired',
      { query: migratingQuery, answer: migratingAnswer },
      async ({ query }) => migrating(deps, query),
    ),
  ]
}

async function migrating(deps: StatsRoutesDeps, query: URLSearchParams): Promise<object> {
  const kind = JOB_KINDS.find((one) => one === query.get('task_type'))
  if (kind === undefined) throw new SeedRefusal(400, 'illegal_type', 'illegal task type')
  const diskId = diskIdOf(query.get('disk_id') ?? '')
  const disk = (await disksOf(deps, kind)).find((one) => one.diskId === diskId)
  if (disk === undefined) throw new TroupeError('internal', NOT_IN_HAND[kind])
  return { total_tasks_cnt: disk.total, migrated_tasks_cnt: disk.done }
}

function isExtended(query: URLSearchParams): boolean {
  return query.get('extended') === 'true'
}
