/**
 * The raw records that a node keeps of a shard.
 *
 * Decides: where the record of a slot lies until the slot is removed from the journal, and that what
 * turns out to be off the chain is set aside, never dropped, unless it certainly was never
 * acknowledged. A row beyond `applied` is a candidate only: the journal says what is true.
 */
import type { Log, Store, StoreWrite } from '../ports/index.ts'
import { hashBytes, pack, toErrorRecord, unpack } from '../protocol/index.ts'
import { appliedKey, quarantineKey, slotOfTailKey, TABLE, tableRange, tailKey } from './keys.ts'
import { generationRow } from './lineage.ts'
import { RowFold } from './row-fold.ts'
import {
  type ClaimHead,
  type Epoch,
  GENESIS_HASH,
  type RecordHead,
  readRecord,
} from './slot-records.ts'

export interface TailRow {
  slot: number
  bytes: Uint8Array
}

/** The newest slot whose rows the store shows. */
export interface Applied {
  slot: number
  hash: string
}

export class Tail {
  readonly #shard: number
  readonly #store: Store
  readonly #log: Log

  constructor(shard: number, store: Store, log: Log) {
    this.#shard = shard
    this.#store = store
    this.#log = log
  }

  applied(): Applied {
    return appliedOf(this.#store.get(appliedKey(this.#shard)))
  }

  /** A claim that was read or written here, as long as its slot is not removed: its id is of no other record. */
  claim({ slot, claimId }: Epoch): ClaimHead | undefined {
    const bytes = this.#store.get(tailKey(this.#shard, slot))
    const record = bytes && recordOf({ slot, bytes })
    return record?.kind === 'claim' && record.claimId === claimId ? record : undefined
  }

  /** Every row behind a slot, whether or not it is the next one. */
  *after(slot: number): Generator<TailRow> {
    const range = {
      from: tailKey(this.#shard, slot + 1),
      to: tableRange(this.#shard, TABLE.tail).to,
    }
    for (const { key, value } of this.#store.range(range)) {
      yield { slot: slotOfTailKey(key), bytes: value }
    }
  }

  /**
   * Keys up to and including a slot, from the lowest row on: their slots are gone. Slots are numbers in a
   * row, so that no record is read but the first; some of the keys may have no row.
   */
  upTo(slot: number, limit: number): Uint8Array[] {
    const range = { from: tailKey(this.#shard, 0), to: tailKey(this.#shard, slot + 1), limit: 1 }
    const [lowest] = this.#store.range(range)
    if (!lowest) return []
    const first = slotOfTailKey(lowest.key)
    const count = Math.min(limit, slot - first + 1)
    return Array.from({ length: count }, (_, index) => tailKey(this.#shard, first + index))
  }

  /**
   * What goes when records behind `applied` are applied: rows that are not what the journal holds, in
   * these slots (a follower) or anywhere behind `applied` (a taker, whose claim is the end).
   * One that was sent to the present copy of the stream and is not there was never acknowledged.
   */
  clear(
    applied: number,
    records: readonly Uint8Array[],
    serverId: string,
    where: 'these slots' | 'anywhere' = 'anywhere',
  ): StoreWrite[] {
    const writes: StoreWrite[] = []
    const aside: number[] = []
    const dropped: number[] = []
    for (const row of this.after(applied)) {
      if (where === 'these slots' && row.slot > applied + records.length) break
      const held = records[row.slot - applied - 1]
      if (held && Buffer.compare(held, row.bytes) === 0) continue
      writes.push([tailKey(this.#shard, row.slot), null])
      const record = recordOf(row)
      if (record?.serverId === serverId) {
        dropped.push(row.slot)
        continue
      }
      writes.push([quarantineKey(this.#shard, row.slot, hashBytes(row.bytes)), row.bytes])
      aside.push(row.slot)
    }
    this.#report(dropped, aside)
    return writes
  }

  #report(dropped: readonly number[], aside: readonly number[]): void {
    const shard = this.#shard
    if (dropped.length > 0) {
      this.#log.info(
        { shard, slots: dropped },
        'records that never reached the journal are dropped',
      )
    }
    if (aside.length > 0) {
      this.#log.error(
        { shard, slots: aside },
        'records of this store are off the chain of the journal: they are set aside and not applied',
      )
    }
  }
}

/** As the row of `appliedKey` says. */
export function appliedOf(bytes: Uint8Array | undefined): Applied {
  if (!bytes) return { slot: 0, hash: GENESIS_HASH }
  const [slot, hash] = unpack(bytes) as [number, string]
  return { slot, hash }
}

/**
 * Of slots in a row: what they hold, their raw records, and how far the store is with them. Of a row that
 * many of them change only the last change is there: who is far behind has little to write.
 */
export function rowsOf(shard: number, first: number, records: readonly Uint8Array[]): StoreWrite[] {
  const fold = new RowFold()
  const generations: StoreWrite[] = []
  const raw: StoreWrite[] = []
  for (const [index, bytes] of records.entries()) {
    const { head, rows } = readRecord(bytes)
    const slot = first + index
    fold.add(rows)
    if (head.kind === 'claim' && head.generation !== undefined) {
      generations.push(generationRow(shard, slot, head.generation))
    }
    raw.push([tailKey(shard, slot), bytes])
  }
  const newest = records.at(-1)
  const hash = newest ? hashBytes(newest) : ''
  const applied: StoreWrite = [appliedKey(shard), pack([first + records.length - 1, hash])]
  return [...fold.writes(), ...generations, ...raw, applied]
}

/** What is wrong with records that should follow `applied`; undefined when they do. */
export function brokenChain(applied: Applied, records: readonly Uint8Array[]): string | undefined {
  let prev = applied.hash
  for (const [index, bytes] of records.entries()) {
    const slot = applied.slot + 1 + index
    const record = headOrWhyNot({ slot, bytes })
    if (typeof record === 'string') return record
    if (record.prev !== prev) return `the chain of records is broken at slot ${slot}`
    prev = hashBytes(bytes)
  }
  return undefined
}

/** Whether the first of the records that should follow `applied` names another record before it. */
export function followsAnother({ slot, hash }: Applied, [bytes]: readonly Uint8Array[]): boolean {
  const record = bytes && recordOf({ slot: slot + 1, bytes })
  return record !== undefined && record.prev !== hash
}

/** Undefined when this version cannot read it. */
export function recordOf(row: TailRow): RecordHead | undefined {
  const record = headOrWhyNot(row)
  return typeof record === 'string' ? undefined : record
}

/** What a record says of itself; in words for people why this version cannot read it. */
export function headOrWhyNot({ slot, bytes }: TailRow): RecordHead | string {
  try {
    return readRecord(bytes).head
  } catch (thrown) {
    const why = toErrorRecord(thrown).message
    return `slot ${slot} holds a record that this version cannot read: ${why}`
  }
}
