/** A full disk changes nothing; one that fails I/O is broken from then on, and says so once. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { until } from '../../../../waiting.ts'
import { bytesOf, content, inPieces, newDirectory, openDisk, statusOf, VUID } from './rig.ts'
import { type Fault, SimulatedDisk } from './simulated-disk.ts'

const CHUNK_BYTES = 64 * 1_048_576
let directory: string
let ops: SimulatedDisk
let disk: DiskFiles
let told: string[]

beforeEach(async () => {
  directory = newDirectory()
  ops = new SimulatedDisk()
  told = []
  await open()
  await disk.createChunk(VUID, CHUNK_BYTES)
  await put(1n, 3_000)
})

async function open(): Promise<void> {
  disk = await openDisk(directory, { ops, onBroken: (why) => told.push(why) })
}

/** The process ends, and another one finds what it left. */
async function restart(): Promise<void> {
  ops.fault = () => undefined
  await disk.close()
  ops = new SimulatedDisk(ops.state.killed())
  await open()
}

const put = (bid: bigint, size: number) =>
  disk.putShard(VUID, bid, size, content(size, Number(bid)))
const read = async (bid: bigint) => bytesOf(await disk.readShard(VUID, bid))
const isThere = async (bid: bigint, size: number) =>
  (await read(bid)).equals(content(size, Number(bid)))

describe('a disk that is full', () => {
  /** Of each write, so many bytes go to the disk. */
  const fullFrom =
    (bytesMax: number, taken: number): Fault =>
    (operation) =>
      operation === 'write' && bytesMax > 0 ? { errno: 'ENOSPC', bytes: taken } : undefined

  it.each([0, 64, 3_128, 3_200])(
    'takes %i bytes of a put, and keeps none of them',
    async (taken) => {
      ops.fault = fullFrom(1, taken)
      expect(await statusOf(() => put(2n, 3_000))).toBe(615)
      expect(disk.broken).toBeUndefined()
      expect(await statusOf(() => read(2n))).toBe(651)
      await restart()
      expect(await statusOf(() => read(2n))).toBe(651)
      expect(await isThere(1n, 3_000)).toBe(true)
      expect(disk.statChunk(VUID).damagedBytes).toBe(0)
      await put(2n, 3_000)
      await restart()
      expect(await isThere(2n, 3_000)).toBe(true)
    },
  )

  it('takes the small ones of a batch without the large', async () => {
    let writes = 0
    ops.fault = (operation) => {
      if (operation !== 'write') return undefined
      writes += 1
      // The batch of all is refused, then the first of them alone.
      return writes <= 2 ? { errno: 'ENOSPC', bytes: 100 } : undefined
    }
    const answers = [2n, 3n, 4n].map((bid) => statusOf(() => put(bid, 1_000)))
    const mark = statusOf(() => disk.markDeleted(VUID, 1n))
    expect(await Promise.all([...answers, mark])).toEqual([615, 0, 0, 0])
    await restart()
    expect(await statusOf(() => read(1n))).toBe(654)
    expect(await statusOf(() => read(2n))).toBe(651)
    expect(await isThere(4n, 1_000)).toBe(true)
  })

  it('is opened after a crash, though there is no room for a word about it', async () => {
    let writes = 0
    ops.fault = (operation) => {
      if (operation === 'write') writes += 1
      // Behind the second record of the batch.
      return operation === 'write' && writes > 1 ? { errno: 'EIO', bytes: 3_500 } : undefined
    }
    expect(await statusOf(() => put(5n, 1_000))).toBe(0)
    const sizes = [2_000, 1_000, 1_000]
    const answers = sizes.map((size, at) => statusOf(() => put(BigInt(at + 6), size)))
    expect(await Promise.all(answers)).toEqual([613, 613, 613])
    ops = new SimulatedDisk(ops.state.killed())
    await disk.close()
    ops.fault = fullFrom(1, 100)
    await open()
    await restart()
    expect(await isThere(1n, 3_000)).toBe(true)
    expect(await isThere(5n, 1_000)).toBe(true)
    expect(await statusOf(() => read(6n))).toBe(651)
    expect(disk.statChunk(VUID)).toMatchObject({ shards: 2, damagedBytes: 0 })
    await put(2n, 2_000)
  })

  it('refuses large ones that are sent, chunks, and what is left of them', async () => {
    ops.fault = fullFrom(1, 10)
    const size = 2_000_000
    const send = () => disk.putShard(VUID, 2n, size, inPieces(content(size, 2), 100_000))
    expect(await statusOf(send)).toBe(615)
    expect(await statusOf(() => disk.createChunk(9n, CHUNK_BYTES))).toBe(615)
    expect([...ops.state.names.keys()].filter((name) => name.endsWith('.draft'))).toEqual([])
    let writes = 0
    ops.fault = (operation) => {
      if (operation !== 'write') return undefined
      writes += 1
      return writes === 4 ? { errno: 'ENOSPC', bytes: 10 } : undefined
    }
    expect(await statusOf(send)).toBe(615)
    ops.fault = () => undefined
    await send()
    await restart()
    expect(await isThere(2n, size)).toBe(true)
    expect(disk.chunks()).toHaveLength(1)
  })

  it('is not filled to its last byte', async () => {
    await disk.close()
    ops.space = async () => ({ sizeBytes: 10_000, freeBytes: 3_000 })
    disk = await openDisk(directory, { ops, reservedBytes: 1_000 })
    expect(await statusOf(() => put(2n, 2_100))).toBe(615)
    await put(2n, 1_900)
    expect(await statusOf(() => put(3n, 1_900))).toBe(615)
    await disk.markDeleted(VUID, 2n)
    await disk.probe()
    expect(disk.usage()).toMatchObject({ sizeBytes: 10_000, freeBytes: 3_000 })
  })
})

