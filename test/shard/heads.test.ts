/** Which actors stay in memory when it is full: those that are used. */
import { expect, it } from 'vitest'
import { actorKey } from '../../src/shard/keys.ts'
import { counter, get, open, start } from './support.ts'

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
