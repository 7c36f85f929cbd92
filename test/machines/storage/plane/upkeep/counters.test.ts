/** Counters of upkeep: each try counted once, what was held let go a few at a time, what failed replayed. */
import { expect, it } from 'vitest'
import { countersView } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { code } from '../../../../shard/support.ts'
import { BID, Twins } from './twins.ts'
import { REPAIR, UpkeepRig } from './upkeep-rig.ts'

const MINUTE_MS = 60_000
const COUNTERS = 'upkeep-counters/shard_repair'
const bidsOf = (count: number) => Array.from({ length: count }, (_, n) => BigInt(n + 1))
const addressOf = (bid: bigint) => `shard-repair/7-${bid}`

async function countOf(rig: UpkeepRig, ...states: string[]): Promise<number> {
  const rows = await rig.h.run(rig.h.client.count({ machine: 'shard-repair' }))
  const wanted = rows.filter(({ state }) => states.length === 0 || states.includes(state))
  return wanted.reduce((sum, { count }) => sum + count, 0)
}

async function waitsUntil(rig: UpkeepRig, is: () => Promise<boolean>, stepMs = 100) {
  for (let steps = 0; !(await is()); steps += 1) {
    if (steps === 5_000) throw new Error('it does not get there')
    await rig.h.advance(stepMs)
  }
}

it('counts tries as they end, by the minute, and the errors by what they say', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.away.add(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters()
  await rig.repair([2])
  await rig.until(REPAIR, 'punished')
  twins.away.clear()
  await rig.until(REPAIR, 'done')
  await rig.h.advance(1_000)
  const counters = await rig.counters('shard_repair')
  const view = countersView(counters, rig.h.clock.now())
  expect(view).toMatchObject({ successCount: 1, errorCount: 3 })
  expect(view.errStats).toEqual(['nobody listens: 100.00%[3]'])
  const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0)
  expect([sum(view.successPerMin), sum(view.failedPerMin)]).toEqual([1, 3])
  expect(view.successPerMin).toHaveLength(20)
  // Four minutes of punishment lie between.
  expect(view.failedPerMin.findIndex((n) => n > 0)).toBeLessThan(16)
  const later = countersView(counters, rig.h.clock.now() + 30 * MINUTE_MS)
  expect(sum(later.successPerMin)).toBe(0)
  expect((await rig.counters('blob_delete')).successCount).toBe(0)
})

it('keeps what it counted over a kill, and counts a try that was killed once', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters()
  await rig.repair([2])
  rig.crash()
  await rig.until(REPAIR, 'done')
  await rig.h.advance(1_000)
  rig.crash()
  await rig.h.advance(60_000)
  expect(await rig.counters('shard_repair')).toMatchObject({ successCount: 1, errorCount: 0 })
})

it('counts an orphan as failed', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(0, 1, 2, 3)
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters()
  await rig.repair([0])
  await rig.until(REPAIR, 'orphan')
  await rig.h.advance(1_000)
  expect(await rig.counters('shard_repair')).toMatchObject({ successCount: 0, errorCount: 1 })
})

it('is told of its switch also where the switches come later', async () => {
  const rig = new UpkeepRig(new Twins('EC6P3').ports())
  const { client } = rig.h
  await rig.h.run(client.ensure(COUNTERS, { kind: 'shard_repair' }))
  await rig.h.advance(3_500)
  expect((await rig.view(COUNTERS)).value).toMatch(/subscribing|unheard/)
  await rig.openCounters(['shard_repair'])
  await rig.h.advance(5_000)
  expect(await rig.view(COUNTERS)).toMatchObject({ value: { open: 'idle' } })
  expect(await rig.view('upkeep-counters/blob_delete')).toMatchObject({ value: 'closed' })
})

