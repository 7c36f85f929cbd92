/** P5: timers are never lost, never early, and take effect once; and what a failing disk does. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { enqueueActions, raise } from 'xstate'
import {
  type Args,
  change,
  chart,
  code,
  counter,
  get,
  history,
  host,
  open,
  restart,
  see,
  seen,
  send,
  start,
  tablesWith,
} from './support.ts'

const alarms = host(
  'alarms',
  { on: { SET: { actions: 'set' }, RING: { actions: 'ring' } } },
  {
    actions: {
      set: enqueueActions(({ enqueue, event }) => {
        const { by, text } = event as Args['event']
        enqueue(raise({ type: 'RING', text } as never, { delay: by, id: text }) as never)
      }),
      ring: see(({ event }) => event.text),
    },
  },
)

it('every alarm rings once, in order, not before its time, whatever is restarted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          delayMs: fc.integer({ min: 0, max: 200_000 }),
          waitMs: fc.integer({ min: 0, max: 20_000 }),
          restart: fc.boolean(),
        }),
        { minLength: 1, maxLength: 25 },
      ),
      async (sets) => {
        const limits = { timerHorizonMs: 10_000, timerLoadCountMax: 3 }
        let h = open([alarms], { limits })
        await start(h, 'alarms/a')
        const due = new Map<string, number>()
        for (const [index, { delayMs, waitMs, restart: again }] of sets.entries()) {
          const view = await send(h, 'alarms/a', 'SET', { by: delayMs, text: `${index}` })
          expect(view.handled).toBe(true)
          const { timers, updatedAt } = await get(h, 'alarms/a')
          due.set(
            `${index}`,
            timers.find(({ id }) => id === `${index}`)?.dueAt ?? updatedAt + delayMs,
          )
          await h.advance(waitMs)
          if (again) h = restart(h, [alarms], { limits })
        }
        const check = async () => {
          const rung = await seen(h, 'alarms/a')
          expect(new Set(rung).size).toBe(rung.length)
          for (const text of rung) expect(due.get(text)!).toBeLessThanOrEqual(h.clock.now())
          for (const [text, at] of due) if (at <= h.clock.now() - 100) expect(rung).toContain(text)
        }
        for (let n = 0; n < 4; n++) {
          await h.advance(55_000)
          await check()
        }
        expect(await seen(h, 'alarms/a')).toHaveLength(sets.length)
        expect(tablesWith(h, 'alarms/a')).not.toContain(0x30)
      },
    ),
    { numRuns: 25 },
  )
})

it('a timer that is set again under its id replaces the earlier one', async () => {
  const h = open([alarms])
  await start(h, 'alarms/a')
  await send(h, 'alarms/a', 'SET', { by: 1_000, text: 'x' })
  await send(h, 'alarms/a', 'SET', { by: 5_000, text: 'x' })
  await h.advance(3_000)
  expect(await seen(h, 'alarms/a')).toEqual([])
  await h.advance(3_000)
  expect(await seen(h, 'alarms/a')).toEqual(['x'])
})

it('a finished actor has no timers left', async () => {
  const brief = host(
    'brief',
    {
      initial: 'a',
      states: { a: { entry: 'set', on: { END: 'end' } }, end: { type: 'final' } },
      on: { RING: { actions: 'ring' } },
    },
    { actions: { set: raise({ type: 'RING' }, { delay: 1_000 }), ring: see('rang') } },
  )
  const h = open([brief])
  await start(h, 'brief/a')
  await send(h, 'brief/a', 'END')
  await h.advance(5_000)
  expect(await get(h, 'brief/a')).toMatchObject({ timers: [], context: { seen: [] } })
  expect(h.stops).toEqual([])
})

it('a step that is over its share goes on in the next batch, before timers', async () => {
  const kid = chart('kid', {
    context: { n: 0, seen: [] },
    on: { X: { actions: change(({ context }) => ({ n: context.n + 1 })) } },
  })
  const busy = host(
    'busy',
    {
      initial: 'a',
      states: { a: { entry: 'spawn', on: { GO: 'b' }, after: { 100: 'c' } }, b: {}, c: {} },
    },
    {
      actors: { kid },
      actions: {
        spawn: enqueueActions(({ enqueue }) => {
          for (let n = 0; n < 50; n++) enqueue.spawnChild('kid' as never, { id: `k${n}` } as never)
        }),
      },
    },
  )
  const limits = { stepsPerBatchMax: 3 }
  let h = open([busy], { limits, shardCount: 1 })
  await start(h, 'busy/a')
  h = restart(h, [busy], { limits })
  await h.advance(10)
  expect(
    (await h.run(h.client.list({ filter: { children: true }, limit: 100 }))).rows,
  ).toHaveLength(51)
  expect(h.stops).toEqual([])
})

describe('a failing disk', () => {
  it.each(['fenced', 'full', 'broken'] as const)(
    '%s: no acknowledgement, the shard stops, nothing is lost',
    async (kind) => {
      let h = open([counter], { shardCount: 1 })
      await start(h, 'counter/a')
      await send(h, 'counter/a', 'ADD', { by: 1 })
      h.store.failNext(kind)
      const id = `${h.clock.now()}-lost`
      expect(
        await code(
          h,
          h.client.send('counter/a', { type: 'ADD', by: 10 }, { id, timeoutMs: 1_000 }),
        ),
      ).toMatch(/unavailable|no-answer/)
      expect(h.stops).toMatchObject([{ shard: 0, kind: kind === 'fenced' ? 'lost' : 'failed' }])
      h = restart(h, [counter])
      expect((await get(h, 'counter/a')).context).toMatchObject({ n: 1 })
      await h.run(h.client.send('counter/a', { type: 'ADD', by: 10 }, { id }))
      expect((await get(h, 'counter/a')).context).toMatchObject({ n: 11 })
    },
  )

  it('a flush that fails: no reply leaves, and what was acknowledged before is there', async () => {
    let h = open([counter], { shardCount: 1 })
    await start(h, 'counter/a')
    h.store.failNextFlush()
    expect(
      await code(h, h.client.send('counter/a', { type: 'ADD', by: 10 }, { timeoutMs: 1_000 })),
    ).toMatch(/unavailable|no-answer/)
    h = restart(h, [counter])
    expect(await get(h, 'counter/a')).toMatchObject({ turn: 1, context: { n: 0 } })
  })
})

it('a timer alone rings on time; of a crowd those of ten milliseconds share a batch', async () => {
  const h = await open([alarms], { limits: { historyCountMax: 1_000 } })
  await start(h, 'alarms/a')
  const base = h.clock.now()
  for (let n = 0; n < 100; n++) {
    await send(h, 'alarms/a', 'SET', { by: 1_000 + n, text: `t${n}` })
  }
  const slots = () => h.engines.reduce((sum, engine) => sum + engine.status().slot, 0)
  const before = slots()
  await h.clock.settle(2_000)
  expect(slots() - before).toBeLessThanOrEqual(12)
  const rung = (await history(h, 'alarms/a')).filter(({ cause }) => cause === 'RING')
  const lateBy = rung.map(({ at }, n) => at - (base + 1_000 + n))
  expect(lateBy).toHaveLength(100)
  expect(lateBy[0]).toBe(0)
  expect(Math.min(...lateBy)).toBe(0)
  expect(Math.max(...lateBy)).toBeLessThan(10)
})
