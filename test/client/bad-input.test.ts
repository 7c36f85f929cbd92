/** Whatever a program gets wrong is told to it by code, and changes nothing. */
import { beforeEach, describe, expect, test } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import type { Client } from '../../src/client/index.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { type ErrorCode, type EventObject, pack } from '../../src/protocol/index.ts'
import { Harness } from '../shard/harness.ts'

const counter = defineMachine({
  machine: setup({
    types: {
      context: {} as { n: number },
      input: {} as { from: number },
      events: {} as { type: 'ADD'; by: number } | { type: 'STOP' } | { type: 'BREAK' },
    },
  }).createMachine({
    id: 'counter',
    context: ({ input }) => ({ n: input.from }),
    initial: 'on',
    states: {
      on: {
        on: {
          ADD: { actions: assign({ n: ({ context, event }) => context.n + event.by }) },
          STOP: 'off',
          BREAK: {
            guard: () => {
              throw new Error('this guard is broken')
            },
            target: 'off',
          },
        },
      },
      off: { type: 'final' },
    },
  }),
  events: { ADD: z.object({ by: z.number() }), STOP: z.object({}), BREAK: z.object({}) },
  input: z.object({ from: z.number() }),
  context: z.object({ n: z.number() }),
})

let harness: Harness
let client: Client

beforeEach(async () => {
  harness = new Harness({ machines: [counter], limits: { payloadBytesMax: 4_096 } })
  client = harness.client
  await harness.run(client.start('counter/a', { from: 1 }))
})

type Case = [
  what: string,
  code: ErrorCode,
  says: RegExp,
  call: (client: Client, now: number) => Promise<unknown>,
]

