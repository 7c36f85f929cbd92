/**
 * The owner's side of tasks: start, attach, heartbeat, result, and the
 * engine's own timers. Decides: who may run an attempt, by lease and token.
 */

import {
  type Command,
  type ErrorRecord,
  errorRecord,
  type TaskOperation,
} from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { type Arrival, park } from './control.ts'
import { type Delivered, deliver } from './deliver.ts'
import { timerKey } from './keys.ts'
import { sentBytes } from './outgoing.ts'
import { type Head, isHolding, KEPT_TIMER, type TaskEntry, type TimerEntry } from './records.ts'
import { removeActor } from './removal.ts'
import { addTaskTimer, dropTaskTimers, failTask, keepTask, replaceTask } from './task-failures.ts'
import { publishTask, writeTaskRow } from './task-rows.ts'
import { attemptView, startAttempt } from './task-starts.ts'

export function taskOperation(
  shard: ShardContext,
  batch: Batch,
  head: Head | undefined,
  command: Command & TaskOperation,
): Answer {
  const task = head?.tasks.find((entry) => entry.effectId === command.taskId)
  if (!head || !task) {
    return { error: errorRecord('task-gone', `task ${command.taskId} is no longer wanted`) }
  }
  switch (command.op) {
    case 'task.start':
      return startAttempt(shard, batch, head, task, command)
    case 'task.attach':
      return attach(shard, batch, head, task, command)
    case 'task.beat':
      return beat(shard, task, command)
    case 'task.done':
    case 'task.failed':
      return finish(shard, batch, head, task, command)
  }
}

/** A worker that was restarted goes on with an attempt of its own: same token, no new attempt. */
function attach(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  command: Command & { op: 'task.attach' },
): Answer {
  const stale = checkToken(task, command.token)
  if (stale) return stale
  shard.leases.beat(task.effectId, undefined)
  if (task.worker !== command.worker) {
    replaceTask(head, { ...task, worker: command.worker })
    batch.reserve(sentBytes(0, command.worker))
    batch.save(head)
  }
  return { ok: attemptView(head, task) }
}

function checkToken(task: TaskEntry, token: string): { error: ErrorRecord } | undefined {
  if (task.state === 'running' && task.token === token) return undefined
  return {
    error: errorRecord(
      'task-stale',
      `the attempt with this token was given up; task ${task.effectId} is at attempt ${task.attempt} (${task.state})`,
    ),
  }
}

/**
 * A command has come and will wait, maybe for longer than a lease: whoever runs the present attempt was
 * heard now.
 */
export function hear(shard: ShardContext, command: Command): string | undefined {
  if (!('token' in command)) return undefined
  const { taskId, token } = command
  const task = shard.heads.get(command.address)?.tasks.find((entry) => entry.effectId === taskId)
  if (!task || checkToken(task, token)) return undefined
  shard.leases.beat(taskId, undefined)
  return taskId
}

function beat(
  shard: ShardContext,
  task: TaskEntry,
  command: Command & { op: 'task.beat' },
): Answer {
  const stale = checkToken(task, command.token)
  if (stale) return stale
  shard.leases.beat(task.effectId, command.progress)
  return { ok: null }
}

function finish(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  command: Command & { op: 'task.done' | 'task.failed' },
): Answer {
  const stale = checkToken(task, command.token)
  if (stale) return stale
  const arrival =
    command.op === 'task.done'
      ? { kind: 'task-done' as const, taskId: command.taskId, output: command.output }
      : { kind: 'task-failed' as const, taskId: command.taskId, failure: command.failure }
  const delivered = endAttempt(shard, batch, head, task, arrival)
  if (delivered?.kind === 'refused') return { error: delivered.error }
  return { ok: null }
}

/** Brings the end of an attempt to its actor; while that is paused, what is left to tell is kept. */
function endAttempt(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  arrival: Arrival & { kind: 'task-done' | 'task-failed' },
): Delivered | undefined {
  if (arrival.kind === 'task-failed' && head.paused && arrival.failure.class === 'temporary') {
    // A retry is planned at once, so that the kept queue holds only what the chart will see.
    const decision = failTask(shard, batch, head, task.effectId, arrival.failure)
    if (decision.kind === 'again') return undefined
  }
  const delivered = deliver(shard, batch, head, arrival)
  if (delivered.kind === 'kept') {
    keepTask(shard, batch, head, task)
  }
  return delivered
}

