/** The bytes of checkpoints: whatever a disk makes of them, they are read as rows of the shard or not. */
import { describe, expect, it } from 'vitest'
import { STORE_KEY_BYTES_MAX, type StoreWrite } from '../../src/ports/index.ts'
import { pack } from '../../src/protocol/index.ts'
import {
  checkpointRange,
  decodeCheckpoint,
  decodeChunk,
  encodeCheckpoint,
  encodeChunk,
} from '../../src/shard/checkpoint-form.ts'
import { actorKey, appliedKey, TABLE, tailKey } from '../../src/shard/keys.ts'
import { encodeRun, writesOf } from '../../src/shard/row-run.ts'

const SHARD = 3
/** With which values of each kind begin. */
const BYTES = [
  ...[0, 1, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x92, 0x9f, 0xa0, 0xbf, 0xe0, 0xff],
  ...Array.from({ length: 0x20 }, (_, index) => 0xc0 + index),
]
const rows = ['counter/a', 'counter/b'].map((address) => ({
  key: new Uint8Array(actorKey(SHARD, address)),
  value: new Uint8Array(pack([1, address])),
}))
const chunk = encodeChunk(SHARD, 0, rows)

function rowsIn(bytes: Uint8Array): StoreWrite[] | undefined {
  const run = decodeChunk(SHARD, 0, bytes)
  return run && writesOf(run)
}

describe('a chunk', () => {
  it('is what was written, and no other chunk', () => {
    const plain = rowsIn(chunk)?.map(([key, value]) => [[...key], [...value!]])
    expect(plain).toEqual(rows.map(({ key, value }) => [[...key], [...value]]))
    expect(decodeChunk(SHARD, 1, chunk)).toBeUndefined()
    expect(decodeChunk(SHARD + 1, 0, chunk)).toBeUndefined()
  })

  it('is read to no more than rows of the shard, whichever byte is damaged', () => {
    const { from, to } = checkpointRange(SHARD)
    let refused = 0
    for (let at = 0; at < chunk.length; at++) {
      for (const value of BYTES) {
        const damaged = Uint8Array.from(chunk)
        damaged[at] = value
        const read = rowsIn(damaged)
        if (!read) refused += 1
        for (const [key, content] of read ?? []) {
          const isInside = Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0
          expect(isInside && content instanceof Uint8Array, `byte ${at} is ${value}`).toBe(true)
        }
      }
    }
    expect(refused).toBeGreaterThan(1_000)
  })

  it('has no row that is removed', () => {
    const removed = encodeRun([2, SHARD, 0], [[actorKey(SHARD, 'counter/a'), null]])
    expect(decodeChunk(SHARD, 0, removed)).toBeUndefined()
  })

  it.each([
    ['of another shard', actorKey(SHARD + 1, 'counter/a')],
    ['of what a node keeps beside it', appliedKey(SHARD)],
    ['of what a node keeps behind it', tailKey(SHARD, 1)],
    ['with a key that no store takes', actorKey(SHARD, 'x'.repeat(STORE_KEY_BYTES_MAX))],
    ['with a key that names no table', actorKey(SHARD, 'counter/a').subarray(0, 2)],
  ])('has no rows %s', (_what, key) => {
    // Where a key is too short, its value stands in the place of the table.
    const value = Uint8Array.of(TABLE.actor)
    expect(decodeChunk(SHARD, 0, encodeChunk(SHARD, 0, [...rows, { key, value }]))).toBeUndefined()
  })
})

describe('the record of a checkpoint', () => {
  it('is read as one or not at all, whichever byte is damaged', () => {
    const of = { hash: 'a'.repeat(16), attempt: 'b', digest: 'c'.repeat(16) }
    const record = encodeCheckpoint({ slot: 7, chunks: 2, rows: 5, ...of })
    expect(decodeCheckpoint({ slot: 7, value: record })).toMatchObject({ slot: 7, rows: 5, ...of })
    expect(decodeCheckpoint({ slot: 8, value: record })).toBeUndefined()
    for (let at = 0; at < record.length; at++) {
      for (const value of BYTES) {
        const damaged = Uint8Array.from(record)
        damaged[at] = value
        const read = decodeCheckpoint({ slot: 7, value: damaged })
        if (read) expect([typeof read.hash, typeof read.rows]).toEqual(['string', 'number'])
      }
    }
  })
})
