/** The calls of a blobnode over HTTP: what they do, what they refuse, who may make them. */

import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { plain, type Rig, serving, VUID } from './rig.ts'

let rig: Rig

afterEach(() => rig?.stop())

const chunk = (verb: string, more = '') => `/chunk/${verb}/diskid/1/vuid/${VUID}${more}`
const shard = (verb: string, bid: bigint | string, more = '') =>
  `/shard/${verb}/diskid/1/vuid/${VUID}/bid/${bid}${more}`
const BID = 2n ** 64n - 1n

describe('with the client', () => {
  it('makes a chunk, keeps shards in it, and lets it go', async () => {
    rig = await serving()
    const client = rig.client()
    const at = { ...rig.at, vuid: VUID + 1n }
    await client.createChunk(at, 4096)
    const bytes = Buffer.from('some bytes')
    const crc = crc32(bytes)
    await expect(client.putShard(at, BID, bytes, { crc: (crc ^ 1) >>> 0 })).rejects.toMatchObject({
      status: 658,
    })
    await expect(client.getShard(at, BID)).rejects.toMatchObject({ status: 651 })
    expect(await client.putShard(at, BID, bytes, { crc })).toEqual({ crc })
    expect(await client.getShard(at, BID)).toEqual(bytes)
    expect(await client.getShard(at, BID, { range: { from: 5, to: 8 } })).toEqual(
      bytes.subarray(5, 8),
    )
    expect(await client.statShard(at, BID)).toEqual({
      ...{ vuid: at.vuid, bid: BID, size: 10, crc: crc32(bytes), offset: 0, flag: 1 },
    })
    expect(await client.statChunk(at)).toMatchObject({ vuid: at.vuid, status: 'normal', shards: 1 })
    expect((await client.listChunks(at.address, 1)).map(({ vuid }) => vuid)).toEqual([
      VUID,
      at.vuid,
    ])
    await client.setChunk(at, 'readonly')
    expect((await client.statChunk(at)).status).toBe('readonly')
    await client.setChunk(at, 'readwrite')
    await expect(client.releaseChunk(at)).rejects.toMatchObject({ status: 625 })
    await client.releaseChunk(at, true)
    await expect(client.statChunk(at)).rejects.toMatchObject({ status: 621 })
  })

  it('lists shards page by page, marks and deletes them', async () => {
    rig = await serving()
    const client = rig.client()
    for (const bid of [3n, 1n, 2n]) await client.putShard(rig.at, bid, Buffer.from([Number(bid)]))
    const first = await client.listShards(rig.at, { from: 0n, status: 0, count: 2 })
    expect([first.shards.map(({ bid }) => bid), first.next]).toEqual([[1n, 2n], 3n])
    const last = await client.listShards(rig.at, { from: first.next, status: 0, count: 2 })
    expect([last.shards.map(({ bid }) => bid), last.next]).toEqual([[3n], 0n])
    await expect(client.deleteShard(rig.at, 2n)).rejects.toMatchObject({ status: 653 })
    await client.markDelete(rig.at, 2n)
    await expect(client.markDelete(rig.at, 2n)).rejects.toMatchObject({ status: 654 })
    const marked = await client.listShards(rig.at, { from: 0n, status: 2, count: 9 })
    expect(marked.shards.map(({ bid }) => bid)).toEqual([2n])
    await client.deleteShard(rig.at, 2n, { io: 'delete' })
    await expect(client.getShard(rig.at, 2n)).rejects.toMatchObject({ status: 651 })
  })

  it.each([0, 1, 1_048_576, 1_048_577, 5_000_000])(
    'brings %i bytes there and back',
    async (size) => {
      rig = await serving()
      const client = rig.client()
      const bytes = Buffer.alloc(size, 'abcdefg')
      await client.putShard(rig.at, 1n, bytes)
      expect((await client.getShard(rig.at, 1n)).equals(bytes)).toBe(true)
    },
  )

  it('takes bytes that other threads see, too', async () => {
    rig = await serving()
    const bytes = new Uint8Array(new SharedArrayBuffer(100_000)).fill(7)
    await rig.client().putShard(rig.at, 1n, bytes)
    expect(await rig.client().getShard(rig.at, 1n)).toEqual(Buffer.alloc(100_000, 7))
  })
})

