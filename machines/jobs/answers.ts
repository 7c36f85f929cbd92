/**
 * What the routes of jobs answer, for `openapi.json`. The compiler holds that it is what they return.
 * Those of the seed answer in its envelope.
 */
import { z } from 'zod'
import type { AppSummary } from './apps.ts'
import { WORKER_LOST_POLICIES } from './command.ts'
import type { JobRow, JobView } from './job-view.ts'
import { type JobStatus, LEGACY } from './statuses.ts'

const time = z.number().describe('unix ms')
const condition = {
  status: z.enum(Object.keys(LEGACY) as [JobStatus, ...JobStatus[]]),
  code: z.number().describe('of the old product'),
  message: z.string(),
  isFinal: z.boolean(),
}
const perClass = z.object({ failed: z.number(), timedOut: z.number(), lost: z.number() })
const exit = z.object({
  code: z.number().nullable(),
  signal: z.string().nullable(),
  startedAt: time,
  endedAt: time,
  stdoutBytes: z.number(),
  stderrBytes: z.number(),
})

export const jobView = z.object({
  jobId: z.number(),
  ...condition,
  jobName: z.string(),
  appName: z.string(),
  executor: z.string(),
  jobType: z.string(),
  groupId: z.number(),
  priority: z.number(),
  content: z.string(),
  onWorkerLost: z.enum(WORKER_LOST_POLICIES),
  queueWaitMs: z.number().nullable(),
  runTimeoutMs: z.number().nullable(),
  retries: perClass,
  retryIntervalMs: z.number(),
  callbackUrl: z.string().nullable(),
  submittedAt: time,
  since: time.describe('unix ms at which it came into its present state'),
  attempt: z.number(),
  failures: perClass,
  exit: exit.nullable(),
  worker: z.string().exactOptional(),
}) satisfies z.ZodType<JobView>

const jobRow = z.object({
  jobId: z.number(),
  ...condition,
  jobName: z.string(),
  appName: z.string(),
  executor: z.string(),
  groupId: z.number(),
  since: time,
}) satisfies z.ZodType<JobRow>

export const jobList = z.object({ jobs: z.array(jobRow), cursor: z.string().exactOptional() })
export const submitted = z.object({ jobId: z.number() })

const appSummary = z.object({
  name: z.string(),
  status: z.string(),
  createdAt: time,
  isAdmin: z.boolean(),
}) satisfies z.ZodType<AppSummary>

export const appList = z.object({ apps: z.array(appSummary) })
export const appKey = z.object({
  name: z.string(),
  appKey: z.string().describe('whoever knows it may act as the app'),
  createdAt: time,
  isAdmin: z.boolean(),
})
export const appToken = z.object({ name: z.string(), token: z.string(), time: z.string() })

export const logPart = z.object({
  jobId: z.number(),
  status: condition.status,
  message: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
  offset: z.number().describe('the byte to go on from'),
  size: z.number(),
  isEnd: z.boolean(),
  note: z.string().optional(),
})
export const block = z.object({
  base64: z.string(),
  offset: z.number(),
  note: z.string().optional(),
})

/** `respCode` is 0, or 1 where `respMsg` says why not. */
export const envelope = z.looseObject({
  respCode: z.number(),
  respMsg: z.string(),
  params: z.looseObject({}).exactOptional(),
})
