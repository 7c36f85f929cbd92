/**
 * The receiving side of the channels from other shards.
 *
 * Decides: that the last number is stored in the same commit as what its message did, that repeats
 * are acknowledged and not stepped, that a full batch takes no more of them, and that a gap is refused with the number expected.
 */
import { errorRecord, pack } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { RelayReply, RelayRequest } from './channels.ts'
import type { ShardContext } from './context.ts'
import { deliverEvent } from './deliveries.ts'
import { inboundKey } from './keys.ts'
import type { LastInbound } from './recovery.ts'

export class Inbound {
  readonly #shard: ShardContext
  readonly #last: Map<number, LastInbound>

  constructor(shard: ShardContext, last: Map<number, LastInbound>) {
    this.#shard = shard
    this.#last = last
  }

  take(batch: Batch, { from, generation, first, messages }: RelayRequest): RelayReply {
    const known = this.#last.get(from)
    if (known && generation < known.generation) {
      return { error: errorRecord('conflict', 'the channel has begun a new generation') }
    }
    const fresh = !known || generation > known.generation
    if (fresh && known) {
      const fields = { from, generation }
      this.#shard.log.error(
        fields,
        'a channel from another shard began anew: messages may be missing',
      )
    }
    let last = fresh ? 0 : known.last
    if (first > last + 1) return { expected: last + 1 }
    for (const { to, event, from: sender } of messages.slice(last + 1 - first)) {
      // What finds no room is not acknowledged: it is sent again.
      if (batch.isFull(this.#shard.limits)) break
      deliverEvent(this.#shard, batch, { kind: 'event', to, event, by: sender, tellFrom: sender })
      last += 1
    }
    if (fresh || last !== known.last) {
      batch.write(inboundKey(this.#shard.shard, from), pack([generation, last]))
      this.#last.set(from, { generation, last })
    }
    return { acked: last }
  }
}
