/** Starting, sending, reading; what is refused, and that a refusal changes nothing. */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { reply } from '../../src/machine/index.ts'
import { type Outcome, shardOf } from '../../src/protocol/index.ts'
import {
  change,
  code,
  counter,
  failure,
  get,
  history,
  host,
  open,
  restart,
  rows,
  send,
  start,
} from './support.ts'

it('starts an actor, sends to it and reads it, over a restart', async () => {
  let h = open([counter])
  expect(await start(h, 'counter/a')).toMatchObject({
    turn: 1,
    status: 'active',
    value: 'on',
    handled: true,
  })
  expect(await send(h, 'counter/a', 'ADD', { by: 2 })).toMatchObject({ turn: 2, handled: true })
  h = restart(h, [counter])
  await send(h, 'counter/a', 'ADD', { by: 3 })
  expect(await get(h, 'counter/a')).toMatchObject({
    address: 'counter/a',
    machine: 'counter',
    version: 1,
    turn: 3,
    context: { n: 5 },
    index: { n: 5 },
  })
})

it('refuses a second start, whatever the first has become', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  expect(await code(h, h.client.start('counter/a'))).toBe('already-exists')
  await send(h, 'counter/a', 'FINISH')
  const late = await failure(h, h.client.start('counter/a'))
  expect(late).toMatchObject({ code: 'already-exists', address: 'counter/a' })
  expect(late.message).toContain('done, in end')
})

it('two starts in one batch: one of them wins', async () => {
  const h = open([counter])
  const both = await h.run(
    Promise.allSettled([h.client.start('counter/a'), h.client.start('counter/a')]),
  )
  expect(both.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected'])
})

it('an event that the state does not know is told so, and changes nothing', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const before = await get(h, 'counter/a')
  expect(await send(h, 'counter/a', 'ON')).toMatchObject({ handled: false, turn: 1 })
  expect(await get(h, 'counter/a')).toEqual(before)
})

it('what is refused changes nothing and says why', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const before = [await get(h, 'counter/a'), await history(h, 'counter/a'), rows(h)]
  const { client } = h
  const cases: [string, () => Promise<unknown>, string][] = [
    ['invalid-event', () => client.send('counter/a', { type: 'ADD', by: 'x' }), 'by'],
    ['invalid-event', () => client.send('counter/a', { type: 'ADD' }), 'by'],
    ['invalid-event', () => client.send('counter/a', { type: 'NOPE' }), 'it takes: ADD'],
    ['invalid-event', () => client.send('counter/a', { type: 'xstate.init' }), 'takes no event'],
    ['invalid-event', () => client.send('counter/a', { type: 'troupe.goto' }), 'takes no event'],
    ['invalid-event', () => client.send('counter/a', { type: 'constructor' }), 'takes no event'],
    ['unknown-actor', () => client.send('counter/b', { type: 'ADD', by: 1 }), 'counter/b'],
    ['unknown-machine', () => client.start('nothing/b'), 'counter'],
    ['unknown-machine', () => client.get('nothing/b'), 'counter'],
    ['malformed', () => client.execute('counter/a', { op: 'fly' } as never), 'fly'],
    ['malformed', () => client.execute('counter/a', { op: 'send', event: {} } as never), 'type'],
    [
      'malformed',
      () => client.execute('counter/a', { op: 'pause', timers: 'melt' } as never),
      'freeze',
    ],
    [
      'malformed',
      () => client.send('counter/a', { type: 'ADD', by: 1 }, { id: 'x' }),
      'command id',
    ],
    ['malformed', () => client.start('counter/c', {}, { durability: 'journaled' }), 'flushed'],
    ['conflict', () => client.resume('counter/a'), 'neither paused nor parked'],
    ['unknown-state', () => client.resume('counter/a', { state: 'up' }), 'on, off, end'],
  ]
  for (const [expected, work, words] of cases) {
    const error = await failure(h, work())
    expect([error.code, error.message]).toEqual([expected, expect.stringContaining(words)])
  }
  expect([await get(h, 'counter/a'), await history(h, 'counter/a'), rows(h)]).toEqual(before)
})

it('lists the issues of a schema', async () => {
  const strict = host('strict', {}, {}, { input: z.object({ a: z.int(), b: z.string() }) })
  const h = open([strict])
  const error = await failure(h, h.client.start('strict/x', { a: 1.5 }))
  expect(error.code).toBe('invalid-input')
  expect((error.detail as { path: string[] }[]).map((issue) => issue.path)).toEqual([['a'], ['b']])
  expect(await code(h, h.client.get('strict/x'))).toBe('unknown-actor')
})

it('a finished actor takes no events and keeps its output', async () => {
  let h = open([counter])
  await start(h, 'counter/a')
  await send(h, 'counter/a', 'ADD', { by: 4 })
  expect(await send(h, 'counter/a', 'FINISH')).toMatchObject({ status: 'done', output: 4 })
  h = restart(h, [counter])
  expect(await get(h, 'counter/a')).toMatchObject({ status: 'done', output: 4, value: 'end' })
  expect(await code(h, h.client.send('counter/a', { type: 'ADD', by: 1 }))).toBe('finished')
})

