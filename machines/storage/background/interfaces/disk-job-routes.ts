/**
 * Disks that are emptied, for the verbs `troupe storage drop` and `repair`. Decides: what of a job is shown.
 * Leaves to others: beginning one, which is a matter of the disk (`/storage/disks/:id/…`), and all that follows.
 */
import { z } from 'zod'
import type { ActorRow, AppRoute, Client } from '../../../../src/index.ts'
import { refusal, storageAnswer } from '../../plane/codes/index.ts'
import { diskIdOf, refusing } from '../../plane/disks/index.ts'
import { JOB_KINDS, JOB_MACHINES, type JobKind } from '../disk-jobs/index.ts'
import { diskJobAnswer, diskJobsAnswer } from './answers.ts'
import { conditionOf } from './conditions.ts'

/** Disks that are in hand or wait for it are few; those that are done go after days. */
const JOBS_MAX = 1_000

const jobsQuery = z.object({ type: z.enum(JOB_KINDS).optional() })

export function diskJobRoutes({ client }: { client: Client }): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/storage/disk-jobs',
      summary: 'disks that are dropped or repaired: how far they are, what they wait for',
      schemas: { query: jobsQuery, answer: diskJobsAnswer },
      handle: refusing(async ({ query }) => {
        const kinds = JOB_KINDS.filter((kind) => [null, kind as string].includes(query.get('type')))
        const jobs = await Promise.all(kinds.map((kind) => jobsOf(client, kind)))
        return storageAnswer({ jobs: jobs.flat() })
      }),
    },
    {
      method: 'GET',
      path: '/storage/disk-jobs/:type/:disk',
      summary: 'a disk that is dropped or repaired',
      schemas: { answer: diskJobAnswer },
      handle: refusing(async ({ params }) => {
        const kind = JOB_KINDS.find((one) => one === params['type'])
        const diskId = diskIdOf(params['disk'] ?? '')
        const [job] =
          kind === undefined ? [] : await jobsOf(client, kind, { where: { diskId }, limit: 1 })
        if (job !== undefined) return storageAnswer(job)
        throw refusal(
          911,
          `there is no job ${String(params['type']).slice(0, 32)} of disk ${diskId}`,
        )
      }),
    },
  ]
}

async function jobsOf(
  client: Client,
  kind: JobKind,
  { where, limit = JOBS_MAX }: { where?: Record<string, number>; limit?: number } = {},
) {
  const page = await client.list({
    filter: { machine: JOB_MACHINES[kind], ...(where === undefined ? {} : { where }) },
    sort: { by: 'diskId' },
    limit,
  })
  return page.rows.map((row) => shownJob(kind, row))
}

function shownJob(kind: JobKind, row: ActorRow) {
  const { index, value, createdAt, updatedAt } = row
  const count = (field: string) => Number(index[field] ?? 0)
  // What it waited for then is no matter any more.
  const isHalted = row.parked || row.paused
  const [state = ''] = typeof value === 'string' ? [value] : Object.keys(value)
  return {
    ...{ task_type: kind, disk_id: count('diskId'), state, condition: conditionOf(row) },
    ...{ total: count('total'), done: count('done'), bytes: count('bytes') },
    ...{ moving: count('moving'), still: count('still'), end: index['end'] ?? null },
    why: (isHalted ? row.reason : (index['why'] ?? row.reason)) ?? null,
    until: isHalted ? null : (index['until'] ?? null),
    ...{ created_at: createdAt, updated_at: updatedAt },
  }
}
