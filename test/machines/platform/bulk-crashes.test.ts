/** A bulk over crashes, shifting filters and lost time: each actor is asked once, by the clock of a simulation. */
import fc from 'fast-check'
import { beforeEach, expect, it } from 'vitest'
import { shardOf } from '../../../src/protocol/index.ts'
import { BulkRig } from './bulk-rig.ts'

let rig: BulkRig

beforeEach(() => {
  rig = new BulkRig()
})

async function orders(count: number, input: object = {}, from = 0): Promise<string[]> {
  const addresses = Array.from({ length: count }, (_, n) => `order/o${from + n}`)
  const { h } = rig
  await h.run(Promise.all(addresses.map((address) => h.client.start(address, input))))
  return addresses
}

/** How often each was asked, without those that were asked as often. */
async function turnsOf(addresses: readonly string[]): Promise<number[]> {
  const { h } = rig
  const views = await h.run(Promise.all(addresses.map((address) => h.client.get(address))))
  return [...new Set(views.map(({ context }) => (context as { turns: number }).turns))].sort()
}

const COUNT = { op: 'send', event: { type: 'COUNT' } }
const filter = { machine: 'order', state: 'open' }

it('is done once with each, whenever the node is killed', async () => {
  const kills = fc.array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(kills, async (times) => {
      rig = new BulkRig()
      const all = await orders(120)
      await rig.begin({ operation: COUNT, filter, perSecond: 40 })
      for (const ms of times) {
        await rig.h.advance(ms)
        rig.crash()
      }
      const { status, done, skipped, failed } = await rig.settled('b', 500)
      const counts = { done: 120, skipped: 0, failed: 0 }
      expect({ status, done, skipped, failed }).toEqual({ status: 'completed', ...counts })
      expect(await turnsOf(all)).toEqual([1])
    }),
    { numRuns: 12 },
  )
})

it('pauses each once over a crash, although whoever is paused fits the filter no more', async () => {
  const all = await orders(120)
  const paused = { machine: 'order', condition: 'active' }
  await rig.begin({ operation: { op: 'pause', reason: 'x' }, filter: paused, perSecond: 20 })
  await rig.h.advance(3_000)
  rig.crash()
  expect(await rig.settled()).toMatchObject({ status: 'completed', done: 120, skipped: 0 })
  for (const address of all) {
    const turns = await rig.h.run(rig.h.client.history(address))
    expect(turns.map(({ cause, by }) => `${cause} ${by}`)).toEqual(['pause ann', 'start client'])
  }
})

it('of those that came while it was cut off longer than ids are known, none is asked twice', async () => {
  const all = await orders(100)
  await rig.begin({ operation: COUNT, filter, perSecond: 20 })
  await rig.h.advance(2_000)
  rig.crash(false)
  const asked = await turnsOf(all)
  expect(asked).toEqual([0, 1])
  await rig.h.advance(rig.h.limits.dedupeWindowMs + 120_000)
  // Every shard has to notice.
  await orders(20, {}, 100)
  rig.serve()
  const { done, failed } = await rig.settled()
  expect(failed).toBe(0)
  expect(done).toBeGreaterThanOrEqual(100)
  expect(await turnsOf(all)).toEqual([1])
})

it('says so where it cannot be known whether an actor was asked', async () => {
  const [address = ''] = await orders(1)
  await rig.h.run(rig.h.client.pause(address))
  await rig.begin({ operation: COUNT, filter, perSecond: 1 })
  await rig.h.advance(100)
  // Asked, and not answered for.
  rig.crash(false)
  await rig.h.advance(rig.h.limits.dedupeWindowMs + 120_000)
  await orders(20, {}, 1)
  rig.serve()
  const { troubles } = await rig.settled()
  expect(troubles).toMatchObject([{ address, code: 'expired' }])
})

it('a shard that does not answer parks it in the end; resumed, it asks whom it has not asked', async () => {
  const all = await orders(40)
  const { shardCount } = rig.h
  const silent = shardOf('order/o0', shardCount)
  const id = 'abcdefgh'.split('').find((name) => shardOf(`bulk/${name}`, shardCount) !== silent)
  await rig.begin({ operation: COUNT, filter, perSecond: 20 }, id)
  await rig.h.advance(100)
  rig.h.engines[silent]?.stop()
  const stuck = await rig.settled(id, 1_000)
  expect(stuck).toMatchObject({ status: 'parked', problem: expect.stringContaining('order/o') })
  rig.crash()
  await rig.h.run(rig.h.client.resume(`bulk/${id}`))
  expect(await rig.settled(id)).toMatchObject({ status: 'completed', done: 40, failed: 0 })
  expect(await turnsOf(all)).toEqual([1])
})
