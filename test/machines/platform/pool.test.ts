/** The machine `pool` in an engine under a virtual clock: leases, waits, messages, a crash. */
import { beforeEach, expect, it } from 'vitest'
import { createMachine } from 'xstate'
import { pool } from '../../../machines/platform/pool.ts'
import { SETTLED_MAX } from '../../../machines/platform/serving.ts'
import { defineMachine } from '../../../src/machine/index.ts'
import type { Harness } from '../../shard/harness.ts'
import { change, get, host, open, restart, send, start } from '../../shard/support.ts'

const POOL = 'pool/p'

/** Takes down what it is told. */
const user = host(
  'user',
  {
    on: {
      GRANTED: { actions: 'note' },
      EXPIRED: { actions: 'note' },
      REFUSED: { actions: 'note' },
    },
  },
  {
    actions: {
      note: change(({ context, event }) => ({ seen: [...context.seen, JSON.stringify(event)] })),
    },
  },
)
const MACHINES = [pool, user]

/** Of a request, as version 1 kept it. */
const OLD = { units: 1, priority: 0, leaseMs: 0, waitMs: null }

let h: Harness

beforeEach(() => {
  h = open(MACHINES)
})

async function ask(type: string, fields: object): Promise<unknown> {
  return (await send(h, POOL, type, fields)).reply
}

const acquire = (holder: string, fields: object = {}) => ask('ACQUIRE', { holder, ...fields })

async function told(address: string): Promise<unknown[]> {
  await h.advance(100)
  const { seen } = (await get(h, address)).context as { seen: string[] }
  return seen.map((text) => JSON.parse(text) as unknown)
}

async function names(side: 'holders' | 'waiters'): Promise<string[]> {
  const { context } = await get(h, POOL)
  return (context as Record<typeof side, { holder: string }[]>)[side].map(({ holder }) => holder)
}

it('a lock: one holds it, the next is granted when it is released, with a higher token', async () => {
  await start(h, POOL, { slots: 1 })
  expect(await acquire('a')).toEqual({
    ...{ granted: true, ticket: 1, position: 0, token: 1 },
    names: [],
  })
  expect(await acquire('b')).toEqual({ granted: false, ticket: 2, position: 1 })
  expect(await acquire('c', { priority: 5 })).toEqual({ granted: false, ticket: 3, position: 1 })
  expect(await acquire('b')).toEqual({ granted: false, ticket: 2, position: 2 })
  expect(await ask('RELEASE', { holder: 'a', token: 1 })).toEqual({ released: true, token: 1 })
  expect(await acquire('c', { priority: 5 })).toMatchObject({ granted: true, token: 2 })
  expect((await get(h, POOL)).index).toEqual({ slots: 1, used: 1, holders: 1, waiters: 1 })
})

it('refuses clearly, and then nothing has changed', async () => {
  await start(h, POOL, { slots: 2, limits: { pc1: 1 }, waitersMax: 1 })
  await acquire('a', { units: 2 })
  await acquire('b')
  const { context } = await get(h, POOL)
  const refusals: [string, object, string][] = [
    ['RELEASE', { holder: 'b' }, 'not-holder'],
    ['RELEASE', { holder: 'a', token: 7 }, 'stale-token'],
    ['RENEW', { holder: 'x' }, 'not-holder'],
    ['CANCEL', { holder: 'a' }, 'not-waiting'],
    ['EVICT', { holder: 'x' }, 'not-holder'],
    ['ACQUIRE', { holder: 'a' }, 'mismatch'],
    ['ACQUIRE', { holder: 'x', units: 3 }, 'too-large'],
    ['ACQUIRE', { holder: 'x', units: 2, stage: 'pc1' }, 'too-large'],
    ['ACQUIRE', { holder: 'b', anyOf: [['pc1']] }, 'mismatch'],
    ['ACQUIRE', { holder: 'x', choice: 'pc1' }, 'unknown-choice'],
    ['ACQUIRE', { holder: 'x' }, 'full'],
    ['ACQUIRE', { holder: 'x', waitMs: 0 }, 'busy'],
  ]
  for (const [type, fields, refused] of refusals) {
    expect(await ask(type, fields), type).toMatchObject({ refused, message: expect.any(String) })
  }
  expect((await get(h, POOL)).context).toEqual(context)
  await expect(send(h, POOL, 'ACQUIRE', { holder: 'no machine/x y' })).rejects.toThrow()
  const names = Array.from({ length: 17 }, (_, n) => `n${n}`)
  const bad = [[], [[]], [['a b']], [['a', 'a']], [names.slice(0, 9)], names.map((name) => [name])]
  for (const anyOf of bad) {
    await expect(send(h, POOL, 'ACQUIRE', { holder: 'x', anyOf })).rejects.toThrow()
  }
  const both = { holder: 'x', stage: 'pc1', anyOf: [['pc1']] }
  await expect(send(h, POOL, 'ACQUIRE', both)).rejects.toThrow('only one of anyOf, stage')
  const many = Object.fromEntries(names.map((name) => [name, names.map((one) => [one])]))
  const wide = [[`${'x'.repeat(60)}`]]
  for (const choices of [
    { a: [] },
    { 'a b': [['x']] },
    { ...many, long: new Array(500).fill(wide) },
  ])
    await expect(send(h, POOL, 'RESIZE', { choices })).rejects.toThrow()
  for (const [type, fields] of Object.entries({
    LEASE_OVER: { token: 1 },
    GAP_OVER: { name: 'a' },
  }))
    await expect(send(h, POOL, type, fields)).rejects.toThrow()
})