const CASES: Case[] = [
  ['an address without an id', 'invalid-address', /no "\/"/, (c) => c.get('counter')],
  ['an empty id', 'invalid-address', /must not be empty/, (c) => c.get('counter/')],
  [
    'an id with a control character',
    'invalid-address',
    /control characters/,
    (c) => c.get('counter/a%07'),
  ],
  ['a broken percent escape', 'invalid-address', /percent sign/, (c) => c.get('counter/%zz')],
  [
    'an id of 300 bytes',
    'invalid-address',
    /idBytesMax/,
    (c) => c.get(`counter/${'x'.repeat(300)}`),
  ],
  [
    'children nine deep',
    'invalid-address',
    /childDepthMax/,
    (c) => c.get(`counter/a${'/b'.repeat(9)}`),
  ],
  [
    'a machine that begins with a digit',
    'invalid-address',
    /named by a letter/,
    (c) => c.get('1/a'),
  ],
  [
    'a machine that nobody registered',
    'unknown-machine',
    /there are: counter/,
    (c) => c.start('clock/a'),
  ],
  ['an actor that nobody started', 'unknown-actor', /start it first/, (c) => c.get('counter/b')],
  [
    'an event for such an actor',
    'unknown-actor',
    /start it first/,
    (c) => c.send('counter/b', { type: 'STOP' }),
  ],
  ['starting what lives', 'already-exists', /already/, (c) => c.start('counter/a', { from: 2 })],
  ['starting a child', 'invalid-address', /names a child/, (c) => c.start('counter/z/child')],
  [
    'an input of another type',
    'invalid-input',
    /from: /,
    (c) => c.start('counter/b', { from: 'one' }),
  ],
  ['no input where one is wanted', 'invalid-input', /the input of/, (c) => c.start('counter/b')],
  [
    'an unknown event',
    'invalid-event',
    /it takes: ADD, STOP/,
    (c) => c.send('counter/a', { type: 'SUB' }),
  ],
  [
    'an event of XState itself',
    'invalid-event',
    /takes no event/,
    (c) => c.send('counter/a', { type: 'xstate.init' }),
  ],
  [
    'an event of Troupe itself',
    'invalid-event',
    /takes no event/,
    (c) => c.send('counter/a', { type: 'troupe.goto' }),
  ],
  [
    'an event named like a method',
    'invalid-event',
    /takes no event/,
    (c) => c.send('counter/a', { type: 'constructor' }),
  ],
  [
    'a payload of another type',
    'invalid-event',
    /by: /,
    (c) => c.send('counter/a', { type: 'ADD', by: '1' }),
  ],
  ['an event without a type', 'malformed', /"type"/, (c) => c.send('counter/a', {} as EventObject)],
  [
    'an event with a function',
    'malformed',
    /function/,
    (c) => c.send('counter/a', { type: 'ADD', by: () => 1 }),
  ],
  [
    'a payload that is too large',
    'too-large',
    /payloadBytesMax/,
    (c) => c.send('counter/a', { type: 'ADD', by: 1, x: 'x'.repeat(5_000) }),
  ],
  [
    'an event that makes a guard throw',
    'parked',
    /this guard is broken/,
    (c) => c.send('counter/a', { type: 'BREAK' }, { timeoutMs: 1_000 }),
  ],
  [
    'a command id without a time',
    'malformed',
    /command id/,
    (c) => c.send('counter/a', { type: 'STOP' }, { id: 'order-17' }),
  ],
  [
    'a command id of last week',
    'expired',
    /dedupeWindowMs/,
    (c, now) => c.send('counter/a', { type: 'STOP' }, { id: `${now - 7 * 86_400_000}-x` }),
  ],
  [
    'a command id of tomorrow',
    'clock-skew',
    /clockSkewMaxMs/,
    (c, now) => c.send('counter/a', { type: 'STOP' }, { id: `${now + 86_400_000}-x` }),
  ],
  [
    'a durability that needs a journal',
    'malformed',
    /needs a journal/,
    (c) => c.send('counter/a', { type: 'STOP' }, { durability: 'journaled' }),
  ],
  [
    'a durability that does not exist',
    'malformed',
    /there are: flushed/,
    (c) => c.send('counter/a', { type: 'STOP' }, { durability: 'forever' as 'flushed' }),
  ],
  ['resuming what runs', 'conflict', /neither paused nor parked/, (c) => c.resume('counter/a')],
  [
    'resuming at a state that does not exist',
    'unknown-state',
    /it has: on, off/,
    (c) => c.resume('counter/a', { state: 'of' }),
  ],
  [
    'a patch that breaks the schema',
    'invalid-context',
    /n: /,
    (c) => c.patch('counter/a', { n: 'many' }),
  ],
  ['a patch that is no object', 'invalid-context', /context/, (c) => c.patch('counter/a', 7)],
  ['a page of none', 'invalid-query', /from 1 to/, (c) => c.list({ filter: {}, limit: 0 })],
  [
    'a page of too many',
    'invalid-query',
    /pageCountMax/,
    (c) => c.list({ filter: {}, limit: 1_001 }),
  ],
  [
    'a cursor of somebody else',
    'invalid-query',
    /cursor/,
    (c) => c.list({ filter: {}, cursor: 'abc' }),
  ],
  [
    'a cursor without a filter',
    'invalid-query',
    /cursor/,
    (c) => {
      const cursor = pack({ filter: null, sort: { by: 'id' }, after: [] })
      return c.list({ filter: {}, cursor: Buffer.from(cursor).toString('base64url') })
    },
  ],
  ['a trail of none', 'invalid-query', /from 1 to/, (c) => c.audit({ limit: -1 })],
  ['a trail of too many', 'invalid-query', /pageCountMax/, (c) => c.audit({ limit: 1_001 })],
  ['a part of a dead letter', 'invalid-query', /from 1 to/, (c) => c.deadLetters(0.5)],
  [
    'a sort by a field of no machine',
    'invalid-query',
    /needs a machine/,
    (c) => c.list({ filter: {}, sort: { by: 'size' } }),
  ],
]

describe('bad input is refused and changes nothing', () => {
  test.each(CASES)('%s', async (_what, code, says, call) => {
    const before = await harness.run(client.get('counter/a'))
    const attempt = (async () => call(client, harness.clock.now()))()
    await expect(harness.run(attempt)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says),
    })
    const { parked, turn, updatedAt, ...after } = await harness.run(client.get('counter/a'))
    const { turn: turnBefore, updatedAt: _at, ...expected } = before
    expect(after).toEqual(expected)
    // An event that fails is the one case that leaves a trace: the actor is parked where it was.
    expect(turn).toBe(code === 'parked' ? turnBefore + 1 : turnBefore)
    expect(parked === undefined).toBe(code !== 'parked')
    expect(updatedAt).toBeGreaterThan(0)
  })
})

test('a finished actor takes no events and cannot be paused', async () => {
  await harness.run(client.send('counter/a', { type: 'STOP' }))
  await expect(harness.run(client.send('counter/a', { type: 'STOP' }))).rejects.toMatchObject({
    code: 'finished',
  })
  await expect(harness.run(client.pause('counter/a'))).rejects.toMatchObject({ code: 'conflict' })
})

test('lists work where a page must be smaller than the usual one', async () => {
  const small = new Harness({ machines: [counter], limits: { pageCountMax: 2 } })
  for (const id of ['a', 'b', 'c'])
    await small.run(small.client.start(`counter/${id}`, { from: 1 }))
  expect((await small.run(small.client.list({ filter: {} }))).rows).toHaveLength(2)
  expect(await small.run(small.client.audit())).toEqual([])
})