describe('a disk that fails', () => {
  const failing =
    (wanted: string, errno: string): Fault =>
    (operation) =>
      operation === wanted ? { errno } : undefined

  it.each([
    ['write', 'EIO'],
    ['write', 'EROFS'],
    ['read', 'EIO'],
    ['identity', 'ENOENT'],
    ['sync', 'EIO'],
    ['syncDirectory', 'EIO'],
    ['rename', 'EIO'],
  ])('to %s (%s) is broken', async (operation, errno) => {
    ops.fault = failing(operation, errno)
    const acts = [
      () => put(2n, 100),
      () => read(1n),
      () => disk.createChunk(9n, CHUNK_BYTES),
      () => disk.probe(),
    ]
    for (const act of acts) await statusOf(act)
    expect(told).toEqual([disk.broken])
    ops.fault = () => undefined
    for (const act of acts) expect(await statusOf(act)).toBe(613)
    expect(await statusOf(() => disk.statChunk(VUID))).toBe(613)
    await restart()
    expect(await isThere(1n, 3_000)).toBe(true)
  })

  it('while it is opened can be opened later', async () => {
    await disk.createChunk(9n, CHUNK_BYTES)
    await disk.close()
    ops.fault = (operation, path) => {
      return operation === 'open' && path.endsWith('/9.chunk') ? { errno: 'EIO' } : undefined
    }
    await expect(open()).rejects.toThrow('EIO')
    ops.fault = () => undefined
    await open()
    expect(await isThere(1n, 3_000)).toBe(true)
  })

  it('tells all who wait', async () => {
    ops.fault = failing('write', 'EIO')
    const answers = [2n, 3n, 4n].map((bid) => statusOf(() => put(bid, 100)))
    expect(await Promise.all(answers)).toEqual([613, 613, 613])
    expect(told).toHaveLength(1)
  })

  it('to take back what did not fit is broken, too', async () => {
    ops.fault = (operation) => {
      if (operation === 'write') return { errno: 'ENOSPC', bytes: 100 }
      return operation === 'truncate' ? { errno: 'EIO' } : undefined
    }
    expect(await statusOf(() => put(2n, 100))).toBe(613)
    expect(told).toHaveLength(1)
  })

  it('is not one whose process has too many files', async () => {
    ops.fault = failing('open', 'EMFILE')
    expect(await statusOf(() => disk.createChunk(9n, CHUNK_BYTES))).toBe(604)
    expect(disk.broken).toBeUndefined()
  })
})

describe('a compaction that fails', () => {
  const waste = async () => {
    const size = 1_500_000
    await disk.putShard(VUID, 2n, size, content(size, 2))
    await disk.markDeleted(VUID, 2n)
    await disk.deleteShard(VUID, 2n)
  }

  it.each([
    ['ENOSPC', 0],
    ['EIO', 613],
  ])('with %s leaves the chunk as it was', async (errno, status) => {
    let tries = 0
    ops.fault = (operation) => {
      if (operation !== 'rename') return undefined
      tries += 1
      return { errno }
    }
    await waste()
    await until(() => tries > 0, { timeoutMs: 30_000 }, 'the compaction')
    await disk.close()
    expect(tries).toBe(1)
    expect(told).toHaveLength(status === 0 ? 0 : 1)
    await restart()
    expect(await isThere(1n, 3_000)).toBe(true)
    expect(await statusOf(() => read(2n))).toBe(654)
  })
})