/** A timer is due: matched by its full effect id with the present head, or dropped. */
export function fireTimer(
  shard: ShardContext,
  batch: Batch,
  address: string,
  effectId: string,
  dueAtMs: number,
): void {
  const head = shard.heads.get(address)
  const timer = head?.timers.find((entry) => entry.effectId === effectId)
  if (!head || !timer || timer.frozenMs !== null) {
    // An actor whose machine is not registered here keeps its timers until it is.
    if (head || !shard.heads.has(address)) {
      batch.write(timerKey(shard.shard, dueAtMs, effectId), null)
    }
    return
  }
  if (timer.dueAt > batch.now) return
  batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  if (timer.kind === 'event') {
    const holding = isHolding(head)
    if (holding)
      head.timers = head.timers.map((entry) =>
        entry === timer ? { ...timer, frozenMs: KEPT_TIMER } : entry,
      )
    const delivered = deliver(shard, batch, head, { kind: 'timer', effectId })
    // A turn of its own has encoded the actor, without the timer, already.
    const encoded = delivered.kind === 'turn' && delivered.handled && timer.to === ''
    if (!encoded && !batch.removed.has(address)) batch.save(head)
    return
  }
  head.timers = head.timers.filter((entry) => entry !== timer)
  if (timer.kind === 'purge') return removeActor(shard, batch, head)
  const task = head.tasks.find((entry) => entry.effectId === timer.to)
  if (task && timer.kind === 'task-retry') requeue(shard, batch, head, task)
  if (task && timer.kind === 'lease') checkLease(shard, batch, head, task, timer)
  if (!batch.removed.has(address)) batch.save(head)
}

function requeue(shard: ShardContext, batch: Batch, head: Head, task: TaskEntry): void {
  // Whoever was given it for an earlier attempt was not given it for this one.
  const token = shard.random.id()
  const queued: TaskEntry = { ...task, state: 'queued', token, since: batch.now, notBefore: 0 }
  replaceTask(head, queued)
  batch.reserve(sentBytes(0, token))
  writeTaskRow(shard, batch, queued)
  if (!head.paused && !head.parked) publishTask(shard, batch, queued)
}

/** The lease is over; heartbeats since then renew it without having been written one by one. */
function checkLease(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  timer: TimerEntry,
): void {
  if (task.state !== 'running') return
  const leftMs = task.leaseMs - shard.leases.silenceMs(task.effectId)
  if (leftMs > 0 || task.onWorkerLost === 'wait') {
    const renewMs = Math.max(Math.ceil(leftMs), task.onWorkerLost === 'wait' ? task.leaseMs : 1)
    addTaskTimer(shard, batch, head, 'lease', task.effectId, batch.now + renewMs)
    return
  }
  const message = `worker ${task.worker} of task ${task.name} was silent for ${task.leaseMs} ms`
  shard.log.warn(
    { address: head.address, taskId: task.effectId, worker: task.worker, dueAt: timer.dueAt },
    message,
  )
  if (task.onWorkerLost === 'park') {
    loseAttempt(shard, batch, head, task, message)
    return
  }
  endAttempt(shard, batch, head, task, {
    kind: 'task-failed',
    taskId: task.effectId,
    failure: { class: 'temporary', message, code: 'worker-lost' },
  })
}

/** The command may still run somewhere: nobody but an operator may start it again. */
function loseAttempt(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  task: TaskEntry,
  message: string,
): void {
  replaceTask(head, { ...task, state: 'interrupted', token: '', lastFailure: message })
  writeTaskRow(shard, batch, { ...task, state: 'interrupted' })
  park(shard, batch, head, message, { type: `task ${task.name}`, by: 'lease' }, [task.childId])
}

/** `pause --interrupt`: running attempts are cancelled and wait for the resume. */
export function interruptTasks(shard: ShardContext, batch: Batch, head: Head): number {
  const running = head.tasks.filter((task) => task.state === 'running')
  for (const task of running) {
    replaceTask(head, {
      ...task,
      state: 'interrupted',
      token: '',
      worker: '',
      lastFailure: 'interrupted by a pause',
    })
    dropTaskTimers(shard, batch, head, task.effectId)
    writeTaskRow(shard, batch, { ...task, state: 'interrupted' })
    batch.releases.push({ kind: 'cancel-task', worker: task.worker, taskId: task.effectId })
  }
  return running.length
}

/** After a resume: what was interrupted or could not start while the actor held is offered again. */
export function releaseTasks(shard: ShardContext, batch: Batch, head: Head): void {
  for (const task of head.tasks) {
    if (task.state === 'interrupted') requeue(shard, batch, head, task)
    else if (task.state === 'queued') publishTask(shard, batch, task)
  }
}