it('all names of an option or none; the holder is told which, and its own word for it', async () => {
  await start(h, POOL, { slots: 9, limits: { pc2: 2, c0: 1, c1: 1, gpu: 1 } })
  await start(h, 'user/u')
  const anyOf = [
    ['pc2', 'c0', 'gpu'],
    ['pc2', 'c1'],
  ]
  expect(await acquire('a', { anyOf })).toMatchObject({ names: ['pc2', 'c0', 'gpu'] })
  expect(await acquire('b', { anyOf })).toMatchObject({ names: ['pc2', 'c1'] })
  await acquire('user/u', { anyOf, ref: 'first' })
  await acquire('user/u', { anyOf, ref: 'second' })
  await acquire('user/u', { anyOf: [['gpu']], ref: 'other' })
  await ask('RELEASE', { holder: 'b' })
  await ask('EVICT', { holder: 'user/u' })
  expect(await told('user/u')).toMatchObject([
    { type: 'REFUSED', code: 'mismatch', ref: 'other' },
    { type: 'GRANTED', names: ['pc2', 'c1'], ref: 'second' },
    { type: 'EXPIRED', reason: 'evicted', ref: 'second' },
  ])
  expect(await acquire('c', { stage: 'gpu' })).toMatchObject({ granted: false })
})

it('a gap lies between two grants of a name, over a crash; one that is taken away is over', async () => {
  await start(h, POOL, { slots: 9, gaps: { pc1: 60_000 } })
  for (const holder of ['a', 'b', 'c', 'd']) await acquire(holder, { stage: 'pc1' })
  await h.advance(50_000)
  expect(await names('holders')).toEqual(['a'])
  h = restart(h, MACHINES)
  await h.advance(11_000)
  expect(await names('holders')).toEqual(['a', 'b'])
  await ask('RESIZE', { gaps: { pc1: 1_000 } })
  await h.advance(50_000)
  expect(await names('holders')).toEqual(['a', 'b'])
  await h.advance(11_000)
  expect(await names('holders')).toEqual(['a', 'b', 'c', 'd'])
  for (const holder of ['e', 'f']) await acquire(holder, { stage: 'pc1' })
  expect((await get(h, POOL)).timers.map(({ id }) => id)).toEqual(['gap-pc1'])
  await ask('RESIZE', { gaps: {} })
  expect((await get(h, POOL)).timers).toEqual([])
  expect(await names('waiters')).toEqual([])
})

it('an actor is told once that it holds; asked again it is told again, with the same token', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('a')
  await acquire('user/u')
  expect(await told('user/u')).toEqual([])
  await ask('RELEASE', { holder: 'a' })
  const granted = { type: 'GRANTED', pool: POOL, ticket: 2, token: 2, names: [] }
  expect(await told('user/u')).toEqual([granted])
  await acquire('user/u')
  expect(await told('user/u')).toEqual([granted, granted])
  await acquire('user/u', { units: 9 })
  expect((await told('user/u'))[2]).toMatchObject({ type: 'REFUSED', pool: POOL, code: 'mismatch' })
})

it('an actor that gives back or withdraws is told nothing; one that is evicted is', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('user/u')
  await ask('RELEASE', { holder: 'user/u' })
  await acquire('a')
  await acquire('user/u')
  await ask('CANCEL', { holder: 'user/u' })
  expect(await told('user/u')).toMatchObject([{ type: 'GRANTED' }])
  await acquire('user/u')
  await ask('EVICT', { holder: 'user/u' })
  expect((await told('user/u'))[1]).toMatchObject({ type: 'EXPIRED', reason: 'evicted' })
  await ask('EVICT', { holder: 'a' })
  expect(await names('holders')).toEqual([])
})

