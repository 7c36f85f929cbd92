/**
 * The receiving side of the channels from other shards.
 *
 * Decides: that the last number is stored in the same commit as what its message did, that repeats
 * are acknowledged and not stepped, that a full batch takes no more of them, that a gap is refused with
 * the number expected, and where a channel goes on when one of its ends has forgotten messages. Leaves
 * to others: which messages both ends mean by the same numbers (lineage.ts).
 */
import type { Batch } from './batch.ts'
import type { RelayReply, RelayRequest } from './channels.ts'
import type { ShardContext } from './context.ts'
import { deliverEvent } from './deliveries.ts'
import { inboundKey } from './keys.ts'
import { commonUpTo, generationOf, packEnd } from './lineage.ts'
import type { LastInbound } from './recovery.ts'

const NOTHING: LastInbound = { lineage: [], last: 0 }

export class Inbound {
  readonly #shard: ShardContext
  readonly #last: Map<number, LastInbound>

  constructor(shard: ShardContext, last: Map<number, LastInbound>) {
    this.#shard = shard
    this.#last = last
  }

  take(batch: Batch, request: RelayRequest): RelayReply {
    const { from, first, messages, lineage = [] } = request
    const known = this.#last.get(from) ?? NOTHING
    const common = commonUpTo(known.lineage, lineage)
    if (common === undefined) return { above: generationOf(known.lineage) }
    const begin = this.#beginning(request, known.last, common)
    let last = begin
    if (first <= begin + 1) {
      for (const { to, event, from: sender } of messages.slice(last + 1 - first)) {
        // What finds no room is not acknowledged: it is sent again.
        if (batch.isFull(this.#shard.limits)) break
        deliverEvent(this.#shard, batch, { kind: 'event', to, event, by: sender, tellFrom: sender })
        last += 1
      }
    }
    if (last !== known.last || Number.isFinite(common)) {
      batch.write(inboundKey(this.#shard.shard, from), packEnd(last, lineage))
      this.#last.set(from, { lineage, last })
    }
    return first <= begin + 1 ? { acked: last } : { expected: last + 1 }
  }

  /** The last message that counts as taken, whatever was lost on either side. */
  #beginning({ from, oldest, lineage }: RelayRequest, known: number, common: number): number {
    const { shard, log } = this.#shard
    const last = Math.min(known, common)
    if (last < known) {
      const fields = { shard, from, generation: generationOf(lineage ?? []) }
      log.error(
        { ...fields, first: last + 1, last: known },
        'a shard has lost the end of its journal: of these messages it does not know that they took effect here',
      )
    }
    if (oldest <= last + 1) return last
    log.error(
      { shard, from, first: last + 1, last: oldest - 1 },
      'what these messages did here was lost with the end of the journal, and their sender has them no more',
    )
    return oldest - 1
  }
}
