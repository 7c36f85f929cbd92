/** The table of what a chunk is to have, how it is put together from lists, and how it is cut. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  readonlyNeeded,
  rowOf,
  unitsOf,
} from '../../../../../machines/storage/background/worker/benchmark.ts'
import { ShardTable } from '../../../../../machines/storage/background/worker/shard-table.ts'
import { taskletsOf } from '../../../../../machines/storage/background/worker/tasklets.ts'
import { CODE_MODES } from '../../../../../machines/storage/plane/codes/index.ts'

const LAST_BID = 2n ** 64n - 1n

it('keeps rows of any number, and finds each', () => {
  const table = new ShardTable()
  const rows = Array.from({ length: 5_000 }, (_, n) => ({
    ...{ bid: BigInt(n) * 3n + 1n, size: n, crc: 0xffff_ffff - n, units: BigInt(n) },
  }))
  rows.push({ bid: LAST_BID, size: 2 ** 30, crc: 0, units: LAST_BID })
  for (const row of rows) table.add(row)
  expect(table.length).toBe(5_001)
  for (const [at, row] of rows.entries()) {
    expect(table.row(at)).toEqual(row)
    expect(table.find(row.bid)).toBe(at)
    expect(table.find(row.bid - 1n)).toBe(row.bid === 1n ? undefined : table.find(row.bid - 1n))
  }
  expect(table.find(2n)).toBeUndefined()
  table.set(7, 'there')
  table.set(8, 'dropped')
  expect([6, 7, 8].map((at) => table.state(at))).toEqual(['todo', 'there', 'dropped'])
})

it('is cut into pieces that fit, in the order of bids, with each row once', () => {
  const size = fc.integer({ min: 0, max: 100 })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(size, fc.boolean())),
      fc.integer({ min: 1, max: 150 }),
      (rows, bytesMax) => {
        const table = new ShardTable()
        for (const [n, [bytes]] of rows.entries()) {
          table.add({ bid: BigInt(n + 1), size: bytes, crc: 0, units: 0n })
        }
        for (const [n, [, isThere]] of rows.entries()) if (isThere) table.set(n, 'there')
        const tasklets = [...taskletsOf(table, { bytesMax, rowsMax: 7 })]
        const todo = rows.flatMap(([, isThere], n) => (isThere ? [] : [n]))
        expect(tasklets.flat()).toEqual(todo)
        for (const tasklet of tasklets) {
          const bytes = tasklet.reduce((sum, at) => sum + table.size(at), 0)
          expect(tasklet.length === 1 || bytes <= bytesMax).toBe(true)
          expect(tasklet.length).toBeLessThanOrEqual(7)
        }
      },
    ),
  )
})

it('takes for a blob what most say of it, unless one says that it is deleted', () => {
  const shard = (size: number, crc = 9, flag: 1 | 2 = 1) => ({ size, crc, flag })
  const found = [
    { index: 0, shard: shard(10) },
    { index: 3, shard: shard(11, 8) },
    { index: 37, shard: shard(10, 7) },
  ]
  expect(rowOf(5n, found, 37)).toEqual({ bid: 5n, size: 10, crc: 7, units: 1n | (1n << 37n) })
  // Of another size than the others: its checksum says nothing of theirs.
  expect(rowOf(5n, found, 3)).toMatchObject({ size: 10, crc: 0 })
  expect(rowOf(5n, [...found, { index: 1, shard: shard(10, 9, 2) }], 3)).toBe('deleted')
  expect(unitsOf(1n | (1n << 37n))).toEqual([0, 37])
})

it('never asks for fewer read-only chunks than leave a put without its quorum', () => {
  for (const mode of CODE_MODES) {
    const writable = mode.data + mode.parity + mode.local - readonlyNeeded(mode)
    // Local parity counts for no quorum, so it may be all that is read-only beyond.
    expect(Math.min(mode.data + mode.parity, writable), mode.name).toBeLessThan(mode.putQuorum)
  }
})
