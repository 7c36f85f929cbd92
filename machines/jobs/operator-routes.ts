/**
 * What the verbs of the command line call: apps and jobs as an operator sees them. Decides: the paths
 * and what they answer. The platform's roles guard them; errors are the platform's too.
 */
import type { AppRequest, AppRoute } from '../../src/index.ts'
import type { Apps } from './apps.ts'
import { WORKER_LOST_POLICIES } from './command.ts'
import { Fields, GROUP_MAX, LINES_MAX } from './fields.ts'
import type { Jobs, JobView, StreamRequest } from './jobs.ts'

/** The app of an operator who names none; made when it is first needed. */
const DEFAULT_APP = 'default'

/** A longer wait is a loop of the caller's. */
const WAIT_MS_MAX = 30_000

export function operatorRoutes(apps: Apps, jobs: Jobs): AppRoute[] {
  return [
    {
      method: 'POST',
      path: '/jobs/apps',
      handle: async ({ body, author }) => {
        const { name, appKey, createdAt } = await apps.create(new Fields(body).line('name'), author)
        return { status: 201, body: { name, appKey, createdAt } }
      },
    },
    {
      method: 'GET',
      path: '/jobs/apps',
      handle: async () => ({ body: { apps: await apps.list() } }),
    },
    {
      method: 'POST',
      path: '/jobs/apps/:name/token',
      handle: async ({ params }) => ({ body: await apps.tokenFor(params['name'] ?? '') }),
    },
    {
      method: 'POST',
      path: '/jobs',
      handle: async ({ body, author }) => {
        const jobId = await submit(apps, jobs, new Fields(body), author)
        return { status: 201, headers: { location: `/jobs/${jobId}` }, body: { jobId } }
      },
    },
    {
      method: 'GET',
      path: '/jobs/:id',
      handle: async (request) => {
        const waitMs = queryOf(request).optionalCount('waitMs', 0, WAIT_MS_MAX) ?? 0
        return { body: await jobs.viewWhenEnded(idOf(request), waitMs, request.signal) }
      },
    },
    {
      method: 'GET',
      path: '/jobs/:id/log',
      handle: async (request) => ({ body: await log(jobs, request) }),
    },
    {
      method: 'POST',
      path: '/jobs/:id/kill',
      handle: async (request) => ({ body: await jobs.kill(idOf(request), request.author) }),
    },
  ]
}

async function submit(apps: Apps, jobs: Jobs, fields: Fields, author: string): Promise<number> {
  const appName = fields.optionalLine('app') ?? DEFAULT_APP
  const request = {
    appName,
    jobName: fields.line('name'),
    content: fields.text('content'),
    executor: fields.optionalLine('executor') ?? '',
    jobType: fields.optionalLine('type') || undefined,
    groupId: fields.optionalCount('group', 1, GROUP_MAX) ?? 1,
    onWorkerLost: fields.optionalChoice('onWorkerLost', WORKER_LOST_POLICIES) ?? 'park',
  }
  if (appName === DEFAULT_APP) await apps.createIfMissing(DEFAULT_APP, author)
  else await apps.require(appName)
  return jobs.submit(request, author)
}

/** A part of one stream, with what a follower has to know of the job. */
async function log(jobs: Jobs, request: AppRequest) {
  const query = queryOf(request)
  const wanted: StreamRequest = {
    stream: query.optionalChoice('stream', ['stdout', 'stderr']) ?? 'stdout',
  }
  const offset = query.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER)
  const lines = query.optionalCount('lines', 1, LINES_MAX)
  const tail = query.optionalCount('tail', 1, LINES_MAX)
  if (offset !== undefined) wanted.offset = offset
  if (lines !== undefined) wanted.lines = lines
  if (tail !== undefined) wanted.tail = tail
  const view: JobView = await jobs.view(idOf(request))
  const { text, offset: next, size, isEnd, note } = await jobs.read(view, wanted)
  const { jobId, status, message } = view
  return { jobId, status, message, stream: wanted.stream, text, offset: next, size, isEnd, note }
}

function idOf({ params }: AppRequest): number {
  return new Fields(params).count('id', 1, Number.MAX_SAFE_INTEGER)
}

function queryOf({ query }: AppRequest): Fields {
  return new Fields(Object.fromEntries(query))
}
