/** Many shards in one call, far and near: what is given and taken, what is refused, and what that leaves. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type BlobnodeClient,
  type FarChunks,
  MANY_BYTES_MAX,
  type PutShard,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { refusal, type StorageRefusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { plain, type Rig, serving, VUID } from './rig.ts'

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
  answer = 'HTTP/1.1 207 Some\r\ncontent-length: 2\r\n\r\n{}'
  await expect(get()).rejects.toMatchObject(unavailable)
  server.close()
})
