/**
 * Messages that their target refused: kept with the reason, listed, and told to a sender whose chart
 * has a transition for `troupe.deadLetter`. They never block a channel.
 */
import { type ErrorRecord, isChild, machineOf, pack } from '../protocol/index.ts'
import type { Batch, Delivery } from './batch.ts'
import type { ShardContext } from './context.ts'
import { sequencedKey, TABLE } from './keys.ts'
import { sendTell } from './turn.ts'

export const DEAD_LETTER_EVENT = 'troupe.deadLetter'

export function deadLetter(
  shard: ShardContext,
  batch: Batch,
  delivery: Delivery,
  error: ErrorRecord,
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
  batch.write(key, pack([from, delivery.to, delivery.event, error]))
  shard.log.warn(
    { from, to: delivery.to, event: delivery.event.type, code: error.code },
    'a message was refused by its target',
  )
  if (delivery.tellFrom === undefined || !wantsToKnow(shard, delivery.tellFrom)) return
  const event = { type: DEAD_LETTER_EVENT, to: delivery.to, event: delivery.event, error }
  sendTell(shard, batch, delivery.to, delivery.tellFrom, event)
}

function wantsToKnow(shard: ShardContext, sender: string): boolean {
  // What a child is made of is known on its own shard only: there it is dropped if nobody wants it.
  if (isChild(sender)) return true
  const chart = shard.machines.get(machineOf(sender))?.chart
  return chart !== undefined && (chart.machine.events as string[]).includes(DEAD_LETTER_EVENT)
}
