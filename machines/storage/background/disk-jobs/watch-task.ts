/**
 * A look at all disks, for those that are to be emptied. Decides: that each has its job, and which jobs that have
 * a place are not there any more. Leaves to others: whose turn it is (`places.ts`).
 */
import { z } from 'zod'
import { type Client, nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { jobAddress, kindFor } from './job-kinds.ts'
import { portsOf } from './ports.ts'

const RETRY = { attemptsMax: 5, initialMs: 500, backoffMaxMs: 5_000 }
/** Questions under way at a time. */
const AT_ONCE = 16

const input = z.object({
  /** Those that have a place, or wait for one. */
  jobs: z.array(z.string()),
})

export interface Watched {
  at: number
  /** There is no such actor. */
  gone: string[]
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
  const known = new Set(attempt.input.jobs)
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
  const gone = await missing(client, attempt.input.jobs)
  const { diskConcurrency: concurrency, collectMs } = limits
  return { at: clock.now(), gone, begun, concurrency, collectMs }
}

async function missing(client: Client, jobs: readonly string[]): Promise<string[]> {
  const gone: string[] = []
  for (let from = 0; from < jobs.length; from += AT_ONCE) {
    const some = jobs.slice(from, from + AT_ONCE)
    const isThere = await Promise.all(some.map((job) => livesAt(client, job)))
    gone.push(...some.filter((_, at) => !isThere[at]))
  }
  return gone
}

async function livesAt(client: Client, job: string): Promise<boolean> {
  try {
    return (await client.get(job)).status === 'active'
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return false
    throw thrown
  }
}
