/** What must hold of a journal and of stores whatever happened: the judges of the journaled tests. */
import { expect } from 'vitest'
import type { MemoryJournalServer, MemoryStore } from '../../src/adapters/memory/index.ts'
import { hashBytes, unpack } from '../../src/protocol/index.ts'
import { actorKey, slotOfTailKey, TABLE, tableRange } from '../../src/shard/keys.ts'
import { type Epoch, GENESIS_HASH, type SlotRecord } from '../../src/shard/slot-records.ts'
import { SHARD } from './journaled-nodes.ts'
import { decodeRecord } from './slot-record.ts'

/**
 * Slots 1, 2, 3, …, each with one record that names the one before; only the owner that claimed last
 * writes. Returns the records.
 */
export function judgeJournal(server: MemoryJournalServer): SlotRecord[] {
  const slots = server.slots(SHARD)
  expect(slots.map(({ slot }) => slot)).toEqual(slots.map((_, index) => index + 1))
  let prev = GENESIS_HASH
  let owner: Epoch | undefined
  return slots.map(({ slot, record }) => {
    const decoded = decodeRecord(record)
    expect(decoded.prev, `slot ${slot} names the record before it`).toBe(prev)
    if (decoded.kind === 'claim') owner = { slot, claimId: decoded.claimId }
    else expect(decoded.epoch, `slot ${slot} was written by the owner`).toEqual(owner)
    prev = hashBytes(record)
    return decoded
  })
}

export function kinds(server: MemoryJournalServer): string {
  return judgeJournal(server)
    .map(({ kind }) => kind[0])
    .join('')
}

/** `node@view` of every claim, in order. */
export function claims(server: MemoryJournalServer): string[] {
  return judgeJournal(server).flatMap((record) =>
    record.kind === 'claim' ? [`${record.node}@${record.viewVersion}`] : [],
  )
}

export function bytesOf(server: MemoryJournalServer): Buffer[] {
  return server.slots(SHARD).map(({ record }) => Buffer.from(record))
}

export function tailOf(store: MemoryStore): number[] {
  return [...store.range(tableRange(SHARD, TABLE.tail))].map(({ key }) => slotOfTailKey(key))
}

export function quarantineOf(store: MemoryStore): Buffer[] {
  return [...store.range(tableRange(SHARD, TABLE.quarantine))].map(({ value }) =>
    Buffer.from(value),
  )
}

export function appliedOf(store: MemoryStore): number {
  const [row] = store.range(tableRange(SHARD, TABLE.applied))
  return row ? (unpack(row.value) as [number])[0] : 0
}

/** Rows of the shard that commands make: everything but what only the journaled path keeps. */
export function rowsOf(store: MemoryStore): string[] {
  const own: number[] = [TABLE.applied, TABLE.tail, TABLE.quarantine]
  const range = { from: Uint8Array.of(0, 0, 0), to: Uint8Array.of(0, 1, 0) }
  return [...store.range(range)]
    .filter(({ key }) => !own.includes(key[2]!))
    .map(({ key, value }) => `${hex(key)}=${hex(value)}`)
}

/** The packed record of an actor, or undefined. */
export function actorBytes(store: MemoryStore, address: string): Uint8Array | undefined {
  return store.get(actorKey(SHARD, address))
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