it('lets go of what was held some at a time, the worst first', async () => {
  const twins = new Twins('EC6P3')
  twins.off.add('shard_repair')
  const ports = twins.ports()
  const order: number[] = []
  const rig = new UpkeepRig({
    ...ports,
    volumes: {
      ...ports.volumes,
      view: async (...asked) => {
        order.push(asked[0])
        return ports.volumes.view(...asked)
      },
    },
  })
  await rig.openCounters([])
  const bids = bidsOf(150)
  await Promise.all(bids.map((bid) => rig.repair(bid > 140n ? [1, 2] : [1], 'a test', bid)))
  await waitsUntil(rig, async () => (await countOf(rig, 'held')) === 150)
  expect(order).toEqual([])
  twins.off.clear()
  await rig.switch('shard_repair', true)
  let most = 0
  const seen: number[] = []
  await waitsUntil(
    rig,
    async () => {
      most = Math.max(most, await countOf(rig, 'repairing', 'retrying'))
      const worst = await Promise.all(
        bids.slice(140).map(async (bid) => (await rig.view(addressOf(bid))).value === 'held'),
      )
      const done = await countOf(rig, 'done')
      if (done > 0 && worst.some(Boolean)) seen.push(done)
      return done === 150
    },
    20,
  )
  // None of those that lack one shard went before those that lack two.
  expect(seen).toEqual([])
  expect(most).toBeLessThanOrEqual(64)
  await waitsUntil(rig, async () => (await rig.counters('shard_repair')).looks.length === 0)
  expect((await rig.counters('shard_repair')).wokenCount).toBe(150)
})

it('lets go of none any more when it is switched off again, and goes on later', async () => {
  const twins = new Twins('EC6P3')
  twins.off.add('shard_repair')
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters([])
  await Promise.all(bidsOf(150).map((bid) => rig.repair([1], 'a test', bid)))
  await waitsUntil(rig, async () => (await countOf(rig, 'held')) === 150)
  // The nodes still find it switched off: what is let go is held again, and looked for again.
  await rig.switch('shard_repair', true)
  await rig.h.advance(1_000)
  expect(await countOf(rig, 'held', 'repairing')).toBe(150)
  await rig.switch('shard_repair', false)
  await rig.h.advance(2_000)
  const { wokenCount } = await rig.counters('shard_repair')
  await rig.h.advance(MINUTE_MS)
  expect((await rig.counters('shard_repair')).wokenCount).toBe(wokenCount)
  twins.off.clear()
  await rig.switch('shard_repair', true)
  await waitsUntil(rig, async () => (await countOf(rig, 'done')) === 150)
})

it('goes on letting go of what was held after a kill', async () => {
  const twins = new Twins('EC6P3')
  twins.off.add('shard_repair')
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters([])
  await Promise.all(bidsOf(150).map((bid) => rig.repair([1], 'a test', bid)))
  await waitsUntil(rig, async () => (await countOf(rig, 'held')) === 150)
  twins.off.clear()
  await rig.switch('shard_repair', true)
  await waitsUntil(rig, async () => (await countOf(rig, 'held')) < 150, 10)
  rig.crash()
  expect(await countOf(rig, 'held')).toBeGreaterThan(0)
  await waitsUntil(rig, async () => (await countOf(rig, 'done')) === 150, 1_000)
  await rig.h.advance(1_000)
  expect(await rig.counters('shard_repair')).toMatchObject({ successCount: 150, errorCount: 0 })
})

it('lets go of what is held however many fail again and again', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.away.add(2)
  let isHanging = false
  const ports = twins.ports()
  const view: typeof ports.volumes.view = async (...asked) => {
    if (isHanging) await new Promise(() => {})
    return ports.volumes.view(...asked)
  }
  const rig = new UpkeepRig({ ...ports, volumes: { ...ports.volumes, view } })
  await rig.openCounters()
  await Promise.all(bidsOf(80).map((bid) => rig.repair([2], 'a test', bid)))
  await waitsUntil(rig, async () => (await countOf(rig, 'waiting')) === 80, 20)
  isHanging = true
  await waitsUntil(rig, async () => (await countOf(rig, 'retrying')) === 80)
  twins.off.add('shard_repair')
  await rig.repair([1], 'a test', 1_000n)
  await rig.until(addressOf(1_000n), 'held')
  twins.off.clear()
  await waitsUntil(rig, async () => (await rig.view(addressOf(1_000n))).value === 'repairing')
  expect(await countOf(rig, 'retrying')).toBe(80)
})

