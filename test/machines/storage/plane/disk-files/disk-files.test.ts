/** What is acknowledged is there, whole, and found again; what may not be done is refused by its number. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { until } from '../../../../waiting.ts'
import { realClock } from '../../../../worker/process/real-time.ts'
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

const PATIENT = { timeoutMs: 30_000 }
let directory: string
let disk: DiskFiles

beforeEach(async () => {
  directory = newDirectory()
  disk = await openDisk(directory)
  await disk.createChunk(VUID, CHUNK_BYTES)
})

const put = (bid: bigint, bytes: Buffer) => disk.putShard(VUID, bid, bytes.length, bytes)
const read = async (bid: bigint, range?: { from: number; to: number }) =>
  bytesOf(await disk.readShard(VUID, bid, range))
const used = () => disk.statChunk(VUID).usedBytes

async function reopen(): Promise<void> {
  await disk.close()
  disk = await openDisk(directory)
}

describe('a shard', () => {
  it.each([10, 700_000, 5_000_000])(
    'of %i bytes that changed on their way is not stored',
    async (size) => {
      const bytes = content(size, 1)
      const meant = crc32(bytes)
      const came = Buffer.from(bytes).fill(bytes[0]! ^ 1, 0, 1)
      for (const body of [came, inPieces(came, 60_000)]) {
        const putting = disk.putShard(VUID, 1n, size, body, meant)
        await expect(putting).rejects.toMatchObject({ status: 658 })
        await expect(read(1n)).rejects.toMatchObject({ status: 651 })
      }
      expect(await disk.putShard(VUID, 1n, size, bytes, meant)).toEqual({ crc: meant })
    },
  )

  it.each([0, 1, 2_048, 65_535, 65_536, 65_537, 700_000, 1_048_576, 4_194_304, 5_000_000])(
    'of %i bytes is read back, whole and in part, also by the next process',
    async (size) => {
      const bytes = content(size, 1)
      const crc = crc32(bytes)
      expect(await put(1n, bytes)).toEqual({ crc })
      expect(await disk.putShard(VUID, 2n, size, inPieces(bytes, 60_000))).toEqual({ crc })
      for (const isAnew of [false, true]) {
        if (isAnew) await reopen()
        for (const bid of [1n, 2n]) {
          expect((await read(bid)).equals(bytes)).toBe(true)
          for (const [from, to] of partsOf(size)) {
            expect((await read(bid, { from, to })).equals(bytes.subarray(from, to))).toBe(true)
          }
          expect(disk.statShard(VUID, bid)).toMatchObject({ vuid: VUID, bid, size, crc, flag: 1 })
        }
      }
      const beyond = { from: 0, to: size + 1 }
      expect(await statusOf(() => disk.readShard(VUID, 1n, beyond))).toBe(655)
    },
  )

  it('is replaced by a later one of its id', async () => {
    await put(1n, content(5_000, 1))
    await Promise.all([put(1n, content(6_000, 2)), put(1n, content(300, 3))])
    expect((await read(1n)).equals(content(300, 3))).toBe(true)
    await reopen()
    expect((await read(1n)).equals(content(300, 3))).toBe(true)
  })

  it('that is shorter or longer than was said is refused, and takes no place', async () => {
    for (const size of [10, 3_000_000]) {
      const bytes = content(size, 1)
      for (const said of [size - 1, size + 1]) {
        const body = () => inPieces(bytes, 100_000)
        expect(await statusOf(() => disk.putShard(VUID, 1n, said, body()))).toBe(600)
        expect(await statusOf(() => disk.putShard(VUID, 1n, said, bytes))).toBe(600)
      }
    }
    expect(await statusOf(() => disk.readShard(VUID, 1n))).toBe(651)
  })

  it('whose sender fails is not there; what was reserved for it is given back some day', async () => {
    const sender = async function* () {
      yield content(2_000_000, 1)
      throw new Error('gone')
    }
    await expect(disk.putShard(VUID, 1n, 3_000_000, sender())).rejects.toThrow('gone')
    expect(await statusOf(() => disk.readShard(VUID, 1n))).toBe(651)
    await put(2n, content(10, 1))
    await until(
      () => used() < 100_000,
      PATIENT,
      () => `the stretch to go: ${used()} bytes`,
    )
    expect((await read(2n)).equals(content(10, 1))).toBe(true)
  })

  it('is deleted in two steps, and does not come back', async () => {
    await put(1n, content(2_048, 1))
    expect(await statusOf(() => disk.deleteShard(VUID, 1n))).toBe(653)
    await disk.markDeleted(VUID, 1n)
    for (const isAnew of [false, true]) {
      if (isAnew) await reopen()
      expect(await statusOf(() => disk.markDeleted(VUID, 1n))).toBe(654)
      expect(await statusOf(() => disk.readShard(VUID, 1n))).toBe(654)
      expect(await statusOf(() => put(1n, content(10, 2)))).toBe(654)
      expect(disk.statShard(VUID, 1n).flag).toBe(2)
    }
    await disk.deleteShard(VUID, 1n)
    for (const isAnew of [false, true]) {
      if (isAnew) await reopen()
      expect(await statusOf(() => disk.statShard(VUID, 1n))).toBe(654)
      expect(await statusOf(() => disk.deleteShard(VUID, 1n))).toBe(651)
      expect(await statusOf(() => disk.markDeleted(VUID, 1n))).toBe(654)
      expect(await statusOf(() => put(1n, content(10, 2)))).toBe(654)
    }
    expect(await statusOf(() => disk.markDeleted(VUID, 2n))).toBe(651)
    expect(await statusOf(() => disk.deleteShard(VUID, 2n))).toBe(651)
  })

  it('is marked though its put is on its way to the disk still', async () => {
    const under = put(1n, content(2_048, 1))
    await Promise.all([under, disk.markDeleted(VUID, 1n)])
    expect(await statusOf(() => disk.readShard(VUID, 1n))).toBe(654)
  })

  it('is listed by its id, page by page, with or without those that are marked', async () => {
    const bids = [5n, 1n, 9n, 3n, 7n]
    for (const bid of bids) await put(bid, content(10, Number(bid)))
    await disk.markDeleted(VUID, 5n)
    const list = (from: bigint, status: number, count: number) => {
      const { shards, next } = disk.listShards(VUID, { from, status, count })
      return { bids: shards.map(({ bid }) => bid), next }
    }
    expect(list(0n, 0, 2)).toEqual({ bids: [1n, 3n], next: 5n })
    expect(list(5n, 0, 3)).toEqual({ bids: [5n, 7n, 9n], next: 0n })
    expect(list(0n, 1, 10)).toEqual({ bids: [1n, 3n, 7n, 9n], next: 0n })
    expect(list(0n, 2, 10)).toEqual({ bids: [5n], next: 0n })
    await put(4n, content(10, 4))
    await put(11n, content(10, 4))
    await disk.deleteShard(VUID, 5n)
    expect(list(2n, 0, 10)).toEqual({ bids: [3n, 4n, 7n, 9n, 11n], next: 0n })
    expect(await statusOf(() => list(0n, 0, 0))).toBe(656)
    expect(await statusOf(() => list(0n, 3, 1))).toBe(600)
  })
})

describe('a chunk', () => {
  it('is made once; the same again is welcome', async () => {
    await Promise.all([disk.createChunk(9n, 5_000), disk.createChunk(9n, 5_000)])
    expect(await statusOf(() => disk.createChunk(9n, 5_001))).toBe(601)
    expect(await statusOf(() => disk.createChunk(10n, 2 ** 40))).toBe(602)
    expect(await statusOf(() => disk.createChunk(0n, 5_000))).toBe(630)
    expect(await statusOf(() => disk.putShard(11n, 1n, 1, Buffer.alloc(1)))).toBe(621)
    expect(await statusOf(() => disk.putShard(9n, 0n, 1, Buffer.alloc(1)))).toBe(657)
  })

  it('of more than a disk may have is refused', async () => {
    await disk.close()
    disk = await openDisk(directory, { chunksMax: 2 })
    const made = [8n, 9n].map((vuid) => statusOf(() => disk.createChunk(vuid, 5_000)))
    expect((await Promise.all(made)).toSorted()).toEqual([0, 632])
    expect(disk.usage()).toMatchObject({ chunks: 2, chunksMax: 2 })
  })

  it('that is full takes no more, but deletes', async () => {
    await disk.createChunk(9n, 30_000)
    const some = content(8_000, 1)
    await disk.putShard(9n, 1n, some.length, some)
    await disk.putShard(9n, 2n, some.length, some)
    const again = () => disk.putShard(9n, 3n, some.length, some)
    expect(await statusOf(again)).toBe(627)
    expect(await statusOf(() => disk.putShard(9n, 3n, 2_000_000, inPieces(some, 10)))).toBe(627)
    await disk.markDeleted(9n, 1n)
    await disk.deleteShard(9n, 1n)
    expect(disk.statChunk(9n)).toMatchObject({ totalBytes: 30_000, shards: 1 })
  })

  it('that is read-only is read and deleted from, and stays so', async () => {
    await put(1n, content(10, 1))
    await disk.setChunkStatus(VUID, 'readonly')
    await disk.setChunkStatus(VUID, 'readonly')
    await reopen()
    expect(disk.statChunk(VUID).status).toBe('readonly')
    expect(await statusOf(() => put(2n, content(10, 1)))).toBe(622)
    expect(await read(1n)).toHaveLength(10)
    await disk.markDeleted(VUID, 1n)
    await disk.deleteShard(VUID, 1n)
    await disk.setChunkStatus(VUID, 'normal')
    await put(2n, content(10, 1))
  })

  it('is released when it is read-only, or by force; its file goes', async () => {
    expect(await statusOf(() => disk.releaseChunk(VUID, false))).toBe(625)
    await disk.setChunkStatus(VUID, 'readonly')
    await disk.releaseChunk(VUID, false)
    expect(await statusOf(() => disk.statChunk(VUID))).toBe(623)
    expect(readdirSync(join(directory, 'chunks'))).toEqual([])
    await disk.createChunk(9n, 5_000)
    await disk.releaseChunk(9n, true)
    await reopen()
    expect(disk.chunks()).toEqual([])
  })

  it('gives back what is dead, while it is read and written', async () => {
    const shards = new Map<bigint, Buffer>()
    for (let bid = 1n; bid <= 40n; bid += 1n) {
      const bytes = content(100_000, Number(bid))
      shards.set(bid, bytes)
      await put(bid, bytes)
    }
    const before = used()
    // One that is sent while all of it happens.
    const large = content(1_500_000, 99)
    const sent = disk.putShard(VUID, 100n, large.length, inPieces(large, 10_000))
    for (let bid = 1n; bid <= 30n; bid += 1n) {
      await disk.markDeleted(VUID, bid)
      await disk.deleteShard(VUID, bid)
      await disk.probe()
      shards.delete(bid)
      const [some] = shards.keys()
      expect((await read(some!)).equals(shards.get(some!)!)).toBe(true)
      const fresh = content(50, Number(bid))
      shards.set(bid + 1_000n, fresh)
      await put(bid + 1_000n, fresh)
    }
    await sent
    shards.set(100n, large)
    const isSmall = () => used() < large.length + before / 2
    await until(isSmall, PATIENT, () => `${used()} bytes`)
    for (const isAnew of [false, true]) {
      if (isAnew) await reopen()
      for (const [bid, bytes] of shards) expect((await read(bid)).equals(bytes)).toBe(true)
      expect(disk.statChunk(VUID).shards).toBe(shards.size)
      expect(await statusOf(() => put(3n, content(10, 1)))).toBe(654)
    }
    expect(readdirSync(join(directory, 'chunks'))).toEqual([`${VUID}.chunk`])
  })
})

it('forgets what was deleted long ago when it gives back what is dead', async () => {
  let nowMs = 0
  await disk.close()
  disk = await openDisk(directory, {
    clock: { ...realClock, now: () => nowMs },
    tombstoneKeepMs: 5_000,
  })
  const waste = async (bid: bigint) => {
    await put(bid, content(1_200_000, 1))
    await disk.markDeleted(VUID, bid)
    await disk.deleteShard(VUID, bid)
    await until(() => used() < 1_000_000, PATIENT, 'the compaction')
  }
  await waste(1n)
  expect(await statusOf(() => read(1n))).toBe(654)
  nowMs = 6_000
  await waste(2n)
  expect(await statusOf(() => read(1n))).toBe(651)
  expect(await statusOf(() => read(2n))).toBe(654)
  await reopen()
  expect(await statusOf(() => read(1n))).toBe(651)
  expect(await statusOf(() => read(2n))).toBe(654)
})

describe('a directory', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  it('is of one disk only', async () => {
    await disk.close()
    expect(await statusOf(() => openDisk(directory, { diskId: 8 }))).toBe(614)
    disk = await openDisk(directory)
    const other = newDirectory()
    writeFileSync(join(other, 'letter.txt'), 'dear')
    expect(await statusOf(() => openDisk(other))).toBe(606)
  })

  it('has a uuid for good, which one that is made anew in its place has not', async () => {
    const { uuid } = disk
    await disk.close()
    disk = await openDisk(directory)
    expect(disk.uuid).toBe(uuid)
    await disk.close()
    rmSync(directory, { recursive: true })
    disk = await openDisk(directory)
    expect(disk.uuid).not.toBe(uuid)
  })

  it('is of one process only, as long as that lives', async () => {
    expect(await statusOf(() => openDisk(directory))).toBe(607)
    await disk.close()
    const child = spawn(process.execPath, [
      ...['--import', 'tsx', new URL('writer-process.ts', import.meta.url).pathname],
      ...[directory, '1', '0'],
    ])
    children.push(child)
    await once(child.stdout, 'data')
    expect(await statusOf(() => openDisk(directory))).toBe(607)
    child.kill('SIGKILL')
    await once(child, 'exit')
    disk = await openDisk(directory)
    expect(readdirSync(join(directory, 'owners'))).toHaveLength(1)
  })

  it.each(['gone', 'replaced', 'a chunk gone'])('that is %s is found to be', async (how) => {
    const told: string[] = []
    await disk.close()
    disk = await openDisk(directory, { onBroken: (why) => told.push(why) })
    await put(1n, content(10, 1))
    await disk.probe()
    expect(existsSync(join(directory, 'probe'))).toBe(true)
    if (how === 'a chunk gone') rmSync(join(directory, 'chunks', `${VUID}.chunk`))
    else renameSync(directory, `${directory}-away`)
    if (how === 'replaced') await mkdir(join(directory, 'chunks'), { recursive: true })
    expect(await statusOf(() => disk.probe())).toBe(613)
    expect(await statusOf(() => disk.probe())).toBe(613)
    expect(disk.broken).toContain('the probe failed')
    expect(told).toEqual([disk.broken])
    expect(await statusOf(() => read(1n))).toBe(613)
    expect(await statusOf(() => put(2n, content(10, 1)))).toBe(613)
    expect(await statusOf(() => disk.chunks())).toBe(613)
    rmSync(`${directory}-away`, { recursive: true, force: true })
  })
})

function partsOf(size: number): [number, number][] {
  const places = [0, 1, 65_535, 65_536, 65_537, 1_048_576, size - 1, size]
  const inside = places.filter((place) => place >= 0 && place <= size)
  return inside.flatMap((from) =>
    inside.filter((to) => to >= from).map((to) => [from, to] as [number, number]),
  )
}
