/** What callers see of an actor, made from its head. */
import { tagsOf } from '../machine/index.ts'
import {
  type ActorRow,
  type ActorView,
  childOf,
  machineOf,
  type OperatorReceipt,
  type TaskView,
  type TimerView,
  type TurnView,
} from '../protocol/index.ts'
import type { ShardContext } from './context.ts'
import type { Head, TaskEntry, TimerEntry } from './records.ts'

export function turnView(head: Head, handled: boolean, reply: unknown): TurnView {
  const view: TurnView = {
    address: head.address,
    turn: head.turn,
    status: head.status,
    value: head.stored.value,
    handled,
  }
  if (reply !== undefined) view.reply = reply
  if (head.status === 'done' && head.stored.output !== undefined) view.output = head.stored.output
  return view
}

export function receiptOf(head: Head): OperatorReceipt {
  return {
    address: head.address,
    turn: head.turn,
    status: head.status,
    value: head.stored.value,
    kept: head.keptTo - head.keptFrom,
    tasksRunning: head.tasks.filter((task) => task.state === 'running').length,
    paused: head.paused !== null,
    parked: head.parked !== null,
  }
}

export function tagsOfHead(head: Head): string[] {
  return head.logic.kind === 'chart' ? tagsOf(head.logic.chart.machine, head.stateText) : []
}

export function actorView(shard: ShardContext, head: Head): ActorView {
  const view: ActorView = {
    address: head.address,
    machine: machineOf(head.address),
    version: head.version,
    status: head.status,
    value: head.stored.value,
    tags: tagsOfHead(head),
    context: head.stored.context,
    turn: head.turn,
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    since: head.since,
    kept: head.keptTo - head.keptFrom,
    tasks: head.tasks.map((task) => taskView(shard, task)),
    timers: head.timers.filter((timer) => timer.kind === 'event').map(timerView),
    children: head.children
      .filter((child) => !child.done && (child.kind === 'machine' || child.kind === 'transition'))
      .map((child) => childOf(head.address, child.childId, shard.limits)),
    index: { ...head.index },
  }
  if (head.stored.output !== undefined) view.output = head.stored.output
  if (head.paused) {
    const { since, by, reason, timers } = head.paused
    const pausing = head.tasks.some((task) => task.state === 'running')
    view.paused = { since, by, timers, pausing, ...(reason === '' ? {} : { reason }) }
  }
  if (head.parked) {
    const { since, error, cause } = head.parked
    view.parked = { since, error, cause }
  }
  return view
}

function taskView(shard: ShardContext, task: TaskEntry): TaskView {
  const view: TaskView = {
    taskId: task.effectId,
    name: task.name,
    queue: task.queue,
    state: task.state === 'interrupted' ? 'waiting' : task.state,
    attempt: task.attempt,
    since: task.since,
  }
  if (task.worker !== '') view.worker = task.worker
  if (task.lastFailure !== '') view.lastFailure = task.lastFailure
  if (task.state === 'waiting') view.notBefore = task.notBefore
  const progress = shard.leases.progress(task.effectId)
  if (progress !== undefined) view.progress = progress
  return view
}

function timerView(timer: TimerEntry): TimerView {
  const view: TimerView = { id: timer.id, event: timer.event?.type ?? '', dueAt: timer.dueAt }
  if (timer.frozenMs !== null) view.frozenMs = timer.frozenMs
  return view
}

export function actorRow(head: Head): ActorRow {
  const row: ActorRow = {
    address: head.address,
    machine: machineOf(head.address),
    version: head.version,
    status: head.status,
    value: head.stored.value,
    tags: tagsOfHead(head),
    turn: head.turn,
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    since: head.since,
    paused: head.paused !== null,
    parked: head.parked !== null,
    index: { ...head.index },
  }
  const reason = reasonOf(head)
  if (reason !== undefined) row.reason = reason
  return row
}

/** Why an actor does not go on, in words. */
function reasonOf(head: Head): string | undefined {
  if (head.parked) return `parked by ${head.parked.cause}: ${head.parked.error.message}`
  if (head.paused)
    return `paused by ${head.paused.by}${head.paused.reason === '' ? '' : `: ${head.paused.reason}`}`
  const waiting = head.tasks.find((task) => task.state === 'waiting')
  if (waiting) return `task ${waiting.name} failed: ${waiting.lastFailure}; next attempt follows`
  const queued = head.tasks.find((task) => task.state === 'queued')
  return queued ? `task ${queued.name} waits in ${queued.queue}` : undefined
}

/** Differences between two contexts, by path; bounded, since it is for people. */
export function diffContexts(
  before: unknown,
  after: unknown,
): { path: string; before: unknown; after: unknown }[] {
  const found: { path: string; before: unknown; after: unknown }[] = []
  walk(before, after, '', found)
  return found
}

const DIFF_ENTRIES_MAX = 200

function walk(
  before: unknown,
  after: unknown,
  path: string,
  found: { path: string; before: unknown; after: unknown }[],
): void {
  if (Object.is(before, after) || found.length >= DIFF_ENTRIES_MAX) return
  if (isPlain(before) && isPlain(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      walk(before[key], after[key], path === '' ? key : `${path}.${key}`, found)
    }
    return
  }
  if (Array.isArray(before) && Array.isArray(after) && sameItems(before, after)) return
  found.push({ path, before, after })
}

function sameItems(before: unknown[], after: unknown[]): boolean {
  return (
    before.length === after.length &&
    before.every((item, i) => diffContexts(item, after[i]).length === 0)
  )
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  )
}
