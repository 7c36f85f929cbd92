/** A journal that was written by nobody: as long, and its batches as large, as a test wants. */
import type { MemoryJournalServer } from '../../src/adapters/memory/index.ts'
import type { StoreWrite } from '../../src/ports/index.ts'
import { hashBytes } from '../../src/protocol/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import { encodeRecord, GENESIS_HASH } from '../../src/shard/slot-records.ts'
import { SHARD } from './journaled-nodes.ts'

const SERVER_ID = 'memory-0-1'
const VALUE = Uint8Array.of(1)

/** A claim, and behind it batches of so many new rows each, in a table that nobody reads. */
export function writeJournal(server: MemoryJournalServer, batches: number, rows: number): void {
  const serverId = SERVER_ID
  const claim = { node: 'long ago', claimId: 'long ago', viewVersion: 0 }
  let record = encodeRecord({ kind: 'claim', prev: GENESIS_HASH, serverId, ...claim })
  server.write({ shard: SHARD, slot: 1, record, afterSequence: 0 })
  const epoch = { slot: 1, claimId: claim.claimId }
  for (let slot = 2; slot <= batches + 1; slot++) {
    const writes = Array.from({ length: rows }, (_, row): StoreWrite => [key(slot, row), VALUE])
    const prev = hashBytes(record)
    record = encodeRecord({ kind: 'batch', prev, serverId, epoch, batchId: `${slot}`, writes })
    server.write({ shard: SHARD, slot, record, afterSequence: slot - 1 })
  }
}

function key(slot: number, row: number): Uint8Array {
  const bytes = Buffer.alloc(11)
  bytes.writeUInt16BE(SHARD, 0)
  bytes[2] = TABLE.history
  bytes.writeUInt32BE(slot, 3)
  bytes.writeUInt32BE(row, 7)
  return bytes
}
