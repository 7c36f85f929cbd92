/**
 * Messages that their target refused: kept with the reason, listed, and told to a sender whose chart
 * has a transition for `troupe.deadLetter`. They never block a channel.
 */
import { type ErrorRecord, pack, shardOf } from '../protocol/index.ts'
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
  const machine = sender.slice(0, sender.indexOf('/'))
  const chart = shard.machines.get(machine)?.chart
  return (
    chart !== undefined &&
    shardOf(sender, shard.shardCount) >= 0 &&
    (chart.machine.events as string[]).includes(DEAD_LETTER_EVENT)
  )
}
