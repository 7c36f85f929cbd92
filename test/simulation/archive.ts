/**
 * Every record that the journal holds or has held where slots were removed, and what they come to.
 * Decides: a replay from slot 1, whatever is left of the journal. It goes on where the last one ended.
 */
import { textOf } from '../../src/adapters/memory/bytes.ts'
import type { StoreRow } from '../../src/ports/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import type { SlotRecord } from '../../src/shard/slot-records.ts'
import { entryOf } from './mirror.ts'

/** What only the journaled path keeps. */
const OWN_TABLES: readonly number[] = [TABLE.loading, TABLE.applied, TABLE.tail, TABLE.quarantine]

interface Shelf {
  /** That of slot 1 at index 0. A slot that is lost is written again before it counts. */
  readonly records: (SlotRecord | undefined)[]
  /** Up to this slot they are in `rows`, by their key's bytes as text. */
  replayed: number
  readonly rows: Map<string, Uint8Array>
}

export class Archive {
  readonly #shelves = new Map<number, Shelf>()

  /** @param record undefined for a slot in which nothing is changed */
  see(shard: number, slot: number, record: SlotRecord | undefined): void {
    const shelf = this.#shelf(shard)
    if (slot <= shelf.replayed && shelf.records[slot - 1] !== record) restart(shelf)
    shelf.records[slot - 1] = record
  }

  /** Undefined when the rows are those of this slot; otherwise the first difference. */
  difference(shard: number, slot: number, rows: Iterable<StoreRow>): string | undefined {
    const shelf = this.#shelf(shard)
    replay(shelf, slot)
    const found = new Set<string>()
    for (const { key, value } of rows) {
      if (OWN_TABLES.includes(key[2] ?? 0)) continue
      const text = textOf(key)
      const expected = shelf.rows.get(text)
      if (expected === undefined) return `row ${hex(text)} is too much`
      if (Buffer.compare(expected, value) !== 0) return `row ${hex(text)} holds other bytes`
      found.add(text)
    }
    if (found.size === shelf.rows.size) return undefined
    const missing = [...shelf.rows.keys()].find((text) => !found.has(text))!
    return `row ${hex(missing)} is missing`
  }

  #shelf(shard: number): Shelf {
    return entryOf(
      this.#shelves,
      shard,
      (): Shelf => ({ records: [], replayed: 0, rows: new Map() }),
    )
  }
}

function restart(shelf: Shelf): void {
  shelf.replayed = 0
  shelf.rows.clear()
}

function replay(shelf: Shelf, slot: number): void {
  if (slot < shelf.replayed) restart(shelf)
  for (; shelf.replayed < slot && shelf.replayed < shelf.records.length; shelf.replayed++) {
    const record = shelf.records[shelf.replayed]
    if (record?.kind !== 'batch') continue
    for (const [key, value] of record.writes) {
      if (value === null) shelf.rows.delete(textOf(key))
      else shelf.rows.set(textOf(key), value)
    }
  }
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}