it('an output of null stays one', async () => {
  const nil = host('nil', {
    initial: 'end',
    states: { end: { type: 'final' } },
    output: () => null,
  })
  let h = open([nil])
  await start(h, 'nil/a')
  h = restart(h, [nil])
  expect(await get(h, 'nil/a')).toHaveProperty('output', null)
})

it('a machine that fails at its start is not there', async () => {
  const bad = host('bad', {
    context: () => {
      throw new Error('no luck')
    },
  })
  const h = open([bad])
  const error = await failure(h, h.client.start('bad/a'))
  expect([error.code, error.message]).toEqual(['invalid-input', expect.stringContaining('no luck')])
  expect(await code(h, h.client.get('bad/a'))).toBe('unknown-actor')
  expect(h.stops).toEqual([])
})

it('answers with reply(), also from the remembered reply', async () => {
  const asked = host(
    'asked',
    { on: { ASK: { actions: ['count', 'answer'] } } },
    {
      actions: {
        count: change(({ context }) => ({ n: context.n + 1 })),
        answer: reply(({ context }) => ({ n: (context as { n: number }).n })),
      },
    },
  )
  let h = open([asked])
  await start(h, 'asked/a')
  const id = `${h.clock.now()}-once`
  expect(await h.run(h.client.ask('asked/a', { type: 'ASK' }, { id }))).toEqual({ n: 1 })
  h = restart(h, [asked])
  expect(await h.run(h.client.ask('asked/a', { type: 'ASK' }, { id }))).toEqual({ n: 1 })
  expect(await h.run(h.client.ask('asked/a', { type: 'ASK' }))).toEqual({ n: 2 })
})

it.each([
  ['a function', () => () => 0, 'conflict'],
  ['too much', () => 'x'.repeat(600_000), 'too-large'],
])('a reply that cannot be given (%s) refuses the whole turn', async (_name, value, expected) => {
  const asked = host(
    'asked',
    { on: { ASK: { actions: ['count', 'answer'] } } },
    {
      actions: {
        count: change(({ context }) => ({ n: context.n + 1 })),
        answer: reply(value as never),
      },
    },
  )
  const h = open([asked])
  await start(h, 'asked/a')
  const before = await get(h, 'asked/a')
  expect([expected, 'malformed']).toContain(
    await code(h, h.client.send('asked/a', { type: 'ASK' })),
  )
  expect(await get(h, 'asked/a')).toEqual(before)
  expect(h.stops).toEqual([])
})

it('what has waited longer than its sender waits is not applied, unless an earlier copy was', async () => {
  const h = open([counter], { flushDelayMs: 50 })
  await start(h, 'counter/a')
  const told: Outcome[] = []
  const submit = (id: string, timeoutMs?: number) => {
    const event = { type: 'ADD', by: 1 }
    const command = {
      op: 'send' as const,
      address: 'counter/a',
      event,
      id: `${h.clock.now()}-${id}`,
    }
    const given = timeoutMs === undefined ? command : { ...command, timeoutMs }
    const engine = h.engines[shardOf('counter/a', h.shardCount)]!
    engine.submit(given, 0, (outcome) => void told.push(outcome))
  }
  submit('first', 40)
  await h.advance(0)
  submit('behind', 40)
  submit('first', 40)
  submit('patient', 60)
  submit('always')
  await h.advance(200)
  expect(told.map((outcome) => ('ok' in outcome ? 'ok' : outcome.error.code))).toEqual([
    'ok',
    'deadline',
    'ok',
    'ok',
    'ok',
  ])
  expect((await get(h, 'counter/a')).turn).toBe(4)
})

it('a wall clock that goes back does not take the shard back', async () => {
  const h = open([counter])
  await start(h, 'counter/a')
  const { updatedAt } = await get(h, 'counter/a')
  h.clock.jumpWall(-50_000)
  await send(h, 'counter/a', 'ADD', { by: 1 })
  expect((await get(h, 'counter/a')).updatedAt).toBeGreaterThanOrEqual(updatedAt)
})

it('index values that cannot be ordered, and an index that throws, refuse the turn', async () => {
  const odd = host(
    'odd',
    { on: { SET: { actions: 'set' } } },
    { actions: { set: change(({ event }) => ({ field: event['value'] })) } },
    {
      index: (context: unknown) => {
        const { field } = context as { field?: unknown }
        if (field === 'throw') throw new Error('index broke')
        return { field: field as string }
      },
    } as never,
  )
  const h = open([odd])
  await start(h, 'odd/a')
  for (const value of ['throw', { a: 1 }, [1]]) {
    expect(await code(h, h.client.send('odd/a', { type: 'SET', value }))).toBe('conflict')
  }
  await send(h, 'odd/a', 'SET', { value: 'fine' })
  expect((await get(h, 'odd/a')).index).toEqual({ field: 'fine' })
  expect(h.stops).toEqual([])
})