it('what is too much for one turn is served in the next', async () => {
  const count = SETTLED_MAX + 1
  await start(h, POOL, { slots: count })
  await acquire('all', { units: count })
  const times = { leaseMs: 60_000, waitMs: 600_000 }
  for (let n = 0; n < count; n++) await acquire(`${n}`.padStart(250, 'x'), times)
  await ask('RELEASE', { holder: 'all' })
  h = restart(h, MACHINES)
  await h.advance(10)
  expect((await get(h, POOL)).index).toMatchObject({ holders: count, waiters: 0 })
})

it('as many actors as one turn serves are told in it', async () => {
  await start(h, POOL, { slots: SETTLED_MAX })
  await acquire('all', { units: SETTLED_MAX })
  const times = { leaseMs: 60_000, waitMs: 600_000, ref: 'r'.repeat(128) }
  for (let n = 0; n < SETTLED_MAX; n++) await acquire(`user/${`${n}`.padStart(250, 'x')}`, times)
  expect(await ask('RELEASE', { holder: 'all' })).toEqual({ released: true, token: 1 })
  const { parked, context } = await get(h, POOL)
  expect([parked, context]).toMatchObject([undefined, { lastToken: SETTLED_MAX + 1 }])
})

it('a pool of version 1 goes on: who held holds, who waited is served in turn', async () => {
  const first = defineMachine({
    machine: createMachine({
      id: 'pool',
      initial: 'open',
      context: {
        ...{ slots: 2, limits: { pc1: 1 }, waitersMax: 300, lastTicket: 3, lastToken: 1 },
        holders: [{ ...OLD, holder: 'a', stage: 'pc1', ticket: 1, token: 1 }],
        waiters: [
          { ...OLD, holder: 'b', stage: 'pc1', ticket: 2 },
          { ...OLD, holder: 'c', stage: null, units: 2, ticket: 3 },
        ],
      },
      states: { open: {} },
    }),
    events: {},
  })
  h = open([first])
  await start(h, POOL)
  h = restart(h, MACHINES)
  expect(await acquire('b', { stage: 'pc1' })).toMatchObject({ ticket: 2, position: 1 })
  expect(await acquire('c', { units: 2 })).toMatchObject({ ticket: 3, position: 2 })
  await ask('RELEASE', { holder: 'a', token: 1 })
  expect(await names('holders')).toEqual(['b'])
  await ask('RELEASE', { holder: 'b' })
  expect(await acquire('c', { units: 2 })).toMatchObject({ granted: true, token: 3 })
})

it('a pool of version 2 goes on, and can be given choices', async () => {
  const waiting = { ...OLD, demand: 1, ref: null }
  const second = defineMachine({
    machine: createMachine({
      id: 'pool',
      initial: 'open',
      context: {
        ...{ slots: 2, limits: { pc1: 1 }, gaps: {}, gapped: [], waitersMax: 300 },
        ...{ lastTicket: 2, lastToken: 1, demands: [{ id: 1, options: [['pc1']] }] },
        holders: [{ ...waiting, holder: 'a', ticket: 1, token: 1, option: 0 }],
        waiters: [{ ...waiting, holder: 'b', ticket: 2 }],
      },
      states: { open: {} },
    }),
    version: 2,
    migrations: { 1: (state) => state },
    events: {},
  })
  h = open([second])
  await start(h, POOL)
  h = restart(h, MACHINES)
  expect(await acquire('b', { stage: 'pc1' })).toMatchObject({ ticket: 2, position: 1 })
  expect(await acquire('c', { choice: 'any' })).toMatchObject({ refused: 'unknown-choice' })
  await ask('RESIZE', { choices: { any: [['pc1'], ['pc2']] } })
  expect(await acquire('c', { choice: 'any' })).toMatchObject({ granted: true, names: ['pc2'] })
})

