/** The history of an actor: no gaps, the last N, over restarts and batches. */
import { expect, it, vi } from 'vitest'
import { change, counter, get, history, host, open, restart, send, start } from './support.ts'

const small = host('small', { on: { GO: { actions: change(() => ({ n: 1 })) } } }, {}, {
  retention: { historyCount: 11 },
} as never)
const none = host('none', { on: { GO: { actions: change(() => ({ n: 1 })) } } }, {}, {
  retention: { historyCount: 0 },
} as never)

const turns = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

it('has one entry per turn, whoever caused it', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  await send(h, 'counter/a', 'OFF')
  await send(h, 'counter/a', 'ON')
  await h.run(h.client.send('counter/a', { type: 'BAD' }).catch(() => {}))
  await send(h, 'counter/a', 'OFF')
  h = restart(h, [counter])
  await h.run(h.client.resume('counter/a'))
  const entries = await history(h, 'counter/a')
  expect(entries.map(({ turn, cause, from, to }) => [turn, cause, from, to])).toEqual([
    [1, 'start', null, 'on'],
    [2, 'OFF', 'on', 'off'],
    [3, 'ON', 'off', 'on'],
    [4, 'parked by BAD', 'on', 'on'],
    [5, 'resume', 'on', 'on'],
    [6, 'OFF', 'on', 'off'],
  ])
  expect(entries[3]!.note).toContain('the assign broke')
  expect(entries[1]!.commandId).toMatch(/^\d+-/)
})

it.each([1, 3, 4, 5, 8, 9, 100])(
  'keeps the last ones without gaps after %i turns',
  async (count) => {
    let h = open([small])
    await start(h, 'small/a')
    for (let sent = 1; sent < count; sent++) await send(h, 'small/a', 'GO')
    for (const found of [await history(h, 'small/a'), await history(restartOf(), 'small/a')]) {
      expect(found.map(({ turn }) => turn)).toEqual(turns(Math.max(1, count - 10), count))
    }
    function restartOf() {
      h = restart(h, [small])
      return h
    }
  },
)

it('many turns in one batch leave no gap either, also when one of them is refused', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  const events = Array.from({ length: 45 }, (_, n) =>
    n % 9 === 4 ? { type: 'BIG', by: 900_000 } : { type: 'ADD', by: 1 },
  )
  await h.run(Promise.allSettled(events.map((event) => h.client.send('counter/a', event))))
  const { turn } = await get(h, 'counter/a')
  expect(turn).toBe(41)
  h = restart(h, [counter])
  expect((await history(h, 'counter/a')).map((entry) => entry.turn)).toEqual(turns(1, 41))
})

it('is read by pages, the newest first', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  for (let n = 0; n < 20; n++) await send(h, 'counter/a', 'ADD', { by: 1 })
  const first = await h.run(h.client.history('counter/a', { limit: 9 }))
  expect(first.map(({ turn }) => turn)).toEqual(turns(13, 21).reverse())
  const next = await h.run(h.client.history('counter/a', { limit: 100, beforeTurn: 13 }))
  expect(next.map(({ turn }) => turn)).toEqual(turns(1, 12).reverse())
})

it('can be switched off', async () => {
  const h = open([none])
  await start(h, 'none/a')
  await send(h, 'none/a', 'GO')
  expect(await history(h, 'none/a')).toEqual([])
  expect((await get(h, 'none/a')).turn).toBe(2)
})

it('leaves no chunk behind when its actor is deleted', async () => {
  for (const count of [3, 4, 5, 9, 70]) {
    const h = open([small], { shardCount: 1 })
    await start(h, 'small/a')
    for (let sent = 1; sent < count; sent++) await send(h, 'small/a', 'GO')
    await h.run(h.client.delete('small/a'))
    const left = [
      ...h.store.range({ from: Uint8Array.of(0, 0, 0x11), to: Uint8Array.of(0, 0, 0x12) }),
    ]
    expect(left).toEqual([])
  }
})

it('of an actor whose machine had none before begins with what came since', async () => {
  let h = open([none])
  await start(h, 'none/a')
  for (let sent = 1; sent < 4; sent++) await send(h, 'none/a', 'GO')
  const since = host('none', { on: { GO: { actions: change(() => ({ n: 1 })) } } })
  h = restart(h, [since])
  for (let sent = 0; sent < 20; sent++) {
    await send(h, 'none/a', 'GO')
    const entries = await history(h, 'none/a')
    expect(entries.map(({ turn }) => turn)).toEqual(turns(5, 5 + sent))
  }
})

it('of many in one batch compares each row of it once, not with every question again', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const compare = vi.spyOn(Buffer, 'compare')
  const sent = Array.from({ length: 100 }, (_, n) =>
    h.client.send('counter/a', { type: 'ADD', by: n }),
  )
  const asked = Array.from({ length: 100 }, () => h.client.history('counter/a'))
  const found = await h.run(Promise.all(sent).then(() => Promise.all(asked)))
  const again = await history(h, 'counter/a', 50)
  expect(compare.mock.calls.length).toBeLessThan(5_000)
  compare.mockRestore()
  expect(again.map(({ turn }) => turn)).toEqual(turns(52, 101))
  expect(found[99]!.map(({ turn }) => turn).reverse()).toEqual(turns(52, 101))
})