describe('what is asked wrongly', () => {
  it.each([
    ['GET', '/shard/get/diskid/0/vuid/1/bid/1', 614],
    ['GET', '/shard/get/diskid/4294967296/vuid/1/bid/1', 614],
    ['GET', '/shard/get/diskid/1/vuid/1/bid/1', 600],
    ['GET', shard('get', 0n), 657],
    ['GET', shard('get', 2n ** 64n), 657],
    ['GET', shard('get', '1e3'), 657],
    ['GET', shard('get', '-1'), 657],
    ['GET', shard('get', 1n, '/more/1'), 600],
    ['GET', '/shard/get', 600],
    ['GET', `/shard/get/vuid/${VUID}/diskid/1/bid/1`, 600],
    ['GET', shard('get', 1n).replace('diskid/1', 'diskid/2'), 611],
    ['GET', shard('get', 1n, '?io=nothing'), 600],
    ['GET', `/shard/list/diskid/1/vuid/${VUID}/startbid/0/status/0/count/1001`, 656],
    ['GET', `/shard/list/diskid/1/vuid/${VUID}/startbid/0/status/3/count/1`, 600],
    ['POST', shard('put', 1n, '/size/1073741825'), 652],
    ['POST', shard('put', 1n, '/size/5'), 600],
    ['POST', chunk('create', '?chunksize=many'), 600],
    ['GET', chunk('create'), 600],
    ['GET', shard('nothing', 1n), 404],
    ['GET', '/__proto__/constructor', 404],
    ['GET', '/', 404],
  ])('%s %s is refused with %i', async (method, path, status) => {
    rig = await serving()
    const answer = await plain(rig.at.address, method, path)
    expect(answer.status).toBe(status)
    const body = JSON.parse(answer.text) as { error: string; code: string }
    expect(body.error).toMatch(/./)
    expect(body.code).toMatch(/^[a-z_-]+$/)
  })

  it.each(['bytes=9-5', 'bytes=10-', 'bytes=-5', 'bytes=0-1,3-4', 'lines=0-1'])(
    'the range %s of 10 bytes is refused',
    async (range) => {
      rig = await serving()
      await rig.client().putShard(rig.at, 1n, Buffer.alloc(10))
      const answer = await plain(rig.at.address, 'GET', shard('get', 1n), { headers: { range } })
      expect(answer.status).toBe(655)
    },
  )

  it('answers a range as HTTP has it', async () => {
    rig = await serving()
    await rig.client().putShard(rig.at, 1n, Buffer.from('0123456789'))
    const headers = { range: 'bytes=7-99' }
    const answer = await plain(rig.at.address, 'GET', shard('get', 1n), { headers })
    expect(answer).toMatchObject({ status: 206, text: '789' })
    expect(answer.headers['content-range']).toBe('bytes 7-9/10')
  })

  it('a body of another size is refused, and the connection goes on', async () => {
    rig = await serving()
    const path = shard('put', 1n, '/size/5')
    const answer = await plain(rig.at.address, 'POST', path, { body: Buffer.alloc(100_000) })
    expect(answer.status).toBe(600)
    expect(answer.headers['connection']).toBe('keep-alive')
  })
})

describe('who may call', () => {
  it('nobody without the token, where there is one', async () => {
    rig = await serving({ token: 'a-secret-word' })
    for (const authorization of ['', 'Bearer a-wrong-word', 'a-secret-word', 'Bearer']) {
      const answer = await plain(rig.at.address, 'GET', '/stat', { headers: { authorization } })
      expect([authorization, answer.status]).toEqual([authorization, 401])
      expect(answer.text).not.toContain('a-secret-word')
    }
    await expect(rig.client().statChunk(rig.at)).rejects.toMatchObject({ code: 'unauthorized' })
    const knowing = rig.client({ token: 'a-secret-word' })
    expect((await knowing.statChunk(rig.at)).vuid).toBe(VUID)
  })

  it('no page of a browser', async () => {
    rig = await serving()
    const headers = { origin: 'http://evil.example' }
    expect((await plain(rig.at.address, 'GET', '/stat', { headers })).status).toBe(403)
  })

  it('nobody from elsewhere, where there is no token', async () => {
    const advertise = 'http://10.0.0.1:1'
    const listen = { host: '0.0.0.0', port: 0 }
    await expect(serving({ listen, advertise })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining('--token-file'),
    })
    await expect(serving({ listen, token: 'a-secret-word' })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining('--advertise'),
    })
    rig = await serving({ listen, advertise, token: 'a-secret-word' })
    expect(rig.blobnode.address).toBe(advertise)
  })
})

it('says what it has and does', async () => {
  rig = await serving()
  const client = rig.client()
  await client.putShard(rig.at, 1n, Buffer.alloc(10))
  await client.getShard(rig.at, 1n)
  await expect(client.getShard(rig.at, 2n)).rejects.toMatchObject({ status: 651 })
  const stat = JSON.parse((await plain(rig.at.address, 'GET', '/stat')).text)
  expect(stat).toMatchObject({
    ...{ host: 'b1', rack: 'r1', idc: 'z1', address: rig.at.address, node: { problem: null } },
    disks: [
      {
        ...{ disk_id: 1, path: '/data/1', state: 'up', problem: null },
        usage: { freeBytes: 900, chunks: 1 },
        slots: { at_work: 0, waiting: 0 },
        counters: { puts: 1, gets: 1, bytes_in: 10, bytes_out: 10, refusals: { 651: 1 } },
      },
    ],
  })
  const { text } = await plain(rig.at.address, 'GET', '/metrics')
  expect(text).toContain('# TYPE storage_blobnode_puts_total counter\n')
  expect(text).toContain('storage_blobnode_puts_total{disk="1"} 1\n')
  expect(text).toContain('storage_blobnode_refusals_total{disk="1",status="651"} 1\n')
})