it('an actor is told of other choices what they mean to it, over a crash', async () => {
  const limits = { c0: 1, c1: 1 }
  await start(h, POOL, { slots: 9, limits, choices: { pc1: [['c0']], pc2: [['c0']] } })
  for (const id of ['u', 'v', 'w']) await start(h, `user/${id}`)
  await acquire('user/u', { choice: 'pc1' })
  await acquire('user/v', { choice: 'pc1', ref: 'v' })
  await acquire('user/w', { choice: 'pc2' })
  h = restart(h, MACHINES)
  expect(await ask('RESIZE', { choices: { pc1: [['c1']] } })).toEqual({ slots: 9, used: 2 })
  expect(await told('user/v')).toMatchObject([{ type: 'GRANTED', names: ['c1'], ref: 'v' }])
  expect(await told('user/w')).toMatchObject([{ type: 'EXPIRED', reason: 'resized' }])
  expect(await names('holders')).toEqual(['user/u', 'user/v'])
  await acquire('user/w', { choice: 'pc2' })
  const refusal = { type: 'REFUSED', code: 'unknown-choice' }
  expect((await told('user/w')).at(-1)).toMatchObject(refusal)
})

it('what cannot be told to its holder is given to the next', async () => {
  await start(h, POOL, { slots: 1 })
  await acquire('user/gone')
  await acquire('b')
  await h.advance(5_000)
  expect(await names('holders')).toEqual(['b'])
})

it('a lease ends over a crash, unless it is renewed; the holder is told why', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('user/u', { leaseMs: 60_000 })
  await acquire('b')
  await h.advance(50_000)
  expect(await ask('RENEW', { holder: 'user/u' })).toMatchObject({ renewed: true, leaseMs: 60_000 })
  h = restart(h, MACHINES)
  await h.advance(50_000)
  expect(await names('holders')).toEqual(['user/u'])
  await h.advance(20_000)
  expect(await names('holders')).toEqual(['b'])
  const expired = { type: 'EXPIRED', pool: POOL, ticket: 1, token: 1, reason: 'lease' }
  expect((await told('user/u')).at(-1)).toEqual(expired)
})

it('a lease does not begin anew when the holder asks again, and a release ends its timer', async () => {
  await start(h, POOL, { slots: 1 })
  await acquire('a', { leaseMs: 60_000 })
  await h.advance(50_000)
  await acquire('a', { leaseMs: 60_000 })
  await h.advance(11_000)
  expect(await names('holders')).toEqual([])
  await acquire('a', { leaseMs: 60_000 })
  await ask('RELEASE', { holder: 'a' })
  expect((await get(h, POOL)).timers).toEqual([])
  await acquire('a', { leaseMs: 60_000 })
  await ask('RENEW', { holder: 'a', leaseMs: 0 })
  expect((await get(h, POOL)).timers).toEqual([])
})

it('who waits too long goes; who is granted meanwhile does not', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('a')
  await acquire('b', { waitMs: 10_000 })
  await acquire('user/u', { waitMs: 20_000 })
  await ask('RELEASE', { holder: 'a' })
  expect((await get(h, POOL)).timers.map(({ id }) => id)).toEqual(['wait-3'])
  h = restart(h, MACHINES)
  await h.advance(21_000)
  expect(await names('holders')).toEqual(['b'])
  expect(await names('waiters')).toEqual([])
  expect(await told('user/u')).toEqual([{ type: 'EXPIRED', pool: POOL, ticket: 3, reason: 'wait' }])
})

it('smaller: holders finish, and who can never be served is told; larger: who waits is served', async () => {
  await start(h, POOL, { slots: 4 })
  await start(h, 'user/u')
  await acquire('a', { units: 4 })
  await acquire('user/u', { units: 3 })
  await acquire('b', { units: 2 })
  expect(await ask('RESIZE', { slots: 2 })).toEqual({ slots: 2, used: 4 })
  expect(await told('user/u')).toMatchObject([{ type: 'EXPIRED', reason: 'resized' }])
  expect(await names('holders')).toEqual(['a'])
  await ask('RESIZE', { slots: 6 })
  expect(await names('holders')).toEqual(['a', 'b'])
})

it('what is given back with a request is so in its turn, with its lease, and also where it is refused', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('user/u', { leaseMs: 60_000 })
  await acquire('b')
  expect(await acquire('user/u', { instead: 1 })).toMatchObject({ granted: false, position: 1 })
  expect(await names('holders')).toEqual(['b'])
  expect((await get(h, POOL)).timers).toEqual([])
  await ask('RELEASE', { holder: 'b' })
  expect(await acquire('user/u', { instead: 3, choice: 'x' })).toMatchObject({
    refused: 'unknown-choice',
  })
  expect(await names('holders')).toEqual([])
  const types = (await told('user/u')).map((one) => (one as { type: string }).type)
  expect(types).toEqual(['GRANTED', 'GRANTED', 'REFUSED'])
})
