/** Shards that are looked at where they lie: what is not what was written is found, and nothing is given out. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { CHUNK_BYTES, content, inPieces, newDirectory, openDisk, statusOf, VUID } from './rig.ts'

let directory: string
let disk: DiskFiles

beforeEach(async () => {
  directory = newDirectory()
  disk = await openDisk(directory)
  await disk.createChunk(VUID, CHUNK_BYTES)
})

const put = (bid: bigint, size: number) =>
  disk.putShard(VUID, bid, size, content(size, Number(bid)))

function flip(place: number): void {
  const file = join(directory, 'chunks', `${VUID}.chunk`)
  const bytes = readFileSync(file)
  bytes[place]! ^= 0x10
  writeFileSync(file, bytes)
}

it.each([0, 1, 65_536, 65_537, 3_000_000])(
  '%i bytes are right as they were written',
  async (size) => {
    await put(1n, size)
    expect(await disk.verifyShard(VUID, 1n)).toBe(true)
  },
)

it('finds a bit that turned, in the first byte and the last, and in the checksums of blocks', async () => {
  const size = 200_000
  for (const bid of [1n, 2n, 3n, 4n]) await put(bid, size)
  const at = (bid: bigint) => disk.statShard(VUID, bid).offset
  flip(at(1n))
  flip(at(2n) + size - 1)
  flip(at(3n) + size + 1)
  const right = await Promise.all([1n, 2n, 3n, 4n].map((bid) => disk.verifyShard(VUID, bid)))
  expect(right).toEqual([false, false, false, true])
  await put(1n, size)
  expect(await disk.verifyShard(VUID, 1n)).toBe(true)
})

it('finds it in a long one, whose bytes stand apart', async () => {
  const size = 6_000_000
  await disk.putShard(VUID, 1n, size, inPieces(content(size, 1), 500_000))
  expect(await disk.verifyShard(VUID, 1n)).toBe(true)
  flip(disk.statShard(VUID, 1n).offset + 5_000_000)
  expect(await disk.verifyShard(VUID, 1n)).toBe(false)
})

it('refuses what is not there and what is marked', async () => {
  await put(1n, 10)
  expect(await statusOf(() => disk.verifyShard(VUID, 2n))).toBe(651)
  expect(await statusOf(() => disk.verifyShard(VUID + 1n, 1n))).toBe(621)
  await disk.markDeleted(VUID, 1n)
  expect(await statusOf(() => disk.verifyShard(VUID, 1n))).toBe(654)
})
