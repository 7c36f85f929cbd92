/**
 * What actors of a shard send each other inside a batch, and what comes for them from other shards and
 * from callbacks.
 *
 * Decides: what becomes of an event whose target is gone, refuses it, or no longer has the child that
 * sent it. Leaves to others: what it does there (deliver.ts).
 */
import { type ErrorRecord, type EventObject, errorRecord } from '../protocol/index.ts'
import type { Batch, ChildStart, Delivery } from './batch.ts'
import { hearChild, tellFailure, tellStep } from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { type Arrival, controlTurn, hold, park } from './control.ts'
import { DEAD_LETTER_EVENT, deadLetter } from './dead-letters.ts'
import { deliver } from './deliver.ts'
import { checkEvent, finishedError } from './event-check.ts'
import { whyNotOutgoing } from './outgoing.ts'
import { makeChild } from './start-actor.ts'

/** Empties the list of deliveries, within the steps that a batch may take. */
export function drainDeliveries(shard: ShardContext, batch: Batch): void {
  let at = 0
  while (at < batch.deliveries.length && batch.mayStep(shard.limits)) {
    const next = batch.deliveries[at++]
    if (next) deliverNext(shard, batch, next)
  }
  if (at > 0) batch.deliveries.splice(0, at)
}

/** One of them; it counts as a step, whether it is stepped, kept, or refused. */
export function deliverNext(shard: ShardContext, batch: Batch, next: Delivery | ChildStart): void {
  const stepsBefore = batch.steps
  if (next.kind === 'start') startChild(shard, batch, next)
  else deliverEvent(shard, batch, next)
  if (batch.steps === stepsBefore) batch.steps += 1
}

/** An event from inside the system; one that cannot be delivered is a dead letter. */
export function deliverEvent(shard: ShardContext, batch: Batch, delivery: Delivery): void {
  const head = shard.heads.get(delivery.to)
  const refuse = (error: ErrorRecord) => deadLetter(shard, batch, delivery, error)
  let { event } = delivery
  if (!head) {
    const unknown = shard.heads.whyUnknown(delivery.to)
    if (unknown !== undefined) return refuse(errorRecord('version-unknown', unknown))
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
    if (head.status !== 'active') return refuse(finishedError(head))
    // A dead letter shows what was sent, not what a schema made of it.
    event = checked.event
  }
  const { fromChild } = delivery
  if (fromChild !== undefined && !hearChild(shard, batch, head, event, fromChild)) return
  const arrival: Arrival = { kind: 'event', event, by: delivery.by }
  if (delivery.tellFrom !== undefined) arrival.tellFrom = delivery.tellFrom
  if (fromChild !== undefined) arrival.fromChild = fromChild
  const delivered = deliver(shard, batch, head, arrival)
  if (delivered.kind === 'refused') refuse(delivered.error)
}

/** An event of a callback or observable, if that still runs for its parent. */
export function deliverLive(
  shard: ShardContext,
  batch: Batch,
  live: { address: string; effectId: string; event: EventObject },
): void {
  const { address: to, effectId, event } = live
  const head = shard.heads.get(to)
  const child = head?.children.find((entry) => entry.effectId === effectId && !entry.done)
  if (!head || !child) return
  const what = `an event of the callback ${child.childId}`
  const error = whyNotOutgoing(shard, what, event)
  if (error) park(shard, batch, head, error.message, { type: what, by: 'callback' })
  else deliverEvent(shard, batch, { kind: 'event', to, event, by: 'callback', fromChild: effectId })
}

function startChild(shard: ShardContext, batch: Batch, start: ChildStart): void {
  const parent = shard.heads.get(start.parent)
  // Its state may have been left before it started, also in the very step that entered it.
  const entry = parent?.children.find((child) => child.effectId === start.effectId && !child.done)
  if (!parent || !entry) return
  const made = makeChild(shard, batch, parent, start)
  if ('error' in made) {
    tellFailure(batch, { head: parent, entry }, start.to, made.error)
    return
  }
  const { head } = made
  // It was asked for before the pause, and found no room until now: it is part of what is paused.
  if (parent.paused && head.status === 'active') {
    hold(shard, batch, head, parent.paused)
    controlTurn(shard, batch, head, { type: 'pause', by: parent.paused.by })
  }
  tellStep(shard, batch, head)
}
