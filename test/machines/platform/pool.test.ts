/** The machine `pool` in an engine under a virtual clock: leases, waits, messages, a crash. */
import { beforeEach, expect, it } from 'vitest'
import { pool } from '../../../machines/platform/pool.ts'
import { HOLDERS_MAX, WAITERS_MAX } from '../../../machines/platform/semaphore.ts'
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
  expect(await acquire('a')).toEqual({ granted: true, ticket: 1, position: 0, token: 1 })
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
    ['ACQUIRE', { holder: 'x' }, 'full'],
    ['ACQUIRE', { holder: 'x', waitMs: 0 }, 'busy'],
  ]
  for (const [type, fields, refused] of refusals) {
    expect(await ask(type, fields), type).toMatchObject({ refused, message: expect.any(String) })
  }
  expect((await get(h, POOL)).context).toEqual(context)
  await expect(send(h, POOL, 'ACQUIRE', { holder: 'no machine/x y' })).rejects.toThrow()
  await expect(send(h, POOL, 'LEASE_OVER', { token: 1 })).rejects.toThrow()
})

it('an actor is told once that it holds; asked again it is told again, with the same token', async () => {
  await start(h, POOL, { slots: 1 })
  await start(h, 'user/u')
  await acquire('a')
  await acquire('user/u')
  expect(await told('user/u')).toEqual([])
  await ask('RELEASE', { holder: 'a' })
  const granted = { type: 'GRANTED', pool: POOL, ticket: 2, token: 2 }
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

it('as many as a pool can have are served in one turn', async () => {
  await start(h, POOL, { slots: HOLDERS_MAX })
  await acquire('all', { units: HOLDERS_MAX, leaseMs: 60_000 })
  for (let n = 0; n < WAITERS_MAX; n++) {
    const holder = `user/${`${n}`.padStart(250, 'x')}`
    await acquire(holder, { leaseMs: 60_000, waitMs: 600_000 })
  }
  expect(await ask('RELEASE', { holder: 'all' })).toEqual({ released: true, token: 1 })
  const { parked, context } = await get(h, POOL)
  expect([parked, context]).toMatchObject([undefined, { lastToken: HOLDERS_MAX + 1 }])
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
