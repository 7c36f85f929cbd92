/** A deletion as an actor: marks at once, bytes later; each of its waits, with its reason; crashes in between. */
import { expect, it } from 'vitest'
import { DeletePace } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { code } from '../../../../shard/support.ts'
import { hangAt } from './hanging.ts'
import { BID, Twins } from './twins.ts'
import { REMOVAL, UpkeepRig } from './upkeep-rig.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

const stagesOf = (view: { context?: unknown }) => (view.context as { stages: number[] }).stages

it('marks at once and deletes when its protection delay is over', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), 72 * HOUR_MS)
  const askedAt = rig.h.clock.now()
  await rig.remove()
  const { view } = await rig.until(REMOVAL, 'protected')
  expect(stagesOf(view)).toEqual([1, 1, 1])
  expect([...twins.shards.values()].every(({ isMarked }) => isMarked)).toBe(true)
  const dueAt = askedAt + 72 * HOUR_MS
  expect(view.context).toMatchObject({
    ...{ dueAt, retryAt: dueAt, waitsFor: expect.stringContaining('safeDelayMs'), tries: 0 },
  })
  let deletedAt = 0
  twins.onDeleted = () => {
    deletedAt = rig.h.clock.now()
  }
  await rig.h.advance(71 * HOUR_MS)
  expect(await rig.view(REMOVAL)).toMatchObject({ value: 'protected' })
  await rig.until(REMOVAL, 'done')
  expect(deletedAt).toBeGreaterThanOrEqual(dueAt)
  expect(deletedAt).toBeLessThan(dueAt + MINUTE_MS)
  expect(twins.shards.size).toBe(0)
})

it('needs no task before it is due when all units are marked already', async () => {
  const twins = new Twins('Replica3')
  twins.mark(0, 1, 2)
  const rig = new UpkeepRig(undefined, HOUR_MS)
  await rig.remove([0, 1, 2], { isMarked: true })
  expect(await rig.view(REMOVAL)).toMatchObject({
    ...{ value: 'protected', turn: 1, context: { stages: [1, 1, 1], waitMs: HOUR_MS } },
  })
  rig.openStore(twins.ports())
  await rig.until(REMOVAL, 'done')
  expect(twins.shards.size).toBe(0)
})

it('keeps its delay against a retry, and skips it when a person says so', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), HOUR_MS)
  await rig.remove()
  await rig.until(REMOVAL, 'protected')
  await rig.h.run(rig.h.client.send(REMOVAL, { type: 'RETRY' }))
  await rig.h.advance(MINUTE_MS)
  expect(await rig.view(REMOVAL)).toMatchObject({ value: 'protected' })
  expect(twins.shards.size).toBe(3)
  await rig.h.run(rig.h.client.send(REMOVAL, { type: 'SKIP_DELAY' }))
  const { tookMs } = await rig.until(REMOVAL, 'done')
  expect(tookMs).toBeLessThan(1_000)
})

it('keeps nothing of a put that nobody was told of', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), 72 * HOUR_MS)
  await rig.remove([], { isLeftover: true })
  const { tookMs } = await rig.until(REMOVAL, 'done')
  expect(tookMs).toBeLessThan(1_000)
  expect(twins.shards.size).toBe(0)
})

it('counts its delay from when it was asked for, also where units were away for long', async () => {
  const twins = new Twins('Replica3')
  twins.away.add(1)
  const rig = new UpkeepRig(twins.ports(), HOUR_MS)
  await rig.remove([0, 2])
  await rig.until(REMOVAL, 'punished')
  expect(stagesOf(await rig.view(REMOVAL))).toEqual([1, 0, 1])
  await rig.h.advance(2 * HOUR_MS)
  expect(twins.shards.size).toBe(3)
  twins.away.clear()
  await rig.until(REMOVAL, 'done')
  const states = await rig.h.run(rig.h.client.history(REMOVAL, { limit: 4 }))
  expect(states.map(({ to }) => to)).not.toContain('protected')
})

it('tries again in a pool of its own', async () => {
  const twins = new Twins('Replica3')
  twins.away.add(1)
  const rig = new UpkeepRig(twins.ports())
  await rig.remove()
  await rig.until(REMOVAL, 'waiting')
  let states: string[] = []
  while (!states.includes('retrying')) {
    await rig.h.advance(10)
    states = [String((await rig.view(REMOVAL)).value)]
  }
  twins.away.clear()
  await rig.until(REMOVAL, 'done')
})

it('waits for the hours on a timer, and says so', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(undefined)
  const hour = new Date(rig.h.clock.now()).getHours()
  const hours = { from: (hour + 2) % 24, to: ((hour + 2) % 24) + 1 }
  rig.openStore(twins.ports(new DeletePace({ clock: rig.h.clock, hours, perSecond: 100 })))
  await rig.remove()
  const { view } = await rig.until(REMOVAL, 'early')
  const { retryAt, turnAt } = view.context as { retryAt: number; turnAt: number }
  expect(new Date(retryAt).getHours()).toBe(hours.from)
  expect(turnAt).toBe(retryAt)
  expect(view.context).toMatchObject({ waitsFor: expect.stringContaining("o'clock"), tries: 0 })
  // Marked it is at once, whatever the hour.
  expect(stagesOf(view)).toEqual([1, 1, 1])
  await rig.h.advance(retryAt - rig.h.clock.now() - 1_000)
  expect(twins.shards.size).toBe(3)
  await rig.h.advance(3_000)
  expect(await rig.view(REMOVAL)).toMatchObject({ value: 'done' })
})

