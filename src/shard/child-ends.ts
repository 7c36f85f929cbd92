/**
 * What children tell the actor that has them: each step, their end, their failure.
 *
 * Decides: that the word of a child counts by the full effect id under which its parent lists it. The
 * id alone may meanwhile be that of another child, of a state that was left and entered again.
 */

import {
  type AddressText,
  clipText,
  type EventObject,
  lastName,
  parentOf,
} from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { liveKey } from './keys.ts'
import { sentBytes, UTF8_BYTES_MAX } from './outgoing.ts'
import type { ChildEntry, Head } from './records.ts'

const DONE = 'xstate.done.actor.'
const FAILED = 'xstate.error.actor.'

export interface Parent {
  head: Head
  /** What it lists the child as. */
  entry: ChildEntry
}

/** The actor that has this one as a child and waits for it. */
export function parentHeadOf(shard: ShardContext, head: Head): Parent | undefined {
  const address = parentOf(head.address)
  const parent = address === undefined ? undefined : shard.heads.get(address)
  if (!parent) return undefined
  const childId = lastName(head.address)
  const entry = parent.children.find((child) => child.childId === childId && !child.done)
  return entry && { head: parent, entry }
}

export function failureType(childId: string): string {
  return `${FAILED}${childId}`
}

/** @param bytes at most so many are its output */
export function tellDone(
  batch: Batch,
  parent: Parent,
  by: AddressText,
  output: unknown,
  bytes: number,
): void {
  const { childId } = parent.entry
  tell(batch, parent, by, { type: `${DONE}${childId}`, output, actorId: childId }, bytes)
}

export function tellFailure(batch: Batch, parent: Parent, by: AddressText, message: string): void {
  const { childId } = parent.entry
  const error = { message: clipText(message) }
  const bytes = error.message.length * UTF8_BYTES_MAX
  tell(batch, parent, by, { type: failureType(childId), error, actorId: childId }, bytes)
}

/** `onSnapshot` of the parent: it sees every step of the child, the first included. */
export function tellStep(shard: ShardContext, batch: Batch, head: Head): void {
  if (head.status !== 'active') return
  const parent = parentHeadOf(shard, head)
  if (!parent?.entry.sync) return
  const { value, context, output } = head.stored
  const snapshot = { value, context, status: head.status, output }
  const type = `xstate.snapshot.${parent.entry.childId}`
  tell(batch, parent, head.address, { type, snapshot }, head.bytes)
}

function tell(
  batch: Batch,
  parent: Parent,
  by: AddressText,
  event: EventObject,
  bytes: number,
): void {
  const fromChild = parent.entry.effectId
  batch.reserve(sentBytes(bytes, by, by, fromChild))
  batch.deliveries.push({ kind: 'event', to: parent.head.address, event, by, fromChild })
}

/**
 * Whether the word of a child still counts. Its end is noted: it stays listed until its state is left,
 * as in XState, and what runs beside the owner for it stops.
 */
export function hearChild(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  event: EventObject,
  effectId: string,
): boolean {
  const child = head.children.find((entry) => entry.effectId === effectId && !entry.done)
  if (!child) return false
  if (endedChild(event) !== child.childId) return true
  markDone(head, effectId)
  if (child.kind === 'live') stopLive(shard, batch, effectId)
  batch.save(head)
  return true
}

/** Of a result, a failure: the id of the child that it ends. */
export function endedChild({ type }: EventObject): string | undefined {
  if (type.startsWith(DONE)) return type.slice(DONE.length)
  return type.startsWith(FAILED) ? type.slice(FAILED.length) : undefined
}

export function isFailure({ type }: EventObject): boolean {
  return type.startsWith(FAILED)
}

export function markDone(head: Head, effectId: string, done = true): void {
  head.children = head.children.map((child) =>
    child.effectId === effectId ? { ...child, done } : child,
  )
}

/**
 * A callback or observable: its row, by which it would start again, and what runs. One that would begin
 * with this batch does not run at all: nothing of it is there any more when the batch is true.
 */
export function stopLive(shard: ShardContext, batch: Batch, effectId: string): void {
  batch.write(liveKey(shard.shard, effectId), null)
  if (!batch.forgetLive(effectId)) batch.releases.push({ kind: 'live-stop', effectId })
}
