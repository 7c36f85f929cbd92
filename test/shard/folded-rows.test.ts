/** What a page of slots writes: of each row its last change, and every raw record. */
import { expect, it } from 'vitest'
import { appliedKey, tailKey } from '../../src/shard/keys.ts'
import { encodeRecord } from '../../src/shard/slot-records.ts'
import { rowsOf } from '../../src/shard/tail.ts'

const SHARD = 3
const key = (name: string) => Buffer.from(name)

function textOf(value: Uint8Array | null | undefined): string | null {
  return value ? Buffer.from(value).toString() : null
}

function batch(writes: Record<string, string | null>): Uint8Array {
  return encodeRecord({
    ...{ kind: 'batch', prev: '', serverId: 's', batchId: 'b', epoch: { slot: 1, claimId: 'c' } },
    writes: Object.entries(writes).map(([name, value]) => [
      key(name),
      value === null ? null : Buffer.from(value),
    ]),
  })
}

it('writes the last change of each row once, and all raw records', () => {
  const records = [
    batch({ kept: '1', gone: '1', once: 'x' }),
    batch({ kept: '2', gone: null, back: null }),
    batch({ kept: '3', back: '2' }),
  ]
  const writes = rowsOf(SHARD, 7, records)
  const rows = Object.fromEntries(writes.map(([at, value]) => [Buffer.from(at).toString(), value]))
  expect(writes).toHaveLength(4 + 3 + 1)
  expect(['kept', 'gone', 'once', 'back'].map((name) => textOf(rows[name]))).toEqual([
    '3',
    null,
    'x',
    '2',
  ])
  const keys = writes.map(([at]) => Buffer.from(at))
  for (const slot of [7, 8, 9]) expect(keys).toContainEqual(Buffer.from(tailKey(SHARD, slot)))
  expect(keys.at(-1)).toEqual(Buffer.from(appliedKey(SHARD)))
})
