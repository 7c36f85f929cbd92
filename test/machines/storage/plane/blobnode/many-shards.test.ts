/** Many shards in one call, far and near: what is given and taken, what is refused, and what that leaves. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ByteBudget } from '../../../../../machines/storage/plane/blobnode/byte-budget.ts'
import type { Exchange } from '../../../../../machines/storage/plane/blobnode/exchange.ts'
import { BlobnodeServer } from '../../../../../machines/storage/plane/blobnode/http-server.ts'
import {
  type BlobnodeClient,
  BufferPool,
  type FarChunks,
  MANY_BYTES_MAX,
  type PutShard,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { answerShards } from '../../../../../machines/storage/plane/blobnode/many-shards.ts'
import { ServedDisk } from '../../../../../machines/storage/plane/blobnode/served-disk.ts'
import { refusal, type StorageRefusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { realClock } from '../../../../worker/process/real-time.ts'
import { logInto, plain, type Rig, serving, VUID } from './rig.ts'

const TOKEN = 'a-secret-word'

let rig: Rig
let client: BlobnodeClient

beforeEach(async () => {
  rig = await serving({ token: TOKEN })
  client = rig.client({ token: TOKEN })
})
afterEach(() => rig.stop())

function shardsOf(count: number, bytesEach: number): { shards: PutShard[]; bytes: Buffer } {
  const bytes = randomBytes(count * bytesEach)
  const shards = Array.from({ length: count }, (_, n): PutShard => {
    const own = bytes.subarray(n * bytesEach, (n + 1) * bytesEach)
    return { bid: BigInt(n + 1), size: bytesEach, crc: crc32(own) }
  })
  return { shards, bytes }
}

async function counters() {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const { text } = await plain(rig.at.address, 'GET', '/stat', { headers })
  return JSON.parse(text).disks[0].counters
}

const statuses = (failed: readonly { bid: bigint; why: StorageRefusal }[]) =>
  failed.map(({ bid, why }) => [bid, why.status])

describe.each(['far', 'near'] as const)('many shards, %s', (where) => {
  const chunks = (): FarChunks => (where === 'far' ? client : rig.blobnode.chunks(client))

  it('are taken and given as they are, each counted', async () => {
    const { shards, bytes } = shardsOf(200, 3_001)
    expect(await chunks().putShards(rig.at, shards, bytes, { io: 'repair' })).toEqual([])
    const back = Buffer.alloc(bytes.length)
    expect(await chunks().getShards(rig.at, shards, back, { io: 'repair' })).toEqual([])
    expect(back.equals(bytes)).toBe(true)
    expect(await counters()).toMatchObject({
      ...{ puts: 200, gets: 200, bytes_in: bytes.length, bytes_out: bytes.length },
    })
  })

  it('are given into memory that threads share', async () => {
    const { shards, bytes } = shardsOf(3, 500_000)
    await client.putShards(rig.at, shards, bytes)
    const shared = Buffer.from(new SharedArrayBuffer(2_000_000), 100_000, bytes.length)
    expect(await chunks().getShards(rig.at, shards, shared)).toEqual([])
    expect(shared.equals(bytes)).toBe(true)
  })

  it('are given all, or it is told which are not', async () => {
    const { shards, bytes } = shardsOf(5, 1_000)
    await client.putShards(rig.at, shards, bytes)
    await rig.disk.markDeleted(VUID, 2n)
    const wanted = [...shards, { bid: 9n, size: 10, crc: 0 }].map((shard) =>
      shard.bid === 4n ? { ...shard, size: 999 } : shard,
    )
    const target = Buffer.alloc(5 * 1_000 + 9)
    const failed = await chunks().getShards(rig.at, wanted, target)
    expect(statuses(failed)).toEqual([
      [2n, 654],
      [4n, 658],
      [9n, 651],
    ])
    expect(await counters()).toMatchObject({ gets: 0 })
  })

  it('are taken but for those that were deleted; what the disk refuses ends it', async () => {
    const put = rig.disk.putShard.bind(rig.disk)
    let status = 654
    rig.disk.putShard = async (vuid, bid, ...rest) => {
      if (bid === 2n) throw refusal(status, 'not that one')
      return put(vuid, bid, ...rest)
    }
    const { shards, bytes } = shardsOf(3, 100)
    expect(statuses(await chunks().putShards(rig.at, shards, bytes))).toEqual([[2n, 654]])
    expect([...(rig.disk.shards.get(VUID)?.keys() ?? [])]).toEqual([1n, 3n])
    status = 627
    await expect(chunks().putShards(rig.at, shards, bytes)).rejects.toMatchObject({ status: 627 })
    rig.disk.break('it fails')
    await expect(chunks().putShards(rig.at, shards, bytes)).rejects.toMatchObject({ status: 613 })
    await expect(chunks().getShards(rig.at, shards, bytes)).rejects.toMatchObject({ status: 613 })
  })

  it('that changed on their way are not stored', async () => {
    const { shards, bytes } = shardsOf(2, 100)
    bytes[150] = (bytes[150] ?? 0) ^ 1
    await expect(chunks().putShards(rig.at, shards, bytes)).rejects.toMatchObject({ status: 658 })
    expect(rig.disk.shards.get(VUID)?.has(2n)).toBe(false)
  })

  it('are given though they are more than a body may hold', async () => {
    const { shards, bytes } = shardsOf(2, MANY_BYTES_MAX / 2 + 1)
    for (const [n, { bid, size }] of shards.entries()) {
      await client.putShard(rig.at, bid, bytes.subarray(n * size, (n + 1) * size))
    }
    const back = Buffer.alloc(bytes.length)
    expect(await chunks().getShards(rig.at, shards, back)).toEqual([])
    expect(back.equals(bytes)).toBe(true)
    rig.disk.shards.get(VUID)?.delete(2n)
    expect(statuses(await chunks().getShards(rig.at, shards, back))).toEqual([[2n, 651]])
  })

  it('are no longer waited for by whom does not want them', async () => {
    const { shards, bytes } = shardsOf(2, 100)
    rig.disk.gate = new Promise(() => {})
    const stop = new AbortController()
    const { signal } = stop
    const calls = [
      chunks().getShards(rig.at, shards, bytes, { signal }),
      chunks().putShards(rig.at, shards, bytes, { signal }),
    ]
    const ends = Promise.all(calls.map((call) => call.catch((thrown: unknown) => thrown)))
    stop.abort(new Error('the worker stops'))
    expect(await ends).toEqual([signal.reason, signal.reason])
  })
})

it.each([
  ['get', '{', 600],
  ['get', '{"bids":[1],"sizes":[]}', 600],
  ['get', `{"bids":[1],"sizes":[${MANY_BYTES_MAX + 1}]}`, 600],
  ['put', '{"bids":[1],"sizes":[3],"crcs":[0]}', 600],
  ['put', '{"bids":[1],"sizes":[3],"crcs":[0]}\nab', 600],
  ['put', '{"bids":[1],"sizes":[2],"crcs":[]}\nab', 600],
])('a call that cannot be read is refused: %s %s', async (call, body, status) => {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const path = `/shards/${call}/diskid/1/vuid/${VUID}`
  const answer = await plain(rig.at.address, 'POST', path, { headers, body })
  expect(answer).toMatchObject({ status })
})

it('take one place at a disk, behind clients', async () => {
  const { shards, bytes } = shardsOf(20, 100)
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const put = client.putShards(rig.at, shards, bytes, { io: 'repair' })
  await expect
    .poll(async () => (await rig.blobnode.report())['disks'])
    .toMatchObject([{ slots: { background_at_work: 1 } }])
  await expect.poll(() => rig.disk.atWork).toBe(20)
  open()
  expect(await put).toEqual([])
})

it('are refused when too many wait at the disk, unless they wait here', async () => {
  await rig.stop()
  const slots = { atWork: 3, backgroundAtWork: 1, waiting: 1, backgroundWaiting: 1 }
  rig = await serving({ token: TOKEN }, { slots })
  client = rig.client({ token: TOKEN })
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const { shards, bytes } = shardsOf(2, 100)
  const figures = () =>
    expect.poll(async () => (await rig.blobnode.report())['disks'], { timeout: 10_000 })
  const first = client.putShards(rig.at, shards, bytes, { io: 'repair' })
  await figures().toMatchObject([{ slots: { background_at_work: 1 } }])
  const second = client.putShards(rig.at, shards, bytes, { io: 'repair' })
  await figures().toMatchObject([{ slots: { background_waiting: 1 } }])
  const near = rig.blobnode.chunks(client).putShards(rig.at, shards, bytes, { io: 'repair' })
  await figures().toMatchObject([{ slots: { background_waiting: 2 } }])
  const third = client.putShards(rig.at, shards, bytes, { io: 'repair' })
  await expect(third).rejects.toMatchObject({ status: 673 })
  open()
  expect(await Promise.all([first, second, near])).toEqual([[], [], []])
})

/** A door to a disk that the test has in its hand. */
async function inHand() {
  const log = logInto([])
  const served = new ServedDisk(
    { id: 1, path: '/data/1' },
    { open: async () => rig.disk, clock: realClock, log, onBroken: () => {} },
  )
  await served.open()
  const held = new ByteBudget(10_000_000)
  const exchanges: Exchange[] = []
  const deps = { disk: served, vuid: VUID, io: 'repair', held, buffers: new BufferPool() } as const
  const server = await BlobnodeServer.listen({
    ...{ host: '127.0.0.1', port: 0, token: undefined, log },
    calls: {
      call: (_, exchange) => {
        exchanges.push(exchange)
        return answerShards(exchange, deps)
      },
      held: () => Promise.reject(new Error('nothing is put')),
      ...{ stat: async () => ({}), metrics: async () => '', refused: () => {} },
    },
  })
  const at = { ...rig.at, address: `http://127.0.0.1:${server.place.port}` }
  return { served, held, exchanges, server, at }
}

