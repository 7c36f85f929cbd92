/**
 * Brings what arrives to an actor: keeps it while the actor holds, steps it otherwise.
 *
 * Decides: what a failed step leads to, and which completions still count. Leaves to others: turns
 * (turn.ts), the order of arrivals (engine.ts).
 */

import { stepEvent, stepTransition } from '../machine/index.ts'
import {
  childOf,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  pack,
  parentOf,
} from '../protocol/index.ts'
import type { Batch, Delivery } from './batch.ts'
import {
  endedChild,
  failureType,
  isFailure,
  parentHeadOf,
  tellFailure,
  tellStep,
} from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { type Arrival, controlTurn, keep, park, putBack } from './control.ts'
import { deadLetter } from './dead-letters.ts'
import { finishedError } from './event-check.ts'
import { identityOf, namesEventAt, snapshotOf } from './heads.ts'
import type { Cause } from './history.ts'
import { sentBytes } from './outgoing.ts'
import { type Head, isHolding, KEPT_TIMER } from './records.ts'
import { removeActor } from './removal.ts'
import { failTask, keepTask, takeTask } from './task-failures.ts'
import { applyReducerTurn, applyTurn } from './turn.ts'
import { fitsBeside, removalBytes, tooLargeBeside, whyTooMuch } from './turn-size.ts'

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
  const tooLarge = whyNotBeside(shard, head, arrival)
  if (tooLarge) return notTaken(shard, batch, head, arrival, tooLarge)
  if (isHolding(head)) {
    const refused = keep(shard, batch, head, arrival)
    if (refused) return notTaken(shard, batch, head, arrival, refused)
    return { kind: 'kept', count: head.keptTo - head.keptFrom }
  }
  return stepArrival(shard, batch, head, arrival)
}

/**
 * What arrives has to fit a batch together with the actor: it may have to be kept, or to be put back
 * when it parks the actor. It is measured only where it might not.
 */
function whyNotBeside(
  { limits }: ShardContext,
  head: Head,
  arrival: Arrival,
): ErrorRecord | undefined {
  // A timer's event is part of the actor.
  if (fitsBeside(limits, head, limits.payloadBytesMax) || arrival.kind === 'timer') return undefined
  const bytes = packedBytes(arrival)
  return fitsBeside(limits, head, bytes) ? undefined : tooLargeBeside(limits, head, bytes)
}

/** What cannot be packed is refused when it is kept. */
function packedBytes(arrival: Arrival): number {
  try {
    return pack(arrival).length
  } catch {
    return 0
  }
}

/** Who waits for an answer, or sent a message that becomes a dead letter, is told; an operator otherwise. */
function notTaken(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival,
  error: ErrorRecord,
): Delivered {
  const told =
    arrival.kind !== 'event' || arrival.commandId !== undefined || arrival.tellFrom !== undefined
  if (told) return { kind: 'refused', error }
  // Of a child: its state is entered again by the resume, and starts it anew.
  const ended = arrival.fromChild === undefined ? undefined : endedChild(arrival.event)
  const failed = ended === undefined ? NONE : [ended]
  return {
    kind: 'parked',
    error: park(shard, batch, head, error.message, causeOf(arrival), failed),
  }
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
    case 'event':
      return stepSent(shard, batch, head, arrival, waits)
    case 'timer':
      return stepTimer(shard, batch, head, arrival.effectId)
    case 'task-done':
      return completeTask(shard, batch, head, arrival)
    case 'task-failed':
      return failArrived(shard, batch, head, arrival)
  }
}

