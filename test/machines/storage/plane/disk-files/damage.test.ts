/** Bytes that turn on the disk: what is read is what was written or is refused, and nothing else is lost. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { until } from '../../../../waiting.ts'
import {
  bytesOf,
  CHUNK_BYTES,
  content,
  inPieces,
  newDirectory,
  openDisk,
  statusOf,
  VUID,
} from './rig.ts'

let directory: string
let disk: DiskFiles
const file = () => join(directory, 'chunks', `${VUID}.chunk`)

beforeEach(async () => {
  directory = newDirectory()
  disk = await openDisk(directory)
  await disk.createChunk(VUID, CHUNK_BYTES)
})

const put = (bid: bigint, size: number) =>
  disk.putShard(VUID, bid, size, content(size, Number(bid)))
const read = async (bid: bigint, range?: { from: number; to: number }) =>
  bytesOf(await disk.readShard(VUID, bid, range))

function flip(...places: number[]): void {
  const bytes = readFileSync(file())
  for (const place of places) bytes[place]! ^= 0x10
  writeFileSync(file(), bytes)
}

async function reopen(): Promise<void> {
  await disk.close()
  disk = await openDisk(directory)
}

const HEAD_BYTES = 64
const headOf = (bid: bigint) => disk.statShard(VUID, bid).offset - HEAD_BYTES
const footOf = (bid: bigint, payload: number) =>
  headOf(bid) + Math.ceil((HEAD_BYTES + payload) / HEAD_BYTES) * HEAD_BYTES

describe('a flipped bit', () => {
  it('in the bytes of a shard is found, also of those that are open', async () => {
    await put(1n, 200_000)
    const { offset } = disk.statShard(VUID, 1n)
    flip(offset + 70_000)
    for (const isAnew of [false, true]) {
      if (isAnew) await reopen()
      expect(await statusOf(() => read(1n))).toBe(658)
      expect(await statusOf(() => read(1n, { from: 69_000, to: 69_001 }))).toBe(658)
      // Blocks that nobody touched are as good as they were.
      const first = await read(1n, { from: 10, to: 60_000 })
      expect(first.equals(content(200_000, 1).subarray(10, 60_000))).toBe(true)
      expect((await read(1n, { from: 140_000, to: 200_000 })).length).toBe(60_000)
    }
    await put(1n, 200_000)
    expect((await read(1n)).equals(content(200_000, 1))).toBe(true)
  })

  it('in the checksums of the blocks is found', async () => {
    await put(1n, 200_000)
    flip(disk.statShard(VUID, 1n).offset + 200_001)
    expect(await statusOf(() => read(1n, { from: 0, to: 1 }))).toBe(658)
    expect((await read(1n)).equals(content(200_000, 1))).toBe(true)
  })

  it('in a long shard is found before its piece is given out', async () => {
    const size = 6_000_000
    await disk.putShard(VUID, 1n, size, inPieces(content(size, 1), 500_000))
    flip(disk.statShard(VUID, 1n).offset + 5_000_000)
    const { bytes } = await disk.readShard(VUID, 1n)
    const pieces: Buffer[] = []
    const readAll = async () => {
      for await (const piece of bytes as AsyncIterable<Buffer>) pieces.push(piece)
    }
    expect(await statusOf(readAll)).toBe(658)
    const given = Buffer.concat(pieces)
    expect(given.equals(content(size, 1).subarray(0, given.length))).toBe(true)
    expect(given.length).toBeGreaterThan(4_000_000)
  })

  it.each(['head', 'foot'])('in a %s hides nothing', async (where) => {
    await Promise.all([put(1n, 5_000), put(2n, 100_000), put(3n, 5_000)])
    await put(4n, 5_000)
    const place = where === 'head' ? headOf(2n) : footOf(2n, 100_000 + 8)
    await disk.close()
    flip(place + 30)
    disk = await openDisk(directory)
    expect(disk.statChunk(VUID)).toMatchObject({ shards: 4, damagedBytes: 0 })
    expect((await read(2n)).equals(content(100_000, 2))).toBe(true)
    expect((await read(3n)).equals(content(5_000, 3))).toBe(true)
  })

  it('in a head and its foot costs that shard only, and is told for any that is not found', async () => {
    await Promise.all([put(1n, 5_000), put(2n, 5_000), put(3n, 5_000)])
    await put(4n, 5_000)
    const places = [headOf(2n) + 1, footOf(2n, 5_000) + 1]
    await disk.close()
    flip(...places)
    disk = await openDisk(directory)
    expect(disk.statChunk(VUID)).toMatchObject({ shards: 3 })
    expect(disk.statChunk(VUID).damagedBytes).toBeGreaterThan(5_000)
    expect(await statusOf(() => read(2n))).toBe(658)
    expect(await statusOf(() => disk.statShard(VUID, 99n))).toBe(658)
    for (const bid of [1n, 3n, 4n]) {
      expect((await read(bid)).equals(content(5_000, Number(bid)))).toBe(true)
    }
    await put(2n, 5_000)
    await reopen()
    expect((await read(2n)).equals(content(5_000, 2))).toBe(true)
  })

  it('in a head of the file is mended by its copy; in both, the chunk is refused', async () => {
    await put(1n, 5_000)
    await disk.close()
    flip(20)
    disk = await openDisk(directory)
    expect(await read(1n)).toHaveLength(5_000)
    await disk.close()
    flip(4_096 + 20)
    disk = await openDisk(directory)
    expect(await statusOf(() => read(1n))).toBe(658)
    expect(await statusOf(() => put(1n, 10))).toBe(658)
    expect(await statusOf(() => disk.createChunk(VUID, CHUNK_BYTES))).toBe(601)
    expect(disk.chunks()).toEqual([])
    expect(await statusOf(() => disk.releaseChunk(VUID, false))).toBe(625)
    await disk.releaseChunk(VUID, true)
    expect(await statusOf(() => read(1n))).toBe(623)
  })

  it('in a shard that is copied stays found', async () => {
    await put(1n, 100_000)
    flip(disk.statShard(VUID, 1n).offset + 1)
    await put(2n, 1_500_000)
    await disk.markDeleted(VUID, 2n)
    await disk.deleteShard(VUID, 2n)
    await disk.close()
    disk = await openDisk(directory)
    await put(3n, 10)
    const isSmall = () => disk.statChunk(VUID).usedBytes < 1_000_000
    await until(isSmall, { timeoutMs: 30_000 }, 'the compaction')
    expect(await statusOf(() => read(1n))).toBe(658)
    await reopen()
    expect(await statusOf(() => read(1n))).toBe(658)
  })
})

it('anywhere: each shard reads back right, or is refused', async () => {
  const sizes = new Map<bigint, number>([
    ...[0, 1, 100, 4_000, 64_000, 70_000, 200_000].map(
      (size, at) => [BigInt(at + 1), size] as const,
    ),
  ])
  await Promise.all([...sizes].map(([bid, size]) => put(bid, size)))
  for (const bid of [50n, 51n]) await put(bid, 2_000)
  sizes.set(50n, 2_000).set(51n, 2_000)
  await disk.close()
  const whole = readFileSync(file())
  const flips = fc.array(
    fc.record({ place: fc.nat(whole.length - 1), mask: fc.integer({ min: 1, max: 255 }) }),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  await fc.assert(
    fc.asyncProperty(flips, async (places) => {
      const bytes = Buffer.from(whole)
      for (const { place, mask } of places) bytes[place]! ^= mask
      writeFileSync(file(), bytes)
      disk = await openDisk(directory)
      for (const [bid, size] of sizes) {
        const part = { from: Math.floor(size / 3), to: Math.floor(size / 2) }
        for (const range of [undefined, part]) {
          const { from, to } = range ?? { from: 0, to: size }
          let given: Buffer = Buffer.alloc(0)
          const status = await statusOf(async () => {
            given = await read(bid, range)
          })
          expect([0, 651, 658]).toContain(status)
          if (status === 0)
            expect(given.equals(content(size, Number(bid)).subarray(from, to))).toBe(true)
        }
      }
      await disk.close()
    }),
    { numRuns: 60 },
  )
})
