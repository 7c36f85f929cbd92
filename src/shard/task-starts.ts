/**
 * A worker asks to begin an attempt. Decides: whether it may (it was given the task's message, and nobody
 * else runs it), and that a machine that wants to know of it is told in the same commit, before the code
 * of the task runs.
 */
import { startedType } from '../machine/index.ts'
import { type Command, errorRecord } from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { step } from './deliver.ts'
import { namesEventAt } from './heads.ts'
import { sentBytes } from './outgoing.ts'
import type { Head, TaskEntry } from './records.ts'
import { addTaskTimer, replaceTask } from './task-failures.ts'
import { writeTaskRow } from './task-rows.ts'

export function startAttempt(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  command: Command & { op: 'task.start' },
): Answer {
  if (!showsTicket(task, command)) return strange(task)
  const why = whyHeld(head, task)
  if (why !== undefined) return held(task, why)
  const refused = tellStarted(shard, batch, head, task, command.worker)
  if (refused) return refused
  const running: TaskEntry = {
    ...task,
    state: 'running',
    attempt: task.attempt + 1,
    token: shard.random.id(),
    worker: command.worker,
    since: batch.now,
  }
  replaceTask(head, running)
  batch.reserve(sentBytes(0, running.token, running.worker))
  addTaskTimer(shard, batch, head, 'lease', task.effectId, batch.now + running.leaseMs)
  writeTaskRow(shard, batch, running)
  shard.leases.beat(task.effectId, undefined)
  batch.save(head)
  return { ok: attemptView(head, running) }
}

export function attemptView(head: Head, task: TaskEntry) {
  const { effectId, name, input, attempt, token, leaseMs, onWorkerLost } = task
  return {
    taskId: effectId,
    address: head.address,
    name,
    input,
    attempt,
    token,
    leaseMs,
    onWorkerLost,
  }
}

/** Whoever may command the actor itself need not show one. */
function showsTicket(task: TaskEntry, { ticket }: { ticket?: string }): boolean {
  return ticket === undefined || task.state !== 'queued' || ticket === task.token
}

/** Also told to whom an old message was delivered again: there is a newer one. */
function strange(task: TaskEntry): Answer {
  const why = `task ${task.effectId} is started with the ticket that its newest message carries, and with no other`
  return { error: errorRecord('task-stale', why) }
}

function whyHeld(head: Head, task: TaskEntry): string | undefined {
  if (head.paused || head.parked) return 'waits: its actor is paused or parked'
  switch (task.state) {
    case 'queued':
      return undefined
    case 'running':
      return `is run by ${task.worker}`
    case 'result-kept':
      return 'has its result already'
    default:
      return 'waits for its next attempt'
  }
}

function held(task: TaskEntry, why: string): Answer {
  return { error: errorRecord('task-held', `task ${task.effectId} ${why}`) }
}

/**
 * Only a state that names the event gets it. What is kept for the actor came before it, so until that
 * is stepped nothing begins. The chart may also leave the state that wanted the task, or fail.
 */
function tellStarted(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  worker: string,
): Answer | undefined {
  const { childId: actorId, effectId } = task
  const type = startedType(actorId)
  if (!namesEventAt(head, type)) return undefined
  if (head.keptFrom < head.keptTo) return held(task, 'waits: its actor has kept events to take')
  const event = { type, actorId, attempt: task.attempt + 1, worker, at: batch.now }
  const cause = { type, by: `task ${task.name}` }
  const delivered = step(shard, batch, head, event, cause, 'park', [actorId])
  if (delivered.kind === 'parked') return held(task, 'waits: its actor is parked')
  if (head.tasks.some((entry) => entry.effectId === effectId)) return undefined
  return { error: errorRecord('task-gone', `task ${effectId} is no longer wanted`) }
}
