/**
 * Changes of an actor's record outside of its chart: pausing, parking, keeping, and saving. Decides: that each
 * of them stands in the history as a turn of its own.
 */

import {
  clipText,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  invariant,
  messageOfThrown,
  pack,
  type TaskFailure,
  unpack,
} from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { type Cause, withEntry } from './history.ts'
import { keptKey, timerKey } from './keys.ts'
import { sentBytes, UTF8_BYTES_MAX } from './outgoing.ts'
import { encodeActor, type Head, type PauseEntry } from './records.ts'
import { announce } from './turn.ts'

/** What can arrive at an actor; all of it can wait in the kept queue. */
export type Arrival =
  | {
      kind: 'event'
      event: EventObject
      by: string
      commandId?: string
      tellFrom?: string
      /** Effect id of the child whose word it is: it counts for as long as that one is listed. */
      fromChild?: string
      tried?: Tried
    }
  | { kind: 'timer'; effectId: string }
  | { kind: 'task-done'; taskId: string; output: unknown; tried?: Tried }
  | { kind: 'task-failed'; taskId: string; failure: TaskFailure }

/** It has parked the actor once, and was put back. */
type Tried = true

/** Packs what the head says now, unless its last turn has done so. */
export function encodeHead(shard: ShardContext, head: Head): Uint8Array {
  if (head.encoded) return head.encoded
  const encoded = encodeActor(head, head.stored)
  shard.heads.resized(head, encoded.length)
  head.encoded = encoded
  return encoded
}

/** A change by an operator or by the engine: a turn in which the chart does not move. */
export function controlTurn(shard: ShardContext, batch: Batch, head: Head, cause: Cause): void {
  head.turn += 1
  head.updatedAt = batch.now
  const before = head.recent.length
  Object.assign(
    head,
    withEntry(shard, head, head.turn, batch.now, cause, head.stateText, head.stateText),
  )
  batch.reserve(Math.max(0, head.recent.length - before))
  announce(shard, batch, head, cause, head.stateText)
  batch.save(head)
}

/** Stops an actor that failed where it stands, for an operator to see (P9). */
export function park(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  why: string,
  cause: Cause,
  failedChildren: readonly string[] = [],
): ErrorRecord {
  // It stays in the record and in the history: the machine's own words may be of any length.
  const message = clipText(why)
  const error = errorRecord('parked', message, { address: head.address })
  const failed = new Set([...(head.parked?.failedChildren ?? []), ...failedChildren])
  head.parked = { since: batch.now, error, cause: cause.type, failedChildren: [...failed] }
  batch.reserve(sentBytes(message.length * UTF8_BYTES_MAX, head.address, ...failed))
  batch.releases.push({ kind: 'parked', address: head.address, error, cause: cause.type })
  controlTurn(shard, batch, head, { ...cause, type: `parked by ${cause.type}`, note: message })
  return error
}

/** Lets what arrives wait from now on; a pause that stands stays, and stops the timers that are new. */
export function hold(shard: ShardContext, batch: Batch, head: Head, paused: PauseEntry): void {
  head.paused ??= paused
  batch.reserve(sentBytes(0, paused.by, paused.reason))
  if (head.paused.timers === 'freeze') freezeTimers(shard, batch, head)
}

/** Only the chart's own: leases and retention go on. */
function freezeTimers(shard: ShardContext, batch: Batch, head: Head): void {
  head.timers = head.timers.map((timer) => {
    if (timer.kind !== 'event' || timer.frozenMs !== null) return timer
    batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
    return { ...timer, frozenMs: Math.max(0, timer.dueAt - batch.now) }
  })
}

/** Puts what arrived at the end of the kept queue, or says why not. */
export function keep(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival,
): ErrorRecord | undefined {
  const kept = head.keptTo - head.keptFrom
  const fromOutside = arrival.kind === 'event' && arrival.commandId !== undefined
  if (kept >= shard.limits.keptEventsMax && fromOutside) {
    return errorRecord(
      'limit-exceeded',
      `${head.address} keeps ${kept} events while it is ${head.parked ? 'parked' : 'paused'}; the limit is ${shard.limits.keptEventsMax} (keptEventsMax)`,
      { address: head.address, detail: { limit: 'keptEventsMax' } },
    )
  }
  const row = packArrival(head, arrival)
  if (!(row instanceof Uint8Array)) return row
  batch.write(keptKey(shard.shard, head.address, head.keptTo), row)
  batch.kept.set(`${head.address}\0${head.keptTo}`, row)
  head.keptTo += 1
  batch.save(head)
  return undefined
}

function packArrival(head: Head, arrival: Arrival): Uint8Array | ErrorRecord {
  try {
    return pack(arrival)
  } catch (thrown) {
    const why = `${head.address} holds, and what arrived cannot be kept: ${messageOfThrown(thrown)}`
    return errorRecord('malformed', clipText(why), { address: head.address })
  }
}

/**
 * Puts what parked the actor before everything else, to be stepped again when it is resumed, or says
 * why not. A state that the resume leaves or enters again cancels it, as it always does.
 */
export function putBack(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  arrival: Arrival,
): ErrorRecord | undefined {
  const isEmpty = head.keptFrom === head.keptTo
  const isFree = isEmpty || head.keptFrom > shard.leftovers.keptFrom(head.address)
  invariant(isFree, 'the first place is free')
  const at = isEmpty ? head.keptTo : head.keptFrom - 1
  const row = packArrival(head, arrival)
  if (!(row instanceof Uint8Array)) return row
  batch.write(keptKey(shard.shard, head.address, at), row)
  batch.kept.set(`${head.address}\0${at}`, row)
  if (isEmpty) head.keptTo = at + 1
  else head.keptFrom = at
  batch.save(head)
  return undefined
}

/** The first of the kept queue, as it is stored. */
export function firstKept(shard: ShardContext, batch: Batch, head: Head): Uint8Array | undefined {
  const key = keptKey(shard.shard, head.address, head.keptFrom)
  return batch.kept.get(`${head.address}\0${head.keptFrom}`) ?? shard.store.get(key)
}

/** Takes the first of the kept queue. */
export function takeKept(shard: ShardContext, batch: Batch, head: Head): Arrival | undefined {
  if (head.keptFrom >= head.keptTo) return undefined
  const row = firstKept(shard, batch, head)
  batch.write(keptKey(shard.shard, head.address, head.keptFrom), null)
  head.keptFrom += 1
  if (head.keptFrom === head.keptTo) {
    head.keptFrom = shard.leftovers.keptFrom(head.address)
    head.keptTo = head.keptFrom
  }
  return row ? (unpack(row) as Arrival) : undefined
}
