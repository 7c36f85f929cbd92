/**
 * Messages of a shard that wait, for another shard or for a later batch of its own. Decides: that a turn
 * sends no more while there are `outboxCountMax` of them. It is refused, or parked where nobody can be:
 * actors that send more than they get stop, and what they sent before still arrives.
 */
import { TroupeError } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { Plan } from './plan.ts'

/** @throws TroupeError `limit-exceeded` */
export function checkBacklog(shard: ShardContext, batch: Batch, plan: Plan): void {
  if (plan.deliveries.length > 0) checkChannel(shard, batch, shard.shard)
  for (const { target } of plan.tells) checkChannel(shard, batch, target)
}

function checkChannel(shard: ShardContext, batch: Batch, target: number): void {
  if (hasRoomFor(shard, batch, target)) return
  const { outboxCountMax } = shard.limits
  throw new TroupeError(
    'limit-exceeded',
    `${outboxCountMax} messages from shard ${shard.shard} to shard ${target} wait (outboxCountMax): nothing more is sent there until they have arrived`,
    { detail: { limit: 'outboxCountMax' } },
  )
}

export function hasRoomFor(shard: ShardContext, batch: Batch, target: number): boolean {
  const own = target === shard.shard
  const now = own ? batch.deliveries.length : (batch.outgoing.get(target)?.length ?? 0)
  return shard.backlog.countFor(target) + now < shard.limits.outboxCountMax
}
