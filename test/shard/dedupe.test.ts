/** P3: a command is applied once, however often it is sent. */
import { expect, it } from 'vitest'
import { TABLE } from '../../src/shard/keys.ts'
import { code, commandId, counter, get, open, restart, rows, send, start } from './support.ts'

const ADD = { type: 'ADD', by: 1 }

it('once in one batch', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const id = commandId(h)
  const [first, second] = await h.run(
    Promise.all([h.client.send('counter/a', ADD, { id }), h.client.send('counter/a', ADD, { id })]),
  )
  expect(second).toEqual(first)
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: 1 })
})

it('once over batches and restarts, with the first reply', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  const id = commandId(h)
  const first = await h.run(h.client.send('counter/a', ADD, { id }))
  await send(h, 'counter/a', 'ADD', { by: 10 })
  expect(await h.run(h.client.send('counter/a', ADD, { id }))).toEqual(first)
  h = restart(h, [counter])
  expect(await h.run(h.client.send('counter/a', ADD, { id }))).toEqual(first)
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: 11 })
})

it('in whatever order ids were made, and after restarts', async () => {
  let h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const now = h.clock.now()
  const ids = [0, -5_000, 5_000, -9_000, 5_000, 1_000].map((ms) => commandId(h, now + ms))
  const add = (id: string) => h.run(h.client.send('counter/a', ADD, { id }))
  const first: unknown[] = []
  for (const id of ids) first.push(await add(id))
  for (const [n, id] of ids.entries()) expect(await add(id)).toEqual(first[n])
  h = restart(h, [counter])
  for (const [n, id] of ids.entries()) expect(await add(id)).toEqual(first[n])
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: ids.length })
})

it('of many in one batch, the newest of which is not the last', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const ids = [3_000, 1_000, 2_000].map((ms) => commandId(h, h.clock.now() + ms))
  const addAll = () => h.run(Promise.all(ids.map((id) => h.client.send('counter/a', ADD, { id }))))
  const first = await addAll()
  expect(await addAll()).toEqual(first)
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: ids.length })
})

it('an event that was not handled is remembered as that', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  const id = commandId(h)
  expect(await h.run(h.client.send('counter/a', { type: 'ON' }, { id }))).toMatchObject({
    handled: false,
  })
  await send(h, 'counter/a', 'OFF')
  h = restart(h, [counter])
  expect(await h.run(h.client.send('counter/a', { type: 'ON' }, { id }))).toMatchObject({
    handled: false,
    turn: 1,
  })
  expect((await get(h, 'counter/a')).value).toBe('off')
})

it('a start is repeated without harm, even when the actor is gone again', async () => {
  const h = open([counter])
  const id = commandId(h)
  const first = await h.run(h.client.start('counter/a', undefined, { id }))
  expect(await h.run(h.client.start('counter/a', undefined, { id }))).toEqual(first)
  await h.run(h.client.delete('counter/a'))
  expect(await h.run(h.client.start('counter/a', undefined, { id }))).toEqual(first)
  expect(await code(h, h.client.get('counter/a'))).toBe('unknown-actor')
})

it('a failure that parked is remembered; a refusal is not, since nothing was applied', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const id = commandId(h)
  expect(await code(h, h.client.send('counter/a', { type: 'BAD' }, { id }))).toBe('parked')
  const turn = (await get(h, 'counter/a')).turn
  expect(await code(h, h.client.send('counter/a', { type: 'BAD' }, { id }))).toBe('parked')
  expect((await get(h, 'counter/a')).turn).toBe(turn)
  const other = commandId(h)
  expect(await code(h, h.client.send('counter/b', ADD, { id: other }))).toBe('unknown-actor')
  await start(h, 'counter/b')
  expect(await h.run(h.client.send('counter/b', ADD, { id: other }))).toMatchObject({
    handled: true,
  })
})

it('an id that is past the window is expired, known or not', async () => {
  let h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const applied = commandId(h)
  const unknown = commandId(h)
  await h.run(h.client.send('counter/a', ADD, { id: applied }))
  await h.advance(h.limits.dedupeWindowMs - 120_000)
  await send(h, 'counter/a', 'ADD', { by: 10 })
  expect(await h.run(h.client.send('counter/a', ADD, { id: applied }))).toMatchObject({ turn: 2 })
  await h.advance(300_000)
  await send(h, 'counter/a', 'ADD', { by: 10 })
  await send(h, 'counter/a', 'ADD', { by: 10 })
  h = restart(h, [counter])
  for (const id of [applied, unknown])
    expect(await code(h, h.client.send('counter/a', ADD, { id }))).toBe('expired')
  expect((await get(h, 'counter/a')).context).toMatchObject({ n: 31 })
})

it('an id from the future is refused', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const { clockSkewMaxMs } = h.limits
  const far = commandId(h, h.clock.now() + clockSkewMaxMs + 1_000)
  expect(await code(h, h.client.send('counter/a', ADD, { id: far }))).toBe('clock-skew')
  const near = commandId(h, h.clock.now() + clockSkewMaxMs - 1_000)
  expect(await h.run(h.client.send('counter/a', ADD, { id: near }))).toMatchObject({
    handled: true,
  })
})

it('operator commands are remembered too', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  const id = commandId(h)
  const first = await h.run(h.client.pause('counter/a', { id }))
  await h.run(h.client.resume('counter/a'))
  h = restart(h, [counter])
  expect(await h.run(h.client.pause('counter/a', { id }))).toEqual(first)
  expect((await get(h, 'counter/a')).paused).toBeUndefined()
})

it('what a burst has left goes a few at a time and soon, and what is remembered since does not pile up', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const known = () => rows(h).filter(({ key }) => key[2] === TABLE.dedupe).length
  const burst = (count: number) =>
    h.run(Promise.all(Array.from({ length: count }, () => h.client.send('counter/a', ADD))))
  await burst(1_000)
  const before = known()
  await h.advance(h.limits.dedupeWindowMs - 1_000)
  expect(known()).toBe(before)
  while (known() === before) await h.advance(100)
  const left = known()
  expect(before - left).toBeLessThanOrEqual(100)
  await burst(200)
  expect(known()).toBeLessThan(left)
  expect(known()).toBeGreaterThan(500)
  // Nobody sends anything: it wakes for what is left, and not for what may not go yet.
  await h.advance(2_000)
  expect(known()).toBe(200)
})
