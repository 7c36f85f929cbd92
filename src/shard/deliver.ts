/**
 * Brings what arrives to an actor: keeps it while the actor holds, steps it otherwise.
 *
 * Decides: what a failed step leads to, and which completions still count. Leaves to others: turns
 * (turn.ts), the order of arrivals (engine.ts).
 */
import { namesEvent, stepEvent, stepTransition } from '../machine/index.ts'
import {
  childOf,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  lastName,
  parentOf,
} from '../protocol/index.ts'
import type { Batch, ChildStart, Delivery } from './batch.ts'
import type { ShardContext } from './context.ts'
import { type Arrival, keep, park, putBack, saveHead } from './control.ts'
import { DEAD_LETTER_EVENT, deadLetter } from './dead-letters.ts'
import { checkEvent, finishedError } from './event-check.ts'
import { identityOf, snapshotOf } from './heads.ts'
import type { Cause } from './history.ts'
import { liveKey, taskKey, timerKey } from './keys.ts'
import { type Head, isHolding, KEPT_TIMER } from './records.ts'
import { removeActor } from './removal.ts'
import { makeChild } from './start-actor.ts'
import { failTask } from './task-failures.ts'
import { applyReducerTurn, applyTurn } from './turn.ts'

export type Delivered =
  | { kind: 'turn'; handled: boolean; reply: unknown }
  | { kind: 'kept'; count: number }
  | { kind: 'refused'; error: ErrorRecord }
  | { kind: 'parked'; error: ErrorRecord }

export function deliver(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival,
): Delivered {
  if (isHolding(head)) {
    const refused = keep(shard, batch, head, arrival)
    if (refused) return { kind: 'refused', error: refused }
    return { kind: 'kept', count: head.keptTo - head.keptFrom }
  }
  return stepArrival(shard, batch, head, arrival)
}

/**
 * Steps without looking at pauses: for deliveries above, and for the kept queue as it drains.
 * @param waits false for what was kept: its sender has had its reply
 */
export function stepArrival(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival,
  waits = true,
): Delivered {
  switch (arrival.kind) {
    case 'event': {
      const { tellFrom } = arrival
      // It finished while this was kept.
      if (tellFrom !== undefined && head.status !== 'active') {
        const { event, by } = arrival
        const delivery: Delivery = { kind: 'event', to: head.address, event, by, tellFrom }
        deadLetter(shard, batch, delivery, finishedError(head))
        return { kind: 'turn', handled: false, reply: undefined }
      }
      const refusable = waits && arrival.commandId !== undefined
      const failed = failedChildOf(arrival.event)
      return step(shard, batch, head, arrival.event, causeOf(arrival), refusable, failed)
    }
    case 'timer':
      return stepTimer(shard, batch, head, arrival.effectId)
    case 'task-done':
      return completeTask(shard, batch, head, arrival.taskId, arrival.output)
    case 'task-failed':
      return failArrived(shard, batch, head, arrival)
  }
}

function causeOf(arrival: Arrival & { kind: 'event' }): Cause {
  const cause: Cause = { type: arrival.event.type, by: arrival.by }
  if (arrival.commandId !== undefined) cause.commandId = arrival.commandId
  return cause
}

/**
 * @param refusable a caller waits who can be told: then a turn that does not fit is refused and the
 * actor left alone; otherwise it is parked
 */
function step(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  event: EventObject,
  cause: Cause,
  refusable: boolean,
  failedChildren: readonly string[] = [],
): Delivered {
  batch.steps += 1
  if (head.status !== 'active') return { kind: 'turn', handled: false, reply: undefined }
  if (head.logic.kind === 'reducer')
    return stepReducer(shard, batch, head, head.logic.logic, event, cause)
  const { chart } = head.logic
  const outcome = stepEvent(chart, snapshotOf(head, chart), event, identityOf(head))
  if (outcome.kind === 'failed')
    return fail(shard, batch, head, outcome.message, cause, failedChildren)
  if (!outcome.handled) return { kind: 'turn', handled: false, reply: undefined }
  const turn = applyTurn(shard, batch, head, outcome.snapshot, outcome.effects, cause)
  if (turn.kind === 'refused') {
    if (refusable) return { kind: 'refused', error: turn.error }
    return fail(shard, batch, head, turn.error.message, cause, failedChildren)
  }
  tellParentOfStep(shard, batch, head)
  return { kind: 'turn', handled: true, reply: turn.reply }
}

