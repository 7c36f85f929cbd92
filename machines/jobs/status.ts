/**
 * What a job's condition is called. Decides: the numbers of the old product, which its callers know
 * and the words beside them.
 */
import type { ActorView } from '../../src/index.ts'
import { queueOf } from './command.ts'
import type { JobContext } from './machines.ts'

/** SUCCESS 0, WAIT 1, RUNNING 3, FAIL 5, RECOVER 6, KILLED 8; of the others we have no use. */
export const LEGACY = {
  success: 0,
  waiting: 1,
  running: 3,
  failed: 5,
  stopped: 6,
  killed: 8,
} as const

/** `stopped`: a failure of the platform, not of the command; an operator decides how it goes on. */
export type JobStatus = keyof typeof LEGACY

export interface JobCondition {
  status: JobStatus
  /** The number of the old product. */
  code: number
  message: string
  isFinal: boolean
}

export function conditionOf(view: ActorView): JobCondition {
  const { status, message } = describe(view)
  const isFinal = status === 'success' || status === 'failed' || status === 'killed'
  return { status, code: LEGACY[status], message, isFinal }
}

function describe(view: ActorView): { status: JobStatus; message: string } {
  const { reason, groupId } = view.context as JobContext
  if (view.status === 'stopped')
    return { status: 'killed', message: 'cancelled; its history says by whom' }
  const { value } = view
  if (value === 'success' || value === 'failed' || value === 'killed')
    return { status: value, message: reason }
  if (view.parked) return { status: 'stopped', message: `stopped: ${view.parked.error.message}` }
  const [task] = view.tasks
  const paused = view.paused ? `paused by ${view.paused.by}` : undefined
  if (task?.state === 'running')
    return { status: 'running', message: `runs on ${task.worker}${paused ? `; ${paused}` : ''}` }
  if (task?.state === 'result-kept') return { status: 'running', message: `has ended; ${paused}` }
  if (paused) return { status: 'waiting', message: paused }
  if (task?.state === 'waiting')
    return {
      status: 'waiting',
      message: `waits for its next attempt: ${task.lastFailure ?? 'it failed'}`,
    }
  return {
    status: 'waiting',
    message: `waits for a worker of group ${groupId} (${queueOf(groupId)})`,
  }
}
