/**
 * A job as its callers see it. Decides: which of the actor's fields they are shown, and what its
 * condition is called. Leaves to others: numbers (`statuses.ts`), envelopes (the routes).
 */
import {
  type ActorRow,
  type ActorView,
  formatAddress,
  parseAddress,
  type StateValue,
} from '../../src/index.ts'
import type { JobContext } from './job.ts'
import { queueOf } from './queues.ts'
import { FINAL_STATUSES, type JobStatus, LEGACY } from './statuses.ts'

export interface JobCondition {
  status: JobStatus
  /** The number of the old product. */
  code: number
  message: string
  isFinal: boolean
}

export interface JobView extends JobCondition {
  jobId: number
  jobName: string
  appName: string
  executor: string
  jobType: string
  groupId: number
  priority: number
  content: string
  onWorkerLost: JobContext['onWorkerLost']
  queueWaitMs: number | null
  runTimeoutMs: number | null
  retries: JobContext['retries']
  retryIntervalMs: number
  callbackUrl: string | null
  submittedAt: number
  /** When it came into its present state. */
  since: number
  /** Attempts that have begun. */
  attempt: number
  failures: JobContext['failures']
  exit: JobContext['exit']
  worker?: string
}

/** A job in a list. */
export interface JobRow extends JobCondition {
  jobId: number
  jobName: string
  appName: string
  executor: string
  groupId: number
  since: number
}

export function addressOf(jobId: number): string {
  return formatAddress('job', String(jobId))
}

export function jobViewOf(view: ActorView): JobView {
  const context = view.context as JobContext
  const { jobName, appName, executor, jobType, groupId, priority, content, onWorkerLost } = context
  const { queueWaitMs, runTimeoutMs, retries, retryIntervalMs, callbackUrl, submittedAt } = context
  const { attempt, failures, exit } = context
  const task = commandTaskOf(view)
  return {
    jobId: idOf(view.address),
    ...conditionOf(view),
    jobName,
    appName,
    executor,
    jobType,
    groupId,
    priority,
    content,
    onWorkerLost,
    queueWaitMs,
    runTimeoutMs,
    retries,
    retryIntervalMs,
    callbackUrl,
    submittedAt,
    since: view.since,
    attempt,
    failures,
    exit,
    ...(task?.worker ? { worker: task.worker } : {}),
  }
}

/** A row knows less than the job itself: no reason of its end, and no attempts. */
export function jobRowOf(row: ActorRow): JobRow {
  const { index, since, reason = '' } = row
  const ended = row.status === 'stopped' ? 'killed' : leafOf(row.value)
  const isHeld = row.parked && !FINAL_STATUSES.has(ended)
  return {
    jobId: idOf(row.address),
    ...conditionFrom(isHeld ? 'stopped' : ended, reason),
    jobName: String(index['jobName']),
    appName: String(index['app']),
    executor: String(index['executor']),
    groupId: Number(index['groupId']),
    since,
  }
}

export function conditionOf(view: ActorView): JobCondition {
  const { status, message } = describe(view)
  return conditionFrom(status, message)
}

function conditionFrom(status: JobStatus, message: string): JobCondition {
  return { status, code: LEGACY[status], message, isFinal: FINAL_STATUSES.has(status) }
}

interface Description {
  status: JobStatus
  message: string
}

function describe(view: ActorView): Description {
  const context = view.context as JobContext
  if (view.status === 'stopped')
    return { status: 'killed', message: 'cancelled; its history says by whom' }
  const status = leafOf(view.value)
  if (FINAL_STATUSES.has(status)) return { status, message: context.reason }
  if (view.parked) return { status: 'stopped', message: `stopped: ${view.parked.error.message}` }
  const paused = view.paused ? `paused by ${view.paused.by}` : undefined
  if (status === 'waiting') return { status, message: paused ?? whyWaiting(view, context) }
  return describeTask(view, context, paused)
}

/** Nobody knew its type, or those that knew it may have gone. */
export function waitsForType(view: ActorView): boolean {
  const { template } = view.context as JobContext
  if (view.status !== 'active' || view.parked || view.paused) return false
  return isUnknown(view) || (template?.length === 0 && commandTaskOf(view)?.state === 'queued')
}

function isUnknown({ value }: ActorView): boolean {
  return typeof value === 'object' && value['waiting'] === 'type'
}

function whyWaiting(view: ActorView, context: JobContext): string {
  const { jobType, retryIntervalMs, attempt, reason } = context
  if (isUnknown(view)) return `waits for workers that know its type "${jobType}" (apps.jobs.types)`
  return `waits ${retryIntervalMs / 1_000} s after attempt ${attempt}: ${reason}`
}

/** The task knows it best: after a pause the command may have to wait for a worker once more. */
function describeTask(
  view: ActorView,
  { groupId, jobType, template, attempt, reason }: JobContext,
  paused: string | undefined,
): Description {
  const task = commandTaskOf(view)
  if (task?.state === 'running') {
    const message = `runs on ${task.worker}${paused ? `; ${paused}` : ''}`
    return { status: 'running', message }
  }
  if (task?.state === 'result-kept')
    return { status: 'running', message: `has ended; ${paused ?? 'its result is taken next'}` }
  if (paused) return { status: 'waiting', message: paused }
  const before = reason === '' ? '' : `; attempt ${attempt}: ${reason}`
  const knowing = template?.length === 0 ? ` that knows its type "${jobType}"` : ''
  const message = `waits for a worker of group ${groupId}${knowing} (${queueOf(groupId)})${before}`
  return { status: 'ready', message }
}

function commandTaskOf({ tasks }: ActorView): ActorView['tasks'][number] | undefined {
  return tasks.find(({ name }) => name === 'job-command')
}

/** The states of the chart by their words: of `active` its parts, of `waiting` the whole. */
function leafOf(value: StateValue): JobStatus {
  if (typeof value === 'string') return value as JobStatus
  const { active } = value
  return active === 'ready' || active === 'running' ? active : 'waiting'
}

function idOf(address: string): number {
  return Number(parseAddress(address).id)
}
