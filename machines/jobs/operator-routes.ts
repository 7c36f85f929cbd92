/**
 * What the verbs of the command line call: apps and jobs as an operator sees them. Decides: the paths
 * and what they answer. The platform's roles guard them; errors are the platform's too.
 */
import type { z } from 'zod'
import type { AppRequest, AppRoute } from '../../src/index.ts'
import {
  appKey,
  appList,
  appToken,
  block,
  jobList,
  jobView,
  logPart,
  submitted,
} from './answers.ts'
import type { Apps } from './apps.ts'
import { Fields, GROUP_MAX, LINES_MAX } from './fields.ts'
import type { JobView } from './job-view.ts'
import type { JobQuery, Jobs } from './jobs.ts'
import { settingsOf } from './settings.ts'
import { type JobStatus, LEGACY } from './statuses.ts'
import type { StreamRequest, Streams } from './streams.ts'

/** The app of an operator who names none; made when it is first needed. */
const DEFAULT_APP = 'default'

/** A longer wait is a loop of the caller's. */
const WAIT_MS_MAX = 30_000
const CURSOR_CHARACTERS_MAX = 4_096

export function operatorRoutes(apps: Apps, jobs: Jobs, streams: Streams): AppRoute[] {
  return [...appRoutes(apps), ...jobRoutes(apps, jobs, streams)]
}

function appRoutes(apps: Apps): AppRoute[] {
  return [
    {
      method: 'POST',
      path: '/jobs/apps',
      role: 'admin',
      summary: 'make an app; the answer has its key',
      schemas: { answer: appKey, status: 201 },
      handle: async ({ body, author }) => {
        const fields = new Fields(body)
        const isAdmin = fields.optionalChoice('admin', ['true', 'false']) === 'true'
        const made = await apps.create(fields.line('name'), author, { isAdmin })
        return { status: 201, body: made }
      },
    },
    {
      method: 'GET',
      path: '/jobs/apps',
      summary: 'all apps',
      schemas: { answer: appList },
      handle: async () => ({ body: { apps: await apps.list() } }),
    },
    {
      method: 'POST',
      path: '/jobs/apps/:name/token',
      // Whoever has it acts as the app.
      role: 'admin',
      summary: 'a token of an app, for a few minutes',
      schemas: { answer: appToken },
      handle: async ({ params }) => ({ body: await apps.tokenFor(params['name'] ?? '') }),
    },
  ]
}

function jobRoutes(apps: Apps, jobs: Jobs, streams: Streams): AppRoute[] {
  const byId = (
    method: AppRoute['method'],
    action: string,
    summary: string,
    act: (jobId: number, request: AppRequest) => Promise<unknown>,
    answer: z.ZodType = jobView,
  ): AppRoute => ({
    method,
    path: `/jobs/:id${action}`,
    summary,
    schemas: { answer },
    handle: async (request) => ({ body: await act(idOf(request), request) }),
  })
  return [
    {
      method: 'POST',
      path: '/jobs',
      summary: 'submit a job',
      schemas: { answer: submitted, status: 201 },
      handle: async ({ body, author }) => {
        const jobId = await submit(apps, jobs, new Fields(body), author)
        return { status: 201, headers: { location: `/jobs/${jobId}` }, body: { jobId } }
      },
    },
    {
      method: 'GET',
      path: '/jobs',
      summary: 'jobs, the newest first',
      schemas: { answer: jobList },
      handle: async (request) => ({ body: await jobs.list(listQueryOf(queryOf(request))) }),
    },
    byId('GET', '', 'a job; waitMs waits for its end', (jobId, request) => {
      const waitMs = queryOf(request).optionalCount('waitMs', 0, WAIT_MS_MAX) ?? 0
      return jobs.viewWhenEnded(jobId, waitMs, request.signal)
    }),
    byId('PATCH', '', 'change what a job is given', (jobId, { body, author }) =>
      jobs.modify(jobId, settingsOf(new Fields(body), NAMES), author),
    ),
    byId(
      'GET',
      '/log',
      'a part of what it wrote',
      (_jobId, request) => log(jobs, streams, request),
      logPart,
    ),
    byId(
      'GET',
      '/bytes',
      'a part of what it wrote, as it wrote it',
      async (jobId, request) => streams.block(await jobs.view(jobId), streamOf(queryOf(request))),
      block,
    ),
    byId('POST', '/kill', 'end it', (jobId, { author }) => jobs.kill(jobId, author)),
    byId('POST', '/rerun', 'run it once more', (jobId, { author }) => jobs.rerun(jobId, author)),
    byId('POST', '/remove', 'forget it', (jobId, { author }) => jobs.remove(jobId, author)),
  ]
}

const NAMES = { jobType: 'type', groupId: 'group' } as const
const STATUSES = Object.keys(LEGACY) as JobStatus[]
const STREAMS = ['stdout', 'stderr'] as const
const ROWS_MAX = 1_000

function listQueryOf(query: Fields): JobQuery {
  const given = {
    app: query.optionalLine('app'),
    jobName: query.optionalLine('name'),
    executor: query.optionalLine('executor'),
    groupId: query.optionalCount('group', 1, GROUP_MAX),
  }
  const wanted: JobQuery = { where: {} }
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && value !== '') wanted.where[name] = value
  const status = query.optionalChoice('status', STATUSES)
  const limit = query.optionalCount('limit', 1, ROWS_MAX)
  const cursor = query.optionalText('cursor', CURSOR_CHARACTERS_MAX)
  if (status !== undefined) wanted.status = status
  if (limit !== undefined) wanted.limit = limit
  if (cursor) wanted.cursor = cursor
  return wanted
}

async function submit(apps: Apps, jobs: Jobs, fields: Fields, author: string): Promise<number> {
  const appName = fields.optionalLine('app') ?? DEFAULT_APP
  const jobName = fields.line('name')
  fields.text('content')
  const settings = settingsOf(fields, NAMES)
  if (appName === DEFAULT_APP) await apps.createIfMissing(DEFAULT_APP, author)
  else await apps.require(appName)
  return jobs.submit({ appName, jobName, settings }, author)
}

/** A part of one stream, with what a follower has to know of the job. */
async function log(jobs: Jobs, streams: Streams, request: AppRequest) {
  const query = queryOf(request)
  const wanted = streamOf(query)
  const lines = query.optionalCount('lines', 1, LINES_MAX)
  const tail = query.optionalCount('tail', 1, LINES_MAX)
  if (lines !== undefined) wanted.lines = lines
  if (tail !== undefined) wanted.tail = tail
  const view: JobView = await jobs.view(idOf(request))
  const { text, offset: next, size, isEnd, note } = await streams.read(view, wanted)
  const { jobId, status, message } = view
  return { jobId, status, message, stream: wanted.stream, text, offset: next, size, isEnd, note }
}

/** Which stream of which attempt, and from where on. */
function streamOf(query: Fields): StreamRequest {
  const offset = query.optionalCount('offset', 0, Number.MAX_SAFE_INTEGER)
  const attempt = query.optionalCount('attempt', 1, Number.MAX_SAFE_INTEGER)
  return {
    stream: query.optionalChoice('stream', STREAMS) ?? 'stdout',
    ...(offset === undefined ? {} : { offset }),
    ...(attempt === undefined ? {} : { attempt }),
  }
}

function idOf({ params }: AppRequest): number {
  return new Fields(params).count('id', 1, Number.MAX_SAFE_INTEGER)
}

function queryOf({ query }: AppRequest): Fields {
  return new Fields(Object.fromEntries(query))
}
