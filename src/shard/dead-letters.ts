/**
 * Messages that their target refused: kept with the reason, listed, and told to a sender whose chart
 * has a transition for `troupe.deadLetter`. They never block a channel.
 */

import {
  type ErrorRecord,
  type EventObject,
  isChild,
  machineOf,
  pack,
  shardOf,
} from '../protocol/index.ts'
import { hasRoomFor } from './backlog.ts'
import type { Batch, Delivery } from './batch.ts'
import type { ShardContext } from './context.ts'
import { sequencedKey, TABLE } from './keys.ts'
import { sentBytes } from './outgoing.ts'
import { sendTell } from './turn.ts'

export const DEAD_LETTER_EVENT = 'troupe.deadLetter'

export function deadLetter(
  shard: ShardContext,
  batch: Batch,
  delivery: Delivery,
  why: ErrorRecord,
): void {
  const from = delivery.tellFrom ?? delivery.by
  if (delivery.event.type === DEAD_LETTER_EVENT) return
  const key = sequencedKey(
    shard.shard,
    TABLE.deadLetter,
    batch.now,
    batch.slot,
    batch.nextSequence(),
  )
  const { event, error } = fitting(shard, batch, delivery, why)
  batch.write(key, pack([from, delivery.to, event, error]))
  shard.log.warn(
    { from, to: delivery.to, event: delivery.event.type, code: why.code },
    'a message was refused by its target',
  )
  if (delivery.tellFrom === undefined || !wantsToKnow(shard, delivery.tellFrom)) return
  const target = shardOf(delivery.tellFrom, shard.shardCount)
  if (!hasRoomFor(shard, batch, target)) return
  const told = { type: DEAD_LETTER_EVENT, to: delivery.to, ...fitting(shard, batch, delivery, why) }
  batch.reserve(sentBytes(pack(told).length, delivery.to, delivery.tellFrom, delivery.to))
  sendTell(shard, batch, { target, from: delivery.to, to: delivery.tellFrom, event: told })
}

/** All of it, where the batch has room for it: nobody can be refused here, so the rest is left out. */
function fitting(
  { limits }: ShardContext,
  batch: Batch,
  { event, to, by }: Delivery,
  error: ErrorRecord,
): { event: EventObject; error: ErrorRecord } {
  const bytes = sentBytes(pack([event, error]).length, to, by)
  if (batch.bytes + bytes <= limits.batchBytesMax) return { event, error }
  const { detail: _detail, ...short } = error
  const message = `${error.message} (its payload of ${bytes} bytes found no room and was left out)`
  return { event: { type: event.type.slice(0, TYPE_CHARS_MAX) }, error: { ...short, message } }
}

const TYPE_CHARS_MAX = 256

function wantsToKnow(shard: ShardContext, sender: string): boolean {
  // What a child is made of is known on its own shard only: there it is dropped if nobody wants it.
  if (isChild(sender)) return true
  const chart = shard.machines.get(machineOf(sender))?.chart
  return chart !== undefined && (chart.machine.events as string[]).includes(DEAD_LETTER_EVENT)
}
