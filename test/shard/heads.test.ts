/** Which actors stay in memory when it is full: those that are used. */
import { expect, it } from 'vitest'
import { shardOf } from '../../src/protocol/index.ts'
import { actorKey } from '../../src/shard/keys.ts'
import { counter, get, open, send, start } from './support.ts'

it('one that is used stays in memory, one that is not is read from the store again', async () => {
  // Room for about ten actors.
  const h = open([counter], { shardCount: 1, limits: { residentBytesMax: 25_000 } })
  const read: string[] = []
  const fromStore = h.store.get.bind(h.store)
  const names = new Map(
    ['counter/hot', 'counter/cold'].map((name) => [actorKey(0, name).toString('hex'), name]),
  )
  h.store.get = (key) => {
    const name = names.get(Buffer.from(key).toString('hex'))
    if (name !== undefined) read.push(name)
    return fromStore(key)
  }
  await start(h, 'counter/hot')
  await start(h, 'counter/cold')
  read.length = 0
  for (let n = 0; n < 100; n++) {
    await start(h, `counter/x${n}`)
    await get(h, 'counter/hot')
  }
  expect(h.engines[0]!.status().residentCount).toBeLessThan(15)
  expect(read).toEqual([])
  await get(h, 'counter/cold')
  expect(read).toEqual(['counter/cold'])
})

it('what an idle shard holds goes before what a busy one uses', async () => {
  // Room for about a hundred actors.
  const h = open([counter], { shardCount: 2, limits: { residentBytesMax: 200_000 } })
  const of = (shard: number, count: number) => {
    const all = Array.from({ length: count * 4 }, (_, n) => `counter/${n}`)
    return all.filter((address) => shardOf(address, 2) === shard).slice(0, count)
  }
  for (const address of of(0, 150)) await start(h, address)
  const busy = of(1, 60)
  for (const address of busy) await start(h, address)
  for (let round = 0; round < 3; round++)
    for (const address of busy) await send(h, address, 'ADD', { by: 1 })
  const [idle, used] = h.engines.map((engine) => engine.status())
  expect(used!.residentCount).toBe(60)
  expect(idle!.residentCount).toBeLessThan(60)
  expect(idle!.residentBytes + used!.residentBytes).toBeLessThanOrEqual(200_000)
})
