/**
 * Rows of removed actors that are too many for one batch: kept events and history. Decides: that the
 * actor is gone at once, and that they go a part with each batch, also after a crash. A row says what is
 * left to remove.
 *
 * The keys of these rows hold no birth. So an actor that is started at the address meanwhile numbers its
 * kept events above those that are left. Its history begins at turn 1 again: it writes over what is
 * left up to its newest chunk, and what lies there is its own.
 */
import type { Store } from '../ports/index.ts'
import { type AddressText, type Limits, pack, unpack } from '../protocol/index.ts'
import { type Batch, ROW_BYTES } from './batch.ts'
import type { Heads } from './heads.ts'
import {
  historyKey,
  keptKey,
  leftoverKey,
  NUMBER_BYTES,
  nameOfKey,
  TABLE,
  tableRange,
} from './keys.ts'
import type { Head } from './records.ts'

interface Leftover {
  /** All kept events below this number. */
  keptTo: number
  /** All chunks of the history up to this turn. */
  historyTo: number
  /** Of the batch that wrote it last: the store does not show yet what that one changed. */
  slot: number
}

const ROWS_PER_BATCH_MAX = 1_000

export interface LeftoversDeps {
  shard: number
  store: Store
  limits: Limits
  heads: Heads
}

export class Leftovers {
  readonly #deps: LeftoversDeps
  #known: Map<AddressText, Leftover> | undefined

  constructor(deps: LeftoversDeps) {
    this.#deps = deps
  }

  /** Whether there is something to go on with. */
  get busy(): boolean {
    return this.#all.size > 0
  }

  /** Where an actor that begins at this address numbers its kept events from. */
  keptFrom(address: AddressText): number {
    return this.#all.get(address)?.keptTo ?? 0
  }

  /** Whether the rows of an actor have to wait: there are too many for this batch. */
  mustTake({ address }: Head, rows: number, batch: Batch): boolean {
    const bytes = rows * bytesOfKey(address)
    return batch.bytes + bytes > this.#deps.limits.batchBytesMax / 4
  }

  /** Instead of removing the rows of an actor with the actor. */
  take(batch: Batch, { address, keptTo, recentFrom }: Head): void {
    // Of one before it there may be more; its kept events were numbered from there on.
    const historyTo = Math.max(recentFrom, this.#all.get(address)?.historyTo ?? 0)
    this.#set(batch, address, { keptTo, historyTo, slot: batch.slot })
  }

  /** Removes what has room in the batch. */
  step(batch: Batch): void {
    if (this.#all.size === 0) return
    const { limits } = this.#deps
    for (const [address, leftover] of this.#all) {
      if (leftover.slot === batch.slot) continue
      // The last row is the one that says so. Some room is kept for this in every batch.
      const room = Math.floor(batch.roomLeft(limits) / bytesOfKey(address)) - 1
      const rowsMax = Math.min(ROWS_PER_BATCH_MAX, room)
      if (rowsMax <= 0) return
      if (this.#removeSome(batch, address, leftover, rowsMax) < rowsMax) {
        batch.write(leftoverKey(this.#deps.shard, address), null)
        this.#all.delete(address)
      }
      // One a batch keeps what others wait for short.
      return
    }
  }

  #removeSome(
    batch: Batch,
    address: AddressText,
    { keptTo, historyTo }: Leftover,
    rowsMax: number,
  ): number {
    const { shard, store, heads } = this.#deps
    // What cannot be read here may have written any of it.
    const unread = heads.has(address) ? historyTo : -1
    const own = heads.get(address)?.recentFrom ?? unread
    const ranges = [
      { from: keptKey(shard, address, 0), to: keptKey(shard, address, keptTo) },
      {
        from: historyKey(shard, address, own + 1),
        to: historyKey(shard, address, historyTo + 1),
      },
    ]
    let removed = 0
    for (const range of ranges) {
      if (Buffer.compare(range.from, range.to) >= 0) continue
      for (const { key } of store.range({ ...range, limit: rowsMax - removed })) {
        batch.write(key, null)
        removed += 1
      }
      if (removed === rowsMax) return removed
    }
    return removed
  }

  #set(batch: Batch, address: AddressText, leftover: Leftover): void {
    const { keptTo, historyTo } = leftover
    // At the end: those that wait longer go first.
    this.#all.delete(address)
    this.#all.set(address, leftover)
    batch.write(leftoverKey(this.#deps.shard, address), pack([keptTo, historyTo]))
  }

  /** Read when it is asked for first: the store is the shard's only then. */
  get #all(): Map<AddressText, Leftover> {
    this.#known ??= this.#load()
    return this.#known
  }

  #load(): Map<AddressText, Leftover> {
    const { shard, store } = this.#deps
    const found = new Map<AddressText, Leftover>()
    for (const { key, value } of store.range(tableRange(shard, TABLE.leftover))) {
      const [keptTo, historyTo] = unpack(value) as [number, number]
      found.set(nameOfKey(key), { keptTo, historyTo, slot: 0 })
    }
    return found
  }
}

function bytesOfKey(address: AddressText): number {
  return address.length + NUMBER_BYTES + ROW_BYTES
}