/** A child whose parent has an `onError` for it hands the failure up and is gone; others park. */
function fail(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  message: string,
  cause: Cause,
  failedChildren: readonly string[],
): Delivered {
  const parent = parentOf(head.address)
  const parentHead = parent === undefined ? undefined : shard.heads.get(parent)
  const childId = lastName(head.address)
  const type = `xstate.error.actor.${childId}`
  const parentHandles =
    parentHead?.logic.kind === 'chart' &&
    namesEvent(snapshotOf(parentHead, parentHead.logic.chart), type)
  if (!parentHead || !parentHandles) {
    return { kind: 'parked', error: park(shard, batch, head, message, cause, failedChildren) }
  }
  const event = { type, error: { message }, actorId: childId }
  batch.deliveries.push({ kind: 'event', to: parentHead.address, event, by: head.address })
  removeActor(shard, batch, head)
  return { kind: 'parked', error: errorRecord('parked', message, { address: head.address }) }
}

function stepReducer(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  logic: Parameters<typeof stepTransition>[0],
  event: EventObject,
  cause: Cause,
): Delivered {
  const outcome = stepTransition(logic, head.stored.context, event, identityOf(head))
  if (outcome.kind === 'failed') return fail(shard, batch, head, outcome.message, cause, [])
  const turn = applyReducerTurn(shard, batch, head, outcome.context, cause)
  if (turn.kind === 'refused') return fail(shard, batch, head, turn.error.message, cause, [])
  tellParentOfStep(shard, batch, head)
  return { kind: 'turn', handled: true, reply: undefined }
}

/** `onSnapshot` of the parent: it sees every step of the child, the first included. */
function tellParentOfStep(shard: ShardContext, batch: Batch, head: Head): void {
  const parent = parentOf(head.address)
  if (!parent || head.status !== 'active') return
  const childId = lastName(head.address)
  const entry = shard.heads.get(parent)?.children.find((child) => child.childId === childId)
  if (!entry?.sync) return
  const { value, context, output } = head.stored
  const snapshot = { value, context, status: head.status, output }
  const event = { type: `xstate.snapshot.${childId}`, snapshot }
  batch.deliveries.push({ kind: 'event', to: parent, event, by: head.address })
}

/**
 * One of the chart's own timers. It is still listed: a state that was left since then has cancelled
 * it, also when it was entered again with the same XState id.
 */
function stepTimer(shard: ShardContext, batch: Batch, head: Head, effectId: string): Delivered {
  const timer = head.timers.find((entry) => entry.effectId === effectId)
  if (!timer?.event) return { kind: 'turn', handled: false, reply: undefined }
  head.timers = head.timers.filter((entry) => entry !== timer)
  const { event } = timer
  if (timer.to === '') {
    const cause = { type: event.type, by: 'timer' }
    const delivered = step(shard, batch, head, event, cause, false)
    if (delivered.kind === 'parked' && !batch.removed.has(head.address)) {
      head.timers = [...head.timers, { ...timer, frozenMs: KEPT_TIMER }]
      putBack(shard, batch, head, { kind: 'timer', effectId })
    }
    return delivered
  }
  const live = head.children.find((child) => child.childId === timer.to && child.kind === 'live')
  if (live) {
    if (!live.done) batch.releases.push({ kind: 'live-send', effectId: live.effectId, event })
    return { kind: 'turn', handled: true, reply: undefined }
  }
  const to =
    timer.to === '^' ? parentOf(head.address) : childOf(head.address, timer.to, shard.limits)
  if (to) batch.deliveries.push({ kind: 'event', to, event, by: head.address })
  return { kind: 'turn', handled: true, reply: undefined }
}

/** The result of a task that the actor still wants; others were refused by token before. */
function completeTask(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  taskId: string,
  output: unknown,
): Delivered {
  const task = takeTask(shard, batch, head, taskId)
  if (!task) return dropCompletion(shard, batch, head, taskId)
  const type = `xstate.done.actor.${task.childId}`
  const event = { type, output, actorId: task.childId }
  const delivered = step(shard, batch, head, event, { type, by: `task ${task.name}` }, false)
  const encoded = delivered.kind === 'turn' && delivered.handled
  if (!encoded && !batch.removed.has(head.address)) saveHead(shard, batch, head)
  return delivered
}

function failArrived(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival & { kind: 'task-failed' },
): Delivered {
  const decision = failTask(shard, batch, head, arrival.taskId, arrival.failure)
  if (decision.kind === 'gone') return dropCompletion(shard, batch, head, arrival.taskId)
  if (decision.kind === 'again') return { kind: 'turn', handled: true, reply: undefined }
  const task = takeTask(shard, batch, head, arrival.taskId)
  if (!task) return dropCompletion(shard, batch, head, arrival.taskId)
  const type = `xstate.error.actor.${task.childId}`
  const cause: Cause = { type, by: `task ${task.name}`, note: arrival.failure.message }
  if (decision.kind === 'park') {
    return {
      kind: 'parked',
      error: park(shard, batch, head, arrival.failure.message, cause, [task.childId]),
    }
  }
  const event = { type, error: arrival.failure, actorId: task.childId }
  const delivered = step(shard, batch, head, event, cause, false, [task.childId])
  if (!batch.removed.has(head.address)) saveHead(shard, batch, head)
  return delivered
}

