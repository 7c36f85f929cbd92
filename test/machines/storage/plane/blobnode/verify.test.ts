/** Pages of shards that a blobnode looks at itself: what they say, where they end, what goes before them. */
import { afterEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../../../src/adapters/memory/index.ts'
import { until } from '../../../../waiting.ts'
import { plain, type Rig, serving, VUID } from './rig.ts'

let rig: Rig

afterEach(() => rig?.stop())

const INSPECT = { io: 'inspect' } as const

it('lists what is there page by page, and says what is not what was written', async () => {
  rig = await serving()
  const client = rig.client()
  for (const bid of [1n, 2n, 3n, 4n]) await client.putShard(rig.at, bid, Buffer.from('bytes'))
  rig.disk.corrupt.add(2n)
  rig.disk.corrupt.add(4n)
  await client.markDelete(rig.at, 4n)
  const first = await client.verifyShards(rig.at, { from: 0n, count: 3 }, INSPECT)
  expect(first.shards.map(({ bid, flag }) => [bid, flag])).toEqual([
    [1n, 1],
    [2n, 1],
    [3n, 1],
  ])
  expect([first.corrupt, first.next]).toEqual([[2n], 4n])
  // What is marked is not looked at.
  const last = await client.verifyShards(rig.at, { from: first.next, count: 3 }, INSPECT)
  expect(last.shards.map(({ bid, flag }) => [bid, flag])).toEqual([[4n, 2]])
  expect([last.corrupt, last.next]).toEqual([[], 0n])
  const { text } = await plain(rig.at.address, 'GET', '/metrics')
  expect(text).toContain('storage_blobnode_verified_total{disk="1"} 3')
  expect(text).toContain('storage_blobnode_corrupt_total{disk="1"} 1')
})

it('an empty chunk has an empty page, and one that is not there is refused', async () => {
  rig = await serving()
  const client = rig.client()
  const page = { from: 0n, count: 10 }
  expect(await client.verifyShards(rig.at, page)).toEqual({ shards: [], corrupt: [], next: 0n })
  const other = { ...rig.at, vuid: VUID + 1n }
  await expect(client.verifyShards(other, page)).rejects.toMatchObject({ status: 621 })
  const path = `/shard/verify/diskid/1/vuid/${VUID}/startbid/0/count/1001`
  expect((await plain(rig.at.address, 'GET', path)).status).toBe(656)
})

it('a page ends where it takes too long, and goes on there', async () => {
  const clock = new VirtualClock()
  rig = await serving({}, { clock })
  const client = rig.client()
  for (const bid of [1n, 2n, 3n]) await client.putShard(rig.at, bid, Buffer.from('bytes'))
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const reading = client.verifyShards(rig.at, { from: 0n, count: 10 })
  await until(() => rig.disk.atWork === 1, { timeoutMs: 5_000 }, 'the first shard to be looked at')
  await clock.settle(3_000)
  open()
  const page = await reading
  expect([page.shards.map(({ bid }) => bid), page.next]).toEqual([[1n], 2n])
  const rest = await client.verifyShards(rig.at, { from: page.next, count: 10 })
  expect([rest.shards.map(({ bid }) => bid), rest.next]).toEqual([[2n, 3n], 0n])
})

it('what is deleted behind the list is left out, what is marked is said', async () => {
  rig = await serving()
  const client = rig.client()
  for (const bid of [1n, 2n, 3n]) await client.putShard(rig.at, bid, Buffer.from('bytes'))
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const reading = client.verifyShards(rig.at, { from: 0n, count: 10 })
  await until(() => rig.disk.atWork === 1, { timeoutMs: 5_000 }, 'the first shard to be looked at')
  for (const bid of [2n, 3n]) await rig.disk.markDeleted(VUID, bid)
  await rig.disk.deleteShard(VUID, 2n)
  open()
  const page = await reading
  expect(page.shards.map(({ bid, flag }) => [bid, flag])).toEqual([
    [1n, 1],
    [3n, 2],
  ])
})

it('clients go first: each shard waits for a slot of the background', async () => {
  const slots = { atWork: 4, backgroundAtWork: 1, waiting: 8, backgroundWaiting: 8 }
  rig = await serving({}, { slots })
  const client = rig.client()
  for (const bid of [1n, 2n]) await client.putShard(rig.at, bid, Buffer.from('bytes'))
  let open = () => {}
  rig.disk.gate = new Promise((resolve) => {
    open = resolve
  })
  const pages = [0n, 0n].map((from) => client.verifyShards(rig.at, { from, count: 10 }, INSPECT))
  await until(() => rig.disk.atWork === 1, { timeoutMs: 5_000 }, 'one shard to be looked at')
  const got = client.getShard(rig.at, 1n)
  await until(() => rig.disk.atWork === 2, { timeoutMs: 5_000 }, 'a client to come between')
  open()
  expect(await got).toEqual(Buffer.from('bytes'))
  for (const page of await Promise.all(pages)) expect(page.shards).toHaveLength(2)
  expect(rig.disk.atWorkMost).toBe(2)
})