it('lets only so many go in a second, each on a timer of its own', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(undefined)
  const { clock } = rig.h
  const pace = new DeletePace({ clock, hours: { from: 0, to: 24 }, perSecond: 5 })
  const went: number[] = []
  const ask = (told: number | null) => {
    const turn = pace.ask(told)
    if (turn.until === null) went.push(clock.now())
    return turn
  }
  rig.openStore(twins.ports({ ask }))
  const bids = Array.from({ length: 20 }, (_, n) => BigInt(n + 1))
  await Promise.all(bids.map((bid) => rig.remove([], { bid })))
  for (const bid of bids) await rig.until(`blob-delete/7-${bid}`, 'done')
  expect(went).toHaveLength(20)
  expect(Math.max(...went) - Math.min(...went)).toBeGreaterThanOrEqual(3_600)
})

it('is postponed while a disk of its volume is broken, and marks the others meanwhile', async () => {
  const twins = new Twins('Replica3')
  twins.gone.add(1)
  twins.known.add(1)
  const rig = new UpkeepRig(twins.ports())
  await rig.remove()
  const { view } = await rig.until(REMOVAL, 'postponed')
  expect(stagesOf(view)).toEqual([1, 0, 1])
  expect(view.context).toMatchObject({
    ...{ waitsFor: 'unit 1 on disk 101: disk is broken', waitMs: 10 * MINUTE_MS, tries: 0 },
  })
  expect(twins.shards.size).toBe(3)
  // It was repaired onto another.
  twins.move(1)
  twins.gone.clear()
  twins.known.clear()
  await rig.until(REMOVAL, 'done')
  expect(twins.shards.size).toBe(0)
})

it('is postponed by a broken disk also when all units were marked before', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), HOUR_MS)
  await rig.remove()
  await rig.until(REMOVAL, 'protected')
  twins.known.add(2)
  await rig.until(REMOVAL, 'postponed')
  expect(twins.shards.size).toBe(3)
})

it('deletes in the chunks that units have moved to meanwhile', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports())
  // Behind the look at the mapping, and behind its deletion.
  twins.onDeleted = (index) => {
    if (index === 2) return
    twins.onDeleted = () => {}
    twins.move(2)
  }
  await rig.remove()
  await rig.until(REMOVAL, 'done')
  expect(twins.shards.size).toBe(0)
  expect(twins.freshViews).toBe(1)
})

it('fails, and tries later, where units move again and again', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports())
  let moves = 0
  const ports = twins.ports()
  const vuids = () => {
    moves += 1
    twins.move(0)
    return twins.ports().volumes.vuids(7)
  }
  rig.openStore({ ...ports, volumes: { ...ports.volumes, vuids } })
  await rig.remove()
  const { view } = await rig.until(REMOVAL, 'waiting')
  expect(moves).toBe(3)
  expect(view.context).toMatchObject({ lastError: expect.stringContaining('move again and again') })
})

it.each(['done', 'waiting', 'protected'] as const)(
  'looks at all units again when it is asked for again, while it is %s',
  async (state) => {
    const twins = new Twins('Replica3')
    const rig = new UpkeepRig(twins.ports(), state === 'protected' ? HOUR_MS : 0)
    // It fails at one, when two have deleted theirs.
    if (state === 'waiting') twins.onDeleted = () => void twins.away.add(2)
    if (state === 'waiting') twins.mark(0, 1, 2)
    await rig.remove()
    await rig.until(REMOVAL, state)
    // A unit has moved with a copy from before; who moved it says so.
    twins.move(0)
    twins.write(0)
    twins.away.clear()
    twins.onDeleted = () => {}
    await rig.remove()
    if (state === 'protected') {
      await rig.h.advance(1_000)
      expect(await rig.view(REMOVAL)).toMatchObject({ value: 'protected' })
      expect(twins.shards.get(0)).toMatchObject({ isMarked: true })
      expect(twins.shards.size).toBe(3)
    }
    await rig.h.advance(1_000)
    await rig.until(REMOVAL, 'done')
    expect(twins.shards.size).toBe(0)
  },
)

it('looks at all units again when it was asked for while it was about to end', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(undefined)
  const { hanging, calls } = hangAt(twins.ports(), 'vuids')
  rig.openStore(hanging)
  await rig.openCounters()
  await rig.remove()
  while (!calls.hasHung) await rig.h.advance(10)
  twins.move(0)
  twins.write(0)
  await rig.remove()
  rig.crash()
  await rig.until(REMOVAL, 'done')
  await rig.h.advance(1_000)
  expect(twins.shards.size).toBe(0)
  expect(await rig.counters('blob_delete')).toMatchObject({ successCount: 1, errorCount: 0 })
})