function stepSent(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival & { kind: 'event' },
  waits: boolean,
): Delivered {
  const { event, fromChild } = arrival
  const taken = arrival.commandId !== undefined || arrival.tellFrom !== undefined
  // It finished while this was kept.
  if (taken && head.status !== 'active') {
    deadLetter(shard, batch, deliveryOf(head, arrival), finishedError(head))
    return NOTHING
  }
  // Its child was stopped while this was kept; it may have another of the same id.
  if (fromChild !== undefined && !head.children.some((child) => child.effectId === fromChild))
    return dropEnd(shard, batch, head, event.type, arrival.by, endedChild(event) !== undefined)
  const told = waits && arrival.commandId !== undefined
  const onFailure = told ? 'refuse' : arrival.tried ? 'park' : 'again'
  const ended = fromChild === undefined ? undefined : endedChild(event)
  const failed = ended === undefined ? NONE : [ended]
  const delivered = step(shard, batch, head, event, causeOf(arrival), onFailure, failed)
  if (delivered.kind !== 'parked' || told) return delivered
  // That a child failed stands in the park itself; the resume starts it again.
  if (ended !== undefined && isFailure(event)) return delivered
  return tryOnceMore(shard, batch, head, arrival, event, delivered)
}

/**
 * Of what has parked the actor nobody else knows: the next resume tries it once more. What fails again
 * is a dead letter, so that it is neither lost nor in the way for ever.
 */
function tryOnceMore(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival & { kind: 'event' | 'task-done' },
  event: EventObject,
  parked: Delivered & { kind: 'parked' },
): Delivered {
  // Its parent was told of its failure, and it is gone.
  if (batch.removed.has(head.address)) return parked
  if (arrival.tried) {
    deadLetter(shard, batch, deliveryOf(head, { by: 'task', ...arrival, event }), parked.error)
    return parked
  }
  const error = putBack(shard, batch, head, { ...arrival, tried: true })
  return error ? { kind: 'refused', error } : parked
}

function deliveryOf(
  head: Head,
  { event, by, tellFrom }: { event: EventObject; by: string; tellFrom?: string },
): Delivery {
  const delivery: Delivery = { kind: 'event', to: head.address, event, by }
  return tellFrom === undefined ? delivery : { ...delivery, tellFrom }
}

const NONE: readonly string[] = []
const NOTHING: Delivered = { kind: 'turn', handled: false, reply: undefined }

function causeOf(arrival: Arrival & { kind: 'event' }): Cause {
  const cause: Cause = { type: arrival.event.type, by: arrival.by }
  if (arrival.commandId !== undefined) cause.commandId = arrival.commandId
  return cause
}

/**
 * `refuse`: a caller waits who can be told, a turn that does not fit leaves the actor alone. Otherwise
 * it parks it: `again` when what failed will be tried again, so that the history names its command once.
 */
type OnFailure = 'refuse' | 'again' | 'park'

export function step(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  event: EventObject,
  cause: Cause,
  onFailure: OnFailure,
  failedChildren: readonly string[] = NONE,
): Delivered {
  batch.steps += 1
  if (head.status !== 'active' || head.logic.kind === 'missing') return NOTHING
  if (head.logic.kind === 'reducer')
    return stepReducer(shard, batch, head, head.logic.logic, event, cause)
  const { chart } = head.logic
  const outcome = stepEvent(chart, snapshotOf(head, chart), event, identityOf(head))
  if (outcome.kind === 'failed') {
    shard.heads.undoStep(head)
    return fail(shard, batch, head, outcome.message, parkCause(cause, onFailure), failedChildren)
  }
  if (!outcome.handled) return NOTHING
  const turn = applyTurn(shard, batch, head, outcome.snapshot, outcome.effects, cause)
  if (turn.kind === 'refused') {
    shard.heads.undoStep(head)
    if (onFailure === 'refuse') return { kind: 'refused', error: turn.error }
    const { message } = turn.error
    return fail(shard, batch, head, message, parkCause(cause, onFailure), failedChildren)
  }
  tellStep(shard, batch, head)
  return { kind: 'turn', handled: true, reply: turn.reply }
}

