/** Every limit has its typed error, and what meets it changes nothing. */
import { describe, expect, it } from 'vitest'
import { enqueueActions, raise } from 'xstate'
import { tell } from '../../src/machine/index.ts'
import type { Outcome } from '../../src/protocol/index.ts'
import {
  type Args,
  change,
  chart,
  code,
  commandId,
  counter,
  failure,
  get,
  host,
  job,
  open,
  restart,
  rows,
  send,
  start,
} from './support.ts'

const greedy = host(
  'greedy',
  {
    on: {
      TIMERS: { actions: 'timers' },
      KIDS: { actions: 'kids' },
      TASKS: { actions: 'tasks' },
      TELLS: { actions: 'tells' },
      DEEP: { actions: 'deep' },
    },
  },
  {
    actors: { kid: chart('kid', {}), work: job('work') },
    actions: {
      timers: enqueueActions(({ enqueue, event }) => {
        for (let n = 0; n < (event as Args['event']).by; n++)
          enqueue(raise({ type: 'LATER' }, { delay: 1_000, id: `t${n}` }) as never)
      }),
      kids: enqueueActions(({ enqueue, event }) => {
        for (let n = 0; n < (event as Args['event']).by; n++)
          enqueue.spawnChild('kid' as never, { id: `k${n}` } as never)
      }),
      tasks: enqueueActions(({ enqueue, event }) => {
        enqueue.spawnChild(
          'work' as never,
          { id: 'w', input: 'x'.repeat((event as Args['event']).by) } as never,
        )
      }),
      tells: tell((({ event }: Args) =>
        Array.from({ length: event.by }, () => ({
          to: 'counter/a',
          event: { type: 'NOTE', text: 'x' },
        }))) as never),
      deep: change(() => ({ deep: 1 })),
    },
  },
)

it.each([
  [
    'timers',
    { type: 'TIMERS', by: 6 },
    { timersPerActorMax: 5 },
    'limit-exceeded',
    'timersPerActorMax',
  ],
  [
    'effects of a turn',
    { type: 'TELLS', by: 6 },
    { effectsPerTurnMax: 5 },
    'limit-exceeded',
    'effectsPerTurnMax',
  ],
  [
    'children',
    { type: 'KIDS', by: 6 },
    { childrenPerActorMax: 5 },
    'limit-exceeded',
    'childrenPerActorMax',
  ],
  [
    'the input of a task',
    { type: 'TASKS', by: 2_000 },
    { payloadBytesMax: 1_000 },
    'too-large',
    'payloadBytesMax',
  ],
  [
    'a command',
    { type: 'DEEP', pad: 'x'.repeat(2_000) },
    { payloadBytesMax: 1_000 },
    'too-large',
    'payloadBytesMax',
  ],
])('%s', async (_name, event, limits, expected, limit) => {
  const h = open([greedy], { limits })
  await start(h, 'greedy/a')
  const before = [await get(h, 'greedy/a'), rows(h)]
  const error = await failure(h, h.client.send('greedy/a', event))
  expect([error.code, error.message]).toEqual([expected, expect.stringContaining(limit)])
  await h.advance(0)
  expect([await get(h, 'greedy/a'), rows(h)]).toEqual(before)
  if ('by' in event && event.type !== 'TASKS') {
    await h.run(h.client.send('greedy/a', { ...event, by: 5 }))
  }
})

it('the bytes of an actor', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const before = [await get(h, 'counter/a'), rows(h)]
  const error = await failure(h, h.client.send('counter/a', { type: 'BIG', by: 800_000 }))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'actorBytesMax' } })
  expect([await get(h, 'counter/a'), rows(h)]).toEqual(before)
  expect(await send(h, 'counter/a', 'BIG', { by: 500_000 })).toMatchObject({ handled: true })
})

it('an id, an address and the depth of children', async () => {
  const h = open([counter])
  expect(
    await code(
      h,
      Promise.resolve().then(() => h.client.start(`counter/${'x'.repeat(257)}`)),
    ),
  ).toBe('invalid-address')
  const spawner: ReturnType<typeof chart> = chart(
    's',
    { invoke: { src: 'self', id: 's' } },
    { actors: {} },
  )
  ;(spawner.implementations.actors as Record<string, unknown>)['self'] = spawner
  const deep = host('deep', { invoke: { src: 'self', id: 's' } }, { actors: { self: spawner } })
  const d = open([deep])
  await start(d, 'deep/x')
  await d.advance(10)
  expect(d.stops).toEqual([])
  const all = await d.run(d.client.list({ filter: { children: true } }))
  expect(all.rows.length).toBeLessThanOrEqual(d.limits.childDepthMax + 1)
})

describe('the mailbox', () => {
  const outcomes = (h: ReturnType<typeof open>, count: number, bytes: number) => {
    const found: Outcome[] = []
    for (let n = 0; n < count; n++) {
      h.engines[0]!.submit(
        { op: 'send', event: { type: 'ADD', by: 1 }, address: 'counter/a', id: commandId(h) },
        bytes,
        (outcome) => void found.push(outcome),
      )
    }
    return found
  }

  it('is bounded by count', async () => {
    const h = open([counter], { shardCount: 1, limits: { mailboxCountMax: 20, batchCountMax: 10 } })
    await start(h, 'counter/a')
    const found = outcomes(h, 30, 10)
    expect(found).toHaveLength(10)
    expect(found[0]).toMatchObject({ error: { code: 'busy', retry: true, address: 'counter/a' } })
    await h.advance(10)
    expect(found).toHaveLength(30)
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 20 })
  })

  it('is bounded by bytes, but takes one of any size', async () => {
    const h = open([counter], { shardCount: 1, limits: { mailboxBytesMax: 1_000 } })
    await start(h, 'counter/a')
    const found = outcomes(h, 3, 900)
    expect(found).toMatchObject([{ error: { code: 'busy' } }, { error: { code: 'busy' } }])
    await h.advance(10)
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 1 })
    outcomes(h, 1, 5_000)
    await h.advance(10)
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 2 })
  })

  it('the client tries again until it is taken', async () => {
    const h = open([counter], { shardCount: 1, limits: { mailboxCountMax: 10, batchCountMax: 5 } })
    await start(h, 'counter/a')
    await h.run(
      Promise.all(
        Array.from({ length: 100 }, () => h.client.send('counter/a', { type: 'ADD', by: 1 })),
      ),
    )
    expect((await get(h, 'counter/a')).context).toMatchObject({ n: 100 })
  })
})

it('with almost no memory everything works all the same', async () => {
  const limits = { residentBytesMax: 1 }
  let h = open([counter], { limits })
  const addresses = Array.from({ length: 40 }, (_, n) => `counter/${n}`)
  await h.run(Promise.all(addresses.map((address) => h.client.start(address))))
  for (let round = 0; round < 5; round++) {
    await h.run(
      Promise.all(
        addresses.flatMap((address) =>
          [1, 2].map((by) => h.client.send(address, { type: 'ADD', by })),
        ),
      ),
    )
    if (round === 2) h = restart(h, [counter], { limits })
  }
  for (const address of addresses)
    expect(await get(h, address)).toMatchObject({ turn: 11, context: { n: 15 } })
  const shards = await h.run(h.client.shards())
  expect(shards.reduce((sum, { residentCount }) => sum + residentCount, 0)).toBeLessThan(10)
  await h.run(Promise.all(addresses.map((address) => h.client.delete(address))))
  const bytes = (await h.run(h.client.shards())).map(({ residentBytes }) => residentBytes)
  expect(bytes).toEqual([0, 0, 0, 0])
})