it('does nothing while it is switched off, and goes on when it is on again', async () => {
  const twins = new Twins('Replica3')
  twins.off.add('blob_delete')
  const rig = new UpkeepRig(twins.ports())
  await rig.openCounters(['shard_repair'])
  await rig.remove()
  const { view } = await rig.until(REMOVAL, 'held')
  expect(view.context).toMatchObject({ waitsFor: 'blob_delete is switched off', tries: 0 })
  await rig.h.advance(HOUR_MS)
  expect(await rig.view(REMOVAL)).toMatchObject({ value: 'held' })
  expect([...twins.shards.values()].some(({ isMarked }) => isMarked)).toBe(false)
  twins.off.clear()
  await rig.switch('blob_delete', true)
  const { tookMs } = await rig.until(REMOVAL, 'done')
  expect(tookMs).toBeLessThan(2_000)
  expect(twins.shards.size).toBe(0)
})

it('is held in its second phase, too, and stays protected until then', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), HOUR_MS)
  await rig.openCounters()
  await rig.remove()
  await rig.until(REMOVAL, 'protected')
  twins.off.add('blob_delete')
  await rig.switch('blob_delete', false)
  await rig.until(REMOVAL, 'held')
  expect(twins.shards.size).toBe(3)
  twins.off.clear()
  await rig.switch('blob_delete', true)
  await rig.until(REMOVAL, 'done')
})

async function deletedWith(crashAt: number): Promise<number> {
  const twins = new Twins('Replica3')
  const { hanging, calls } = hangAt(twins.ports(), crashAt)
  const rig = new UpkeepRig(hanging, 10 * MINUTE_MS)
  await rig.openCounters()
  const dueAt = rig.h.clock.now() + 10 * MINUTE_MS
  let firstDeletedAt = Number.POSITIVE_INFINITY
  twins.onDeleted = () => {
    firstDeletedAt = Math.min(firstDeletedAt, rig.h.clock.now())
  }
  await rig.remove()
  for (let steps = 0; steps < 100_000; steps += 1) {
    if (calls.hasHung) {
      calls.hasHung = false
      rig.crash()
    }
    if ((await rig.view(REMOVAL)).value === 'done') break
    await rig.h.advance(500)
  }
  expect(await rig.view(REMOVAL)).toMatchObject({ value: 'done', context: { stages: [2, 2, 2] } })
  expect(twins.shards.size).toBe(0)
  expect(firstDeletedAt).toBeGreaterThanOrEqual(dueAt)
  await rig.h.advance(1_000)
  expect(await rig.counters('blob_delete')).toMatchObject({ successCount: 1, errorCount: 0 })
  return calls.count
}

it('ends as it should, and is counted once, wherever its node is killed', async () => {
  const calls = await deletedWith(0)
  expect(calls).toBeGreaterThanOrEqual(9)
  for (let at = 1; at <= calls; at += 1) await deletedWith(at)
})

it('is the same after a kill in each of its states', async () => {
  for (const state of ['protected', 'held', 'postponed', 'early', 'waiting'] as const) {
    const twins = new Twins('Replica3')
    const rig = new UpkeepRig(undefined, state === 'protected' ? HOUR_MS : 0)
    const { clock } = rig.h
    const from = (new Date(clock.now()).getHours() + 1) % 24
    const hours = { from, to: from + 1 }
    const paced = new DeletePace({ clock, hours, perSecond: 10 })
    rig.openStore(state === 'early' ? twins.ports(paced) : twins.ports())
    if (state === 'held') twins.off.add('blob_delete')
    if (state === 'postponed') twins.known.add(0)
    if (state === 'waiting') twins.away.add(0)
    await rig.openCounters()
    await rig.remove()
    await rig.until(REMOVAL, state)
    const { retryAt } = (await rig.view(REMOVAL)).context as { retryAt: number | null }
    rig.crash()
    expect(await rig.view(REMOVAL)).toMatchObject({ value: state, context: { retryAt } })
    for (const set of [twins.off, twins.known, twins.away]) set.clear()
    if (state === 'held') await rig.switch('blob_delete', false)
    if (state === 'held') await rig.switch('blob_delete', true)
    await rig.until(REMOVAL, 'done')
    expect(twins.shards.size).toBe(0)
  }
})

it('is one message, and is gone an hour after its end', async () => {
  const twins = new Twins('Replica3')
  const rig = new UpkeepRig(twins.ports(), HOUR_MS)
  await rig.remove([0])
  await rig.until(REMOVAL, 'protected')
  const { turn } = await rig.view(REMOVAL)
  await rig.remove([0, 1, 2], { isMarked: true, bid: BID })
  expect(await rig.view(REMOVAL)).toMatchObject({ turn: turn + 1, value: 'protected' })
  await rig.until(REMOVAL, 'done')
  await rig.h.advance(61 * MINUTE_MS)
  expect(await code(rig.h, rig.h.client.get(REMOVAL))).toBe('unknown-actor')
})
