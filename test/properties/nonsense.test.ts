/** P8: numbers and ids from nowhere are answered, and never stop a shard. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { raise } from 'xstate'
import { TroupeError } from '../../src/protocol/index.ts'
import { type Args, counter, get, host, open, restart, send, start } from '../shard/support.ts'

const LIMITS = { requestTimeoutMs: 2_000 }

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'ok',
    (thrown: unknown) => (thrown instanceof TroupeError ? thrown.code : String(thrown)),
  )
}

it('a command id of any time is applied, or refused with its reason', async () => {
  const times = fc.oneof(
    fc.bigInt({ min: 0n, max: 10n ** 16n }),
    fc.integer({ min: -700_000, max: 70_000 }).map((ms) => BigInt(Date.UTC(2026, 0, 1) + ms)),
    fc.constantFrom(2n ** 48n - 1n, 2n ** 48n, 2n ** 53n),
  )
  const ids = fc.oneof(
    fc.tuple(times, fc.string({ maxLength: 140 })).map(([time, rest]) => `${time}-${rest}`),
    fc.string(),
  )
  const h = open([counter], { shardCount: 1, limits: LIMITS })
  await start(h, 'counter/a')
  await fc.assert(
    fc.asyncProperty(ids, async (id) => {
      const code = await h.run(codeOf(h.client.send('counter/a', { type: 'ADD', by: 0 }, { id })))
      expect(['ok', 'malformed', 'clock-skew', 'expired']).toContain(code)
      expect(h.stops).toEqual([])
    }),
    { numRuns: 300 },
  )
})

const sleeper = host(
  'sleeper',
  { on: { SET: { actions: 'set' }, RING: {} } },
  { actions: { set: raise({ type: 'RING' }, { delay: ({ event }: Args) => event.by } as never) } },
)

it('a timer of any delay can be set, frozen, thawed, and taken away', async () => {
  const delays = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(1e15, 2 ** 48, 2 ** 53, 1e300, 0.4, -5),
  )
  await fc.assert(
    fc.asyncProperty(delays, async (by) => {
      let h = open([sleeper], { shardCount: 1, limits: LIMITS })
      await start(h, 'sleeper/a')
      await send(h, 'sleeper/a', 'SET', { by })
      await h.run(h.client.pause('sleeper/a', { timers: 'freeze' }))
      h = restart(h, [sleeper])
      await h.advance(50)
      await h.run(h.client.resume('sleeper/a'))
      expect((await get(h, 'sleeper/a')).timers.length).toBeLessThanOrEqual(1)
      await h.run(h.client.delete('sleeper/a'))
      expect(h.stops).toEqual([])
      const table = (from: number) => Uint8Array.of(0, 0, from)
      expect(h.store.count(table(0x30), table(0x31))).toBe(0)
    }),
    { numRuns: 60 },
  )
})

it('a question of any numbers is answered', async () => {
  const h = open([counter], { shardCount: 1, limits: LIMITS })
  await start(h, 'counter/a')
  await h.run(h.client.pause('counter/a'))
  const numbers = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.constantFrom(2 ** 48, -1, 1e300))
  await fc.assert(
    fc.asyncProperty(numbers, numbers, async (before, limit) => {
      const codes = ['ok', 'malformed', 'invalid-query']
      const calls = [
        h.client.audit({ before, limit: 10 }),
        h.client.history('counter/a', { beforeTurn: before, limit }),
        h.client.list({ filter: { machine: 'counter', olderThanMs: before }, limit }),
        h.client.list({ filter: { machine: 'counter', where: { n: before } } }),
      ]
      for (const code of await h.run(Promise.all(calls.map(codeOf)))) expect(codes).toContain(code)
      expect(h.stops).toEqual([])
    }),
    { numRuns: 100 },
  )
})