it('that are refused while they wait, or before, keep no place at the disk', async () => {
  const { shards, bytes } = shardsOf(1, 100)
  await client.putShards(rig.at, shards, bytes)
  const { served, server, at } = await inHand()
  const get = () => client.getShards(at, shards, Buffer.alloc(100))
  served.refuse('another one serves it')
  for (let n = 0; n < 17; n += 1) await expect(get()).rejects.toMatchObject({ status: 611 })
  served.refuse(null)
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const calls = Promise.allSettled(Array.from({ length: 17 }, get))
  const waiting = { background_at_work: 16, background_waiting: 1 }
  await expect.poll(() => served.slots.figures(), { timeout: 10_000 }).toMatchObject(waiting)
  served.refuse('another one serves it')
  open()
  const refused = (await calls).filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(1)
  expect(served.slots.figures().background_at_work).toBe(0)
  served.refuse(null)
  expect(await get()).toEqual([])
  await server.close()
})

it('that nobody waits for any more are not held', async () => {
  const { shards, bytes } = shardsOf(1, 100)
  await client.putShards(rig.at, shards, bytes)
  const { held, exchanges, server, at } = await inHand()
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const stop = new AbortController()
  const get = client.getShards(at, shards, Buffer.alloc(100), { signal: stop.signal })
  await expect.poll(() => rig.disk.atWork, { timeout: 10_000 }).toBe(1)
  expect(held.bytes).toBeGreaterThan(0)
  stop.abort(new Error('no longer wanted'))
  await expect(get).rejects.toThrow('no longer wanted')
  await expect.poll(() => exchanges[0]?.isGone(), { timeout: 10_000 }).toBe(true)
  open()
  await expect.poll(() => held.bytes, { timeout: 10_000 }).toBe(0)
  await server.close()
})

it('are away when an answer breaks off, or is none', async () => {
  let answer = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'
  const server = createServer()
  server.removeAllListeners('connection')
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const there = { address, diskId: 1, vuid: VUID }
  const wanted = [{ bid: 1n, size: 100 }]
  const unavailable = { code: 'unavailable' }
  const get = () => client.getShards(there, wanted, Buffer.alloc(100))
  await expect(get()).rejects.toMatchObject(unavailable)
  answer = 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc'
  await expect(get()).rejects.toMatchObject(unavailable)
  const failed = '{"bid":1,"status":651,"error":"x"}'
  const other = '{"bid":2,"status":651,"error":"x"}'
  for (const body of ['{}', '{"failed":[]}', `{"failed":[${failed},${other}]}`]) {
    answer = `HTTP/1.1 207 Some\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    await expect(get(), body).rejects.toMatchObject(unavailable)
  }
  server.close()
})
