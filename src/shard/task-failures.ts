/**
 * What a failed attempt leads to: another attempt, parking, or the machine's own way out.
 */

import { backoffMs, type RetryPolicy, resolveRetry } from '../machine/index.ts'
import type { TaskFailure } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import { markDone } from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { namesEventAt } from './heads.ts'
import { taskKey, timerKey } from './keys.ts'
import { sentBytes, UTF8_BYTES_MAX } from './outgoing.ts'
import type { Head, TaskEntry, TimerEntry } from './records.ts'
import { writeTaskRow } from './task-rows.ts'
import { addTimerRow } from './turn.ts'

export type FailureDecision =
  | { kind: 'gone' }
  /** Another attempt is planned; the chart does not notice. */
  | { kind: 'again' }
  | { kind: 'park' }
  /** The chart gets `xstate.error.actor.<id>`. */
  | { kind: 'tell' }

/**
 * `aborted` goes to the chart. `permanent` parks. `temporary` is tried again by the policy; when that
 * is used up it goes to the chart if the present state has an `onError` for it, and parks otherwise.
 */
export function failTask(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  taskId: string,
  failure: TaskFailure,
): FailureDecision {
  const task = head.tasks.find((entry) => entry.effectId === taskId)
  if (!task) return { kind: 'gone' }
  shard.leases.forget(taskId)
  if (failure.class === 'aborted') return { kind: 'tell' }
  if (failure.class === 'permanent') return { kind: 'park' }
  const wait = backoffMs(policyOf(head, task), task.attempt, shard.random.fraction())
  if (wait === undefined) return handlesError(head, task) ? { kind: 'tell' } : { kind: 'park' }
  planAttempt(shard, batch, head, task, wait, failure.message)
  return { kind: 'again' }
}

function policyOf(head: Head, task: TaskEntry): RetryPolicy {
  const source = head.logic.kind === 'chart' ? head.logic.chart.sources.get(task.src) : undefined
  return resolveRetry(
    head.hosted.definition.retry,
    source?.kind === 'task' ? source.task.retry : undefined,
  )
}

/** Whether the present state names this failure; a wildcard is not a way out. */
function handlesError(head: Head, task: TaskEntry): boolean {
  return namesEventAt(head, `xstate.error.actor.${task.childId}`)
}

/** Puts a task to wait for its next attempt. */
export function planAttempt(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  waitMs: number,
  why: string,
): void {
  const notBefore = batch.now + waitMs
  const waiting: TaskEntry = {
    ...task,
    state: 'waiting',
    token: '',
    worker: '',
    since: batch.now,
    notBefore,
    lastFailure: why,
  }
  replaceTask(head, waiting)
  batch.reserve(why.length * UTF8_BYTES_MAX)
  dropTaskTimers(shard, batch, head, task.effectId)
  addTaskTimer(shard, batch, head, 'task-retry', task.effectId, notBefore)
  writeTaskRow(shard, batch, waiting)
  batch.save(head)
}

/** Takes a task off the actor with its lease; the child stays listed as done. */
export function takeTask(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  taskId: string,
): TaskEntry | undefined {
  const task = head.tasks.find((entry) => entry.effectId === taskId)
  if (!task) return undefined
  head.tasks = head.tasks.filter((entry) => entry !== task)
  dropTaskTimers(shard, batch, head, taskId)
  markDone(head, taskId)
  batch.write(taskKey(shard.shard, taskId), null)
  shard.leases.forget(taskId)
  return task
}

/** The result of a task waits in the kept queue: nobody may start it, and it has no lease. */
export function keepTask(shard: ShardContext, batch: Batch, head: Head, task: TaskEntry): void {
  const kept: TaskEntry = { ...task, state: 'result-kept', token: '' }
  head.tasks = [...head.tasks.filter((entry) => entry.effectId !== task.effectId), kept]
  markDone(head, task.effectId, false)
  dropTaskTimers(shard, batch, head, task.effectId)
  writeTaskRow(shard, batch, kept)
  batch.save(head)
}

export function replaceTask(head: Head, task: TaskEntry): void {
  head.tasks = head.tasks.map((entry) => (entry.effectId === task.effectId ? task : entry))
}

/** A timer of the engine's own for a task. */
export function addTaskTimer(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  kind: 'lease' | 'task-retry',
  taskId: string,
  dueAt: number,
): void {
  head.operations += 1
  const effectId = `${head.address}#${head.birth}:op${head.operations}`
  const timer: TimerEntry = {
    id: `troupe.${kind}.${taskId}`,
    effectId,
    dueAt,
    kind,
    to: taskId,
    event: null,
    frozenMs: null,
  }
  head.timers = [...head.timers, timer]
  batch.reserve(sentBytes(0, taskId, effectId, taskId))
  addTimerRow(shard, batch, head, timer)
}

export function dropTaskTimers(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  taskId: string,
): void {
  for (const timer of head.timers) {
    if (timer.kind === 'event' || timer.to !== taskId || timer.frozenMs !== null) continue
    batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  }
  head.timers = head.timers.filter((timer) => timer.kind === 'event' || timer.to !== taskId)
}