/** Takes a task off the actor with its lease; the child stays listed as done. */
function takeTask(shard: ShardContext, batch: Batch, head: Head, taskId: string) {
  const task = head.tasks.find((entry) => entry.effectId === taskId)
  if (!task) return undefined
  head.tasks = head.tasks.filter((entry) => entry !== task)
  for (const timer of head.timers) {
    if (timer.kind !== 'event' && timer.to === taskId && timer.frozenMs === null) {
      batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
    }
  }
  head.timers = head.timers.filter((timer) => timer.kind === 'event' || timer.to !== taskId)
  head.children = head.children.map((child) =>
    child.effectId === taskId ? { ...child, done: true } : child,
  )
  batch.write(taskKey(shard.shard, taskId), null)
  shard.leases.forget(taskId)
  return task
}

/** Its state was left in between: the result has no row to match. */
function dropCompletion(shard: ShardContext, batch: Batch, head: Head, taskId: string): Delivered {
  shard.log.info(
    { address: head.address, taskId },
    'a completion of a task that is no longer wanted was dropped',
  )
  saveHead(shard, batch, head)
  return { kind: 'turn', handled: false, reply: undefined }
}

/** Empties the list of deliveries, within the steps that a batch may take. */
export function drainDeliveries(shard: ShardContext, batch: Batch): void {
  let at = 0
  for (; at < batch.deliveries.length; at++) {
    if (batch.steps >= shard.limits.stepsPerBatchMax) break
    const next = batch.deliveries[at]
    if (!next) continue
    if (next.kind === 'start') startChild(shard, batch, next)
    else deliverEvent(shard, batch, next)
  }
  batch.deliveries.splice(0, at)
}

/** An event from inside the system; one that cannot be delivered is a dead letter. */
export function deliverEvent(shard: ShardContext, batch: Batch, delivery: Delivery): void {
  const head = shard.heads.get(delivery.to)
  const refuse = (error: ErrorRecord) => deadLetter(shard, batch, delivery, error)
  if (!head) {
    if (delivery.tellFrom === undefined) return
    refuse(
      errorRecord('unknown-actor', `there is no actor at ${delivery.to}`, { address: delivery.to }),
    )
    return
  }
  if (delivery.tellFrom !== undefined) {
    const checked =
      delivery.event.type === DEAD_LETTER_EVENT
        ? { event: delivery.event }
        : checkEvent(head, delivery.event)
    if ('error' in checked) return refuse(checked.error)
    delivery.event = checked.event
    if (head.status !== 'active') return refuse(finishedError(head))
  }
  markChildDone(shard, batch, head, delivery)
  const arrival: Arrival = { kind: 'event', event: delivery.event, by: delivery.by }
  if (delivery.tellFrom !== undefined) arrival.tellFrom = delivery.tellFrom
  deliver(shard, batch, head, arrival)
}

/** An event of a callback or observable, if that still runs for its parent. */
export function deliverLive(
  shard: ShardContext,
  batch: Batch,
  live: { address: string; effectId: string; event: EventObject },
): void {
  const { address: to, effectId, event } = live
  const head = shard.heads.get(to)
  const runs = head?.children.some((child) => child.effectId === effectId && !child.done)
  if (runs) deliverEvent(shard, batch, { kind: 'event', to, event, by: 'callback' })
}

function failedChildOf(event: EventObject): string[] {
  const prefix = 'xstate.error.actor.'
  return event.type.startsWith(prefix) ? [event.type.slice(prefix.length)] : []
}

/** A finished child stays listed until its state is left, as in XState. */
function markChildDone(shard: ShardContext, batch: Batch, head: Head, delivery: Delivery): void {
  const { type, actorId } = delivery.event
  if (!type.startsWith('xstate.done.actor.') && !type.startsWith('xstate.error.actor.')) return
  const ended = head.children.find((child) => child.childId === actorId && !child.done)
  if (!ended) return
  head.children = head.children.map((child) => (child === ended ? { ...child, done: true } : child))
  if (ended.kind === 'live') batch.write(liveKey(shard.shard, ended.effectId), null)
  saveHead(shard, batch, head)
}

function startChild(shard: ShardContext, batch: Batch, start: ChildStart): void {
  const parent = shard.heads.get(start.parent)
  // Its state may have been left before it started, also in the very step that entered it.
  const wanted = parent?.children.some((child) => child.effectId === start.effectId && !child.done)
  if (!parent || !wanted) return
  const made = makeChild(shard, batch, parent, start)
  if ('error' in made) {
    const type = `xstate.error.actor.${start.childId}`
    const event = { type, error: { message: made.error }, actorId: start.childId }
    deliverEvent(shard, batch, { kind: 'event', to: start.parent, event, by: start.to })
  } else tellParentOfStep(shard, batch, made.head)
}
