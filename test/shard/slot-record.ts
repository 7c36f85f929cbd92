/** A record of a slot with its rows: the source reads these where they lie. */
import { writesOf } from '../../src/shard/row-run.ts'
import { readRecord, type SlotRecord } from '../../src/shard/slot-records.ts'

/** @throws TroupeError as `readRecord` does */
export function decodeRecord(bytes: Uint8Array): SlotRecord {
  const { head, rows } = readRecord(bytes)
  return head.kind === 'batch' ? { ...head, writes: writesOf(rows) } : head
}
