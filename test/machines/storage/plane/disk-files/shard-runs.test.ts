/** Many shards that are read together: their bytes as they were written, whatever else stands in the file; few reads. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { until } from '../../../../waiting.ts'
import { CHUNK_BYTES, content, newDirectory, openDisk, randomOf, statusOf, VUID } from './rig.ts'
import { SimulatedDisk } from './simulated-disk.ts'

let directory: string
let disk: DiskFiles

beforeEach(async () => {
  directory = newDirectory()
  disk = await openDisk(directory)
  await disk.createChunk(VUID, CHUNK_BYTES)
})

interface Wanted {
  bid: bigint
  size: number
}

const put = ({ bid, size }: Wanted, seed = Number(bid)) =>
  disk.putShard(VUID, bid, size, content(size, seed))
const all = (wanted: readonly Wanted[]) =>
  Buffer.alloc(wanted.reduce((sum, { size }) => sum + size, 0))
const right = (wanted: readonly Wanted[]) =>
  Buffer.concat(wanted.map(({ bid, size }) => content(size, Number(bid))))

/** @returns refusals by bid; the bytes are as they were written where there are none */
async function readAll(wanted: readonly Wanted[]): Promise<[bigint, number][]> {
  const target = all(wanted)
  const failed = await disk.readShards(VUID, wanted, target)
  if (failed.length === 0) expect(target.equals(right(wanted))).toBe(true)
  return failed.map(({ bid, why }) => [bid, why.status])
}

it('gives all of them, large and small, in whatever order', async () => {
  const random = randomOf(7)
  const sizes = [0, 1, 4_000, 65_536, 65_537, 300_000, 1_500_000]
  const wanted = Array.from({ length: 40 }, (_, n) => ({
    ...{ bid: BigInt(n + 1), size: sizes[n % sizes.length] ?? 0 },
  }))
  await Promise.all(wanted.slice(0, 20).map((shard) => put(shard)))
  for (const shard of wanted.slice(20)) await put(shard)
  expect(await readAll(wanted)).toEqual([])
  expect(await readAll([...wanted].sort(() => random() - 0.5))).toEqual([])
  expect(await readAll([])).toEqual([])
})

it('gives those that were sent in pieces, and the newest of a bid', async () => {
  const wanted = [1n, 2n, 3n].map((bid) => ({ bid, size: 200_000 }))
  for (const shard of wanted) await put(shard, 99)
  const { bid, size } = wanted[1]!
  const pieces = async function* () {
    yield* [content(size, Number(bid))]
  }
  await Promise.all([put(wanted[0]!), put(wanted[2]!)])
  await disk.putShard(VUID, bid, size, pieces())
  expect(await readAll(wanted)).toEqual([])
})

it('tells which are not there, deleted, of another size, or damaged, and gives none then', async () => {
  const wanted = [1n, 2n, 3n, 4n, 5n].map((bid) => ({ bid, size: 10_000 }))
  for (const shard of wanted) await put(shard)
  expect(await readAll([...wanted, { bid: 9n, size: 5 }])).toEqual([[9n, 651]])
  expect(await readAll(wanted.map((one) => (one.bid === 3n ? { ...one, size: 9 } : one)))).toEqual([
    [3n, 658],
  ])
  const path = join(directory, 'chunks', `${VUID}.chunk`)
  const bytes = readFileSync(path)
  const { offset } = disk.statShard(VUID, 4n)
  bytes[offset + 5_000]! ^= 0x10
  writeFileSync(path, bytes)
  expect(await readAll(wanted)).toEqual([[4n, 658]])
  await disk.markDeleted(VUID, 2n)
  expect(await readAll(wanted)).toEqual([[2n, 654]])
  expect(await statusOf(() => disk.readShards(VUID + 1n, wanted, all(wanted)))).toBe(621)
})

it('gives them while the chunk moves to another file', async () => {
  const wanted = Array.from({ length: 30 }, (_, n) => ({ bid: BigInt(n + 1), size: 50_000 }))
  for (const shard of wanted) await put(shard)
  const used = () => disk.statChunk(VUID).usedBytes
  for (let bid = 100n; bid < 160n; bid += 1n) {
    await put({ bid, size: 50_000 })
    await disk.markDeleted(VUID, bid)
    await disk.deleteShard(VUID, bid)
    expect(await readAll(wanted)).toEqual([])
  }
  await until(() => used() < 3_000_000, { timeoutMs: 20_000 }, 'the compaction')
  expect(await readAll(wanted)).toEqual([])
})

it('reads neighbours in one go, and breaks a disk that fails at it', async () => {
  const ops = new SimulatedDisk()
  const simulated = await openDisk('/disk', { ops })
  await simulated.createChunk(VUID, CHUNK_BYTES)
  disk = simulated
  const wanted = Array.from({ length: 60 }, (_, n) => ({ bid: BigInt(n + 1), size: 30_000 }))
  await Promise.all(wanted.map((shard) => put(shard)))
  let reads = 0
  ops.fault = (operation) => {
    if (operation === 'read') reads += 1
    return undefined
  }
  expect(await readAll(wanted)).toEqual([])
  // 1.8 MB, a megabyte at a time.
  expect(reads).toBe(2)
  ops.fault = (operation) => (operation === 'read' ? { errno: 'EIO' } : undefined)
  expect(await statusOf(() => disk.readShards(VUID, wanted, all(wanted)))).toBe(613)
  expect(disk.broken).toContain('EIO')
})