function parkCause(cause: Cause, onFailure: OnFailure): Cause {
  if (onFailure !== 'again') return cause
  const { commandId: _later, ...rest } = cause
  return rest
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
  const parent = parentHeadOf(shard, head)
  const isHandedUp =
    parent !== undefined && namesEventAt(parent.head, failureType(parent.entry.childId))
  if (!isHandedUp || whyTooMuch(shard, batch, head, 'to take away', removalBytes(shard, head))) {
    return { kind: 'parked', error: park(shard, batch, head, message, cause, failedChildren) }
  }
  tellFailure(batch, parent, head.address, message)
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
  if (outcome.kind === 'failed') {
    shard.heads.undoStep(head)
    return fail(shard, batch, head, outcome.message, cause, NONE)
  }
  const turn = applyReducerTurn(shard, batch, head, outcome.context, cause)
  if (turn.kind === 'refused') {
    shard.heads.undoStep(head)
    return fail(shard, batch, head, turn.error.message, cause, NONE)
  }
  tellStep(shard, batch, head)
  return { kind: 'turn', handled: true, reply: undefined }
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
    const delivered = step(shard, batch, head, event, cause, 'park')
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
  if (to) {
    batch.reserve(sentBytes(pack(event).length, to, head.address))
    batch.deliveries.push({ kind: 'event', to, event, by: head.address })
  }
  return { kind: 'turn', handled: true, reply: undefined }
}

/** The result of a task that the actor still wants; others were refused by token before. */
function completeTask(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival & { kind: 'task-done' },
): Delivered {
  const { taskId, output } = arrival
  const task = takeTask(shard, batch, head, taskId)
  if (!task) return dropResult(shard, batch, head, arrival)
  const { childId } = task
  const type = `xstate.done.actor.${childId}`
  const event = { type, output, actorId: childId }
  const cause = { type, by: `task ${task.name}` }
  const delivered = step(shard, batch, head, event, cause, 'park', [childId])
  const encoded = delivered.kind === 'turn' && delivered.handled
  if (encoded || batch.removed.has(head.address)) return delivered
  batch.save(head)
  if (delivered.kind !== 'parked') return delivered
  // The resume enters the state that asked for it again, and with it goes this result. If no state
  // did, it is still wanted.
  const outcome = tryOnceMore(shard, batch, head, arrival, event, delivered)
  if (outcome.kind === 'parked' && !arrival.tried) keepTask(shard, batch, head, task)
  return outcome
}

function failArrived(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival & { kind: 'task-failed' },
): Delivered {
  const decision = failTask(shard, batch, head, arrival.taskId, arrival.failure)
  if (decision.kind === 'gone') return dropResult(shard, batch, head, arrival)
  if (decision.kind === 'again') return { kind: 'turn', handled: true, reply: undefined }
  const task = takeTask(shard, batch, head, arrival.taskId)
  if (!task) return dropResult(shard, batch, head, arrival)
  const type = `xstate.error.actor.${task.childId}`
  const cause: Cause = { type, by: `task ${task.name}`, note: arrival.failure.message }
  if (decision.kind === 'park') {
    return {
      kind: 'parked',
      error: park(shard, batch, head, arrival.failure.message, cause, [task.childId]),
    }
  }
  const event = { type, error: arrival.failure, actorId: task.childId }
  const delivered = step(shard, batch, head, event, cause, 'park', [task.childId])
  if (!batch.removed.has(head.address)) batch.save(head)
  return delivered
}

function dropResult(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  { kind, taskId }: Arrival & { kind: 'task-done' | 'task-failed' },
): Delivered {
  const what = kind === 'task-done' ? 'the result of a task' : 'the failure of a task'
  return dropEnd(shard, batch, head, what, `task ${taskId}`, true)
}

/** Its state was left while it was kept: it matches no row of the present head. */
function dropEnd(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  what: string,
  by: string,
  noted: boolean,
): Delivered {
  const { address } = head
  shard.log.info({ address, what, by }, 'what is no longer wanted was dropped')
  if (noted && head.status === 'active')
    controlTurn(shard, batch, head, { type: `dropped ${what}`, by })
  return NOTHING
}
