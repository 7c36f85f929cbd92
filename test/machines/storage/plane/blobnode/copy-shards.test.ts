/** Shards that one blobnode fetches from another one, or from a disk of its own; and chunks as a worker calls them. */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SlotFigures } from '../../../../../machines/storage/plane/blobnode/disk-slots.ts'
import type {
  BlobnodeClient,
  UnitPlace,
  WantedShard,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { refusal, vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { plain, type Rig, serving } from './rig.ts'

const NEW = vuidOf({ vid: 4_294_967_295, index: 3, epoch: 8 })
const TOKEN = 'a-secret-word'

let from: Rig
let to: Rig
/** The new chunk, on the blobnode `to`. */
let at: UnitPlace
let client: BlobnodeClient
const shards: WantedShard[] = []
const right = new Map<bigint, Buffer>()

beforeEach(async () => {
  from = await serving({ token: TOKEN })
  to = await serving({ token: TOKEN })
  await to.disk.createChunk(NEW, 0)
  at = { ...to.at, vuid: NEW }
  client = to.client({ token: TOKEN })
  shards.splice(0)
  right.clear()
  for (let n = 1; n <= 30; n += 1) await write(from, BigInt(n), randomBytes(100 * n))
})
afterEach(async () => {
  await from.stop()
  await to.stop()
})

async function write({ disk, at: unit }: Rig, bid: bigint, bytes: Buffer): Promise<void> {
  await disk.putShard(unit.vuid, bid, bytes.length, bytes)
  shards.push({ bid, size: bytes.length, crc: crc32(bytes) })
  right.set(bid, bytes)
}

const inNew = (disk = to.disk) => disk.shards.get(NEW) ?? new Map()

function expectAll(disk = to.disk): void {
  for (const [bid, bytes] of right) expect(inNew(disk).get(bid)?.bytes.equals(bytes)).toBe(true)
}

describe('by the blobnode of the new chunk', () => {
  it('are there as they were, each counted, and fetched once', async () => {
    expect(await client.copyShards(at, from.at, shards, { io: 'migrate' })).toEqual([])
    expectAll()
    const counters = async (rig: Rig) => {
      const { text } = await plain(rig.at.address, 'GET', '/stat', {
        headers: { authorization: `Bearer ${TOKEN}` },
      })
      return JSON.parse(text).disks[0].counters
    }
    expect(await counters(to)).toMatchObject({ puts: 30, gets: 0 })
    expect(await counters(from)).toMatchObject({ gets: 30 })
    expect(await client.copyShards(at, from.at, shards)).toEqual([])
    expect(await counters(from)).toMatchObject({ gets: 30 })
  })

  it('that are there are not fetched again, wherever they stand among others', async () => {
    for (let n = 1; n <= 30; n += 1) {
      const bytes = n === 15 ? Buffer.from('another') : right.get(BigInt(n))!
      await to.disk.putShard(NEW, BigInt(n), bytes.length, bytes)
    }
    await to.disk.markDeleted(NEW, 29n)
    const fetched: bigint[] = []
    const near = from.blobnode.chunks(client)
    const read = from.disk.readShards.bind(from.disk)
    from.disk.readShards = (vuid, wanted, target) => {
      fetched.push(...wanted.map(({ bid }) => bid))
      return read(vuid, wanted, target)
    }
    const wanted = [30n, 29n, 15n, 1n].map((bid) => shards[Number(bid) - 1]!)
    await near.copyShards(at, from.at, wanted)
    expect(fetched.sort()).toEqual([15n, 29n])
  })

  it('come without a socket from a disk of its own', async () => {
    for (const bid of right.keys()) await write(to, bid, right.get(bid)!)
    await from.stop()
    expect(await client.copyShards(at, to.at, shards)).toEqual([])
    expectAll()
  })

  it('that cannot be had are told, and keep no other from its way', async () => {
    from.disk.shards.get(from.at.vuid)?.delete(3n)
    await from.disk.markDeleted(from.at.vuid, 4n)
    await to.disk.putShard(NEW, 5n, 1, Buffer.alloc(1))
    await to.disk.markDeleted(NEW, 5n)
    const put = to.disk.putShard.bind(to.disk)
    to.disk.putShard = async (vuid, bid, ...rest) => {
      if (bid === 5n) throw refusal(654, 'it was deleted')
      return put(vuid, bid, ...rest)
    }
    shards.find(({ bid }) => bid === 6n)!.size = 1
    const failed = await client.copyShards(at, from.at, shards)
    const told = failed.map(({ bid, isSource, why }) => [
      bid,
      isSource,
      { ...(why.detail as object) },
    ])
    told.sort(([a], [b]) => Number(a) - Number(b))
    expect(told).toMatchObject([
      [3n, true, { status: 651 }],
      [4n, true, { status: 654 }],
      [5n, false, { status: 654 }],
      [6n, true, { status: 658 }],
    ])
    expect(inNew().size).toBe(27)
  })

  it('are told to be away while the other blobnode is', async () => {
    await from.stop()
    const failed = await client.copyShards(at, from.at, shards.slice(0, 2))
    expect(failed).toMatchObject([
      { isSource: true, why: { code: 'unavailable' } },
      { isSource: true, why: { code: 'unavailable' } },
    ])
  })

  it('end with what the new chunk refuses', async () => {
    to.disk.putShard = () => Promise.reject(refusal(627, 'it has no room'))
    await expect(client.copyShards(at, from.at, shards)).rejects.toMatchObject({ status: 627 })
    const nowhere = { ...at, diskId: 9 }
    await expect(client.copyShards(nowhere, from.at, shards)).rejects.toMatchObject({ status: 611 })
  })

  it('that changed on their way are not stored', async () => {
    shards[0]!.crc = (shards[0]!.crc ^ 1) >>> 0
    await expect(client.copyShards(at, from.at, shards)).rejects.toMatchObject({ status: 658 })
    expect(inNew().has(1n)).toBe(false)
  })

  it('go behind clients at the disk', async () => {
    let open = () => {}
    to.disk.gate = new Promise((resolve) => {
      open = resolve
    })
    const copied = client.copyShards(at, from.at, shards, { io: 'migrate' })
    const atWork = async () => {
      const [disk] = (await to.blobnode.report())['disks'] as { slots: SlotFigures }[]
      return disk?.slots.background_at_work === 1
    }
    await until(
      atWork,
      { timeoutMs: 20_000 },
      'all of them to be put in one place of background traffic',
    )
    open()
    expect(await copied).toEqual([])
  })

  it.each([
    ['', 600],
    ['{', 600],
    ['{"from":{"host":"","disk_id":1,"vuid":1},"shards":[]}', 600],
  ])('are refused when they cannot be read: %s', async (body, status) => {
    const path = `/shard/copy/diskid/1/vuid/${NEW}`
    const headers = { authorization: `Bearer ${TOKEN}` }
    expect(await plain(to.at.address, 'POST', path, { headers, body })).toMatchObject({ status })
  })
})

describe('as a worker in a blobnode calls them', () => {
  it('are near on its own disks, and far elsewhere', async () => {
    const near = to.blobnode.chunks(client)
    expect(await near.copyShards(at, from.at, shards, { io: 'migrate' })).toEqual([])
    expectAll()
    const calls = client.copyShards.bind(client)
    let farCalls = 0
    client.copyShards = (...given) => {
      farCalls += 1
      return calls(...given)
    }
    await near.copyShards(at, from.at, shards)
    expect(farCalls).toBe(0)
    await from.disk.createChunk(NEW, 0)
    expect(await near.copyShards({ ...from.at, vuid: NEW }, from.at, shards)).toEqual([])
    expect(farCalls).toBe(1)
    expectAll(from.disk)
  })

  it.each(['near', 'far'] as const)('answer the same, %s', async (where) => {
    const chunks = where === 'near' ? from.blobnode.chunks(client) : to.blobnode.chunks(client)
    expect(await chunks.statChunk(from.at)).toMatchObject({ shards: 30 })
    const page = { from: 0n, status: 0, count: 2 }
    expect(await chunks.listShards(from.at, page)).toMatchObject({
      ...{ shards: [{ bid: 1n }, { bid: 2n }], next: 3n },
    })
    expect((await chunks.getShard(from.at, 9n)).equals(right.get(9n)!)).toBe(true)
    const part = await chunks.getShard(from.at, 9n, { range: { from: 5, to: 8 } })
    expect(part.equals(right.get(9n)!.subarray(5, 8))).toBe(true)
    const bytes = Buffer.from('new')
    await chunks.putShard(from.at, 99n, bytes, { crc: crc32(bytes), io: 'repair' })
    expect((await chunks.getShard(from.at, 99n)).toString()).toBe('new')
    await expect(chunks.putShard(from.at, 98n, bytes, { crc: 1 })).rejects.toMatchObject({
      status: 658,
    })
    await expect(chunks.getShard(from.at, 97n)).rejects.toMatchObject({ status: 651 })
    const nowhere = { ...from.at, diskId: 9 }
    await expect(chunks.statChunk(nowhere)).rejects.toMatchObject({ status: 611 })
    const stop = AbortSignal.abort(new Error('stop'))
    await expect(chunks.getShard(from.at, 9n, { signal: stop })).rejects.toThrow('stop')
    await expect(chunks.putShard(from.at, 9n, bytes, { signal: stop })).rejects.toThrow('stop')
  })

  it('give a shard whole that a disk gives in pieces', async () => {
    from.disk.pieceBytes = 100
    const chunks = from.blobnode.chunks(client)
    expect((await chunks.getShard(from.at, 30n)).equals(right.get(30n)!)).toBe(true)
  })

  it.each(['statChunk', 'listShards', 'getShard', 'putShard', 'copyShards'] as const)(
    'are not waited for on a disk that stands still: %s',
    async (call) => {
      await to.disk.putShard(to.at.vuid, 1n, 1, Buffer.alloc(1))
      let open = () => {}
      to.disk.gate = new Promise((resolve) => {
        open = resolve
      })
      const { disk } = to
      const still = async () => {
        await disk.gate
        throw refusal(613, 'it stood still')
      }
      Object.assign(disk, { statChunk: still, listShards: still })
      const called = (timeoutMs: number, signal?: AbortSignal): Promise<unknown> => {
        const options = { io: 'migrate' as const, signal }
        const near = to.blobnode.chunks(client, timeoutMs)
        const page = { from: 0n, status: 0, count: 2 }
        if (call === 'statChunk') return near.statChunk(at, options)
        if (call === 'listShards') return near.listShards(at, page, options)
        if (call === 'getShard') return near.getShard(to.at, 1n, options)
        if (call === 'putShard') return near.putShard(at, 1n, Buffer.alloc(1), options)
        return near.copyShards(at, from.at, shards, options)
      }
      // A copy has read something by then: a third of it is for that.
      const timeoutMs = call === 'copyShards' ? 3_000 : 30
      await expect(called(timeoutMs)).rejects.toMatchObject({ code: 'unavailable' })
      const stop = new AbortController()
      const stopped = called(600_000, stop.signal)
      stop.abort(new Error('the worker stops'))
      await expect(stopped).rejects.toThrow('the worker stops')
      open()
    },
  )

  it('put what a slow disk gave in time, and tell the rest to be away', async () => {
    for (const bid of [31n, 32n, 33n]) await write(from, bid, randomBytes(3 * 1_048_576))
    const get = client.getShards.bind(client)
    client.getShards = async (unit, wanted, target, options) => {
      if (wanted[0]?.bid === 1n) return get(unit, wanted, target, options)
      return new Promise((_, reject) => {
        options?.signal?.addEventListener('abort', () => reject(options.signal?.reason))
      })
    }
    const failed = await to.blobnode.chunks(client, 6_000).copyShards(at, from.at, shards)
    expect(failed.map(({ bid }) => bid).sort()).toEqual([32n, 33n])
    for (const { isSource, why } of failed) {
      expect([isSource, why.code]).toEqual([true, 'unavailable'])
    }
    for (const bid of [32n, 33n]) right.delete(bid)
    expectAll()
    expect(inNew().size).toBe(31)
  })

  it('say that a disk is broken', async () => {
    to.disk.break('it fails')
    const chunks = to.blobnode.chunks(client)
    await expect(chunks.putShard(at, 1n, Buffer.alloc(1))).rejects.toMatchObject({ status: 613 })
    await expect(chunks.copyShards(at, from.at, shards)).rejects.toMatchObject({ status: 613 })
  })
})
