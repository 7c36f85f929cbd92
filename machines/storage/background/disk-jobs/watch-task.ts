/**
 * A look at all disks, for those that are to be emptied, and at all jobs. Decides: that each disk has its job, which
 * jobs that have a place are done or not there any more, and which have one that the watch does not know of. Leaves
 * to others: whose turn it is (`places.ts`).
 */
import { z } from 'zod'
import {
  type ActorView,
  type Client,
  nodeOf,
  type TaskAttempt,
  task,
} from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { JOB_KINDS, JOB_MACHINES, jobAddress, kindFor } from './job-kinds.ts'
import type { InHand } from './places.ts'
import { portsOf } from './ports.ts'

const RETRY = { attemptsMax: 5, initialMs: 500, backoffMaxMs: 5_000 }
/** Questions under way at a time. */
const AT_ONCE = 16

const input = z.object({
  /** Those that have a place, or wait for one. */
  jobs: z.array(z.string()),
  /** Of those, the ones that have one. */
  inHand: z.array(z.string()),
})

export interface Watched {
  at: number
  /** There is no such actor, or it has done its work. */
  gone: string[]
  /** They empty their disks, and have their places of a watch before this one, which they may have asked again. */
  inHand: InHand[]
  /** Jobs that were missing. */
  begun: string[]
  concurrency: number
  collectMs: number
}

export const watchTask = task<z.output<typeof input>, Watched>({
  name: 'disk-watch-look',
  queue: 'storage.disk-watch',
  runsOn: 'node',
  input,
  retry: RETRY,
  run: watch,
})

async function watch(attempt: TaskAttempt<z.output<typeof input>>): Promise<Watched> {
  const { client, clock } = nodeOf(attempt)
  const { table, limits } = portsOf(attempt)
  const { jobs } = attempt.input
  const known = new Set(jobs)
  const begun: string[] = []
  for (const { diskId, standing } of (await table.all({ fresh: true })).values()) {
    attempt.signal.throwIfAborted()
    const kind = kindFor(standing)
    const job = kind === undefined ? undefined : jobAddress(kind, diskId)
    if (job === undefined || known.has(job)) continue
    // It asks for its place itself.
    await client.ensure(job, { diskId })
    begun.push(job)
  }
  const gone = await those(client, jobs, 'over')
  const inHand = await unknownInHand(client, new Set(attempt.input.inHand))
  const { diskConcurrency: concurrency, collectMs } = limits
  return { at: clock.now(), gone, inHand, begun, concurrency, collectMs }
}

/** There are as many as disks in hand, and those that ended within days. */
async function unknownInHand(client: Client, known: ReadonlySet<string>): Promise<InHand[]> {
  const found: InHand[] = []
  for (const kind of JOB_KINDS) {
    const jobs: string[] = []
    for await (const row of client.rows({ filter: { machine: JOB_MACHINES[kind] } }))
      if (standingOf(row) === 'in hand' && !known.has(row.address)) jobs.push(row.address)
    // A list may be a moment old.
    for (const job of await those(client, jobs, 'in hand')) found.push({ kind, job })
  }
  return found
}

/** `waiting` for a place: it asks for it again by itself. */
type JobStanding = 'waiting' | 'in hand' | 'over'

/** Of these jobs, those that stand so. */
async function those(
  client: Client,
  jobs: readonly string[],
  wanted: JobStanding,
): Promise<string[]> {
  const found: string[] = []
  for (let from = 0; from < jobs.length; from += AT_ONCE) {
    const some = jobs.slice(from, from + AT_ONCE)
    const standings = await Promise.all(some.map((job) => standingAt(client, job)))
    found.push(...some.filter((_, at) => standings[at] === wanted))
  }
  return found
}

async function standingAt(client: Client, job: string): Promise<JobStanding> {
  const view = await viewOf(client, job)
  return view === undefined ? 'over' : standingOf(view)
}

function standingOf({ status, value }: Pick<ActorView, 'status' | 'value'>): JobStanding {
  if (status !== 'active' || value === 'done') return 'over'
  return typeof value === 'object' && 'queued' in value ? 'waiting' : 'in hand'
}
