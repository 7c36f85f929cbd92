/**
 * Every record that the journal holds or has held where slots were removed, and what they come to.
 * Decides: a replay from slot 1, whatever is left of the journal.
 */
import type { StoreRow } from '../../src/ports/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import { decodeRecord } from '../../src/shard/slot-records.ts'
import { entryOf } from './mirror.ts'

/** What only the journaled path keeps. */
const OWN_TABLES: readonly number[] = [TABLE.loading, TABLE.applied, TABLE.tail, TABLE.quarantine]

export class Archive {
  /** By shard, that of slot 1 at index 0. A slot that is lost is written again before it counts. */
  readonly #records = new Map<number, Uint8Array[]>()

  see(shard: number, slot: number, record: Uint8Array): void {
    entryOf(this.#records, shard, (): Uint8Array[] => [])[slot - 1] = record
  }

  /** Undefined when the rows are those of this slot; otherwise the first difference. */
  difference(shard: number, slot: number, rows: Iterable<StoreRow>): string | undefined {
    const replayed = replay((this.#records.get(shard) ?? []).slice(0, slot))
    for (const { key, value } of rows) {
      if (OWN_TABLES.includes(key[2] ?? 0)) continue
      const name = hex(key)
      const expected = replayed.get(name)
      if (expected === undefined) return `row ${name} is too much`
      if (Buffer.compare(expected, value) !== 0) return `row ${name} holds other bytes`
      replayed.delete(name)
    }
    const [missing] = replayed.keys()
    return missing === undefined ? undefined : `row ${missing} is missing`
  }
}

function replay(records: readonly Uint8Array[]): Map<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>()
  for (const bytes of records) {
    const record = decodeRecord(bytes)
    if (record.kind !== 'batch') continue
    for (const [key, value] of record.writes) {
      if (value === null) rows.delete(hex(key))
      else rows.set(hex(key), value)
    }
  }
  return rows
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