it('lets go of what was paused while it was held, when it is resumed', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.off.add('shard_repair')
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters([])
  await rig.repair([2])
  await rig.until(REPAIR, 'held')
  await rig.h.run(rig.h.client.pause(REPAIR))
  twins.off.clear()
  await rig.switch('shard_repair', true)
  await rig.h.advance(5_000)
  expect(await rig.view(COUNTERS)).toMatchObject({ value: { open: 'idle' } })
  await rig.h.run(rig.h.client.resume(REPAIR))
  const { tookMs } = await rig.until(REPAIR, 'done')
  expect(tookMs).toBeLessThan(11 * MINUTE_MS)
})

it('tries again now what failed before it was asked to, once', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.away.add(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters()
  await Promise.all(bidsOf(20).map((bid) => rig.repair([2], 'a test', bid)))
  await waitsUntil(rig, async () => (await countOf(rig, 'punished')) === 20)
  const { errorCount } = await rig.counters('shard_repair')
  expect(await rig.h.run(rig.upkeep.view('shard_repair'))).toMatchObject({
    ...{ messages: { punished: 20 }, failedCount: 20, errorCount },
  })
  const page = await rig.h.run(rig.upkeep.messages('shard_repair', { state: 'punished', limit: 7 }))
  expect(page.messages).toHaveLength(7)
  expect(page.messages[0]).toMatchObject({
    ...{ vid: 7, state: 'punished', tries: 3, lastError: expect.stringContaining('nobody') },
  })
  expect(page.cursor).toBeDefined()
  const states = await rig.h.run(rig.upkeep.replay('shard_repair'))
  expect(states).toEqual(['waiting', 'punished', 'orphan'])
  await rig.h.advance(20_000)
  // Each failed once more, and is punished again.
  expect((await rig.counters('shard_repair')).errorCount).toBe(errorCount + 20)
  twins.away.clear()
  await rig.h.run(rig.upkeep.replay('shard_repair', ['punished']))
  await waitsUntil(rig, async () => (await countOf(rig, 'done')) === 20)
})

it('refuses to replay what is switched off, or is no state of failed messages', async () => {
  const rig = new UpkeepRig(new Twins('EC6P3').ports())
  await rig.openCounters(['blob_delete'])
  await rig.h.advance(3_000)
  expect(await code(rig.h, rig.upkeep.replay('shard_repair'))).toBe('conflict')
  expect(await code(rig.h, rig.upkeep.replay('blob_delete', ['protected']))).toBe('conflict')
  expect(await rig.h.run(rig.upkeep.replay('blob_delete'))).toEqual([
    ...['waiting', 'punished', 'postponed'],
  ])
  // One is the same as many of the same: a bounded list.
  const asked = await Promise.allSettled(
    Array.from({ length: 20 }, () => rig.h.run(rig.upkeep.replay('blob_delete', ['punished']))),
  )
  expect(asked.some(({ status }) => status === 'rejected')).toBe(true)
})

it('finds what is one message however often it is asked for', async () => {
  const twins = new Twins('EC6P3')
  twins.off.add('shard_repair')
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters([])
  await rig.repair([2])
  await rig.until(REPAIR, 'held')
  await rig.repair([4], 'another')
  expect(await rig.view(REPAIR)).toMatchObject({
    ...{ value: 'held', context: { bid: BID, badIndexes: [2, 4], reason: 'another' } },
  })
})
