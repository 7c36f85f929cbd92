/**
 * A move over crashes of its node: between each two of its steps and in the middle of each of them it goes on
 * where it was, does nothing twice, and leaves nothing behind.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { VID } from '../../plane/volumes/volume-sim.ts'
import { DISKS, MoveSim } from './move-sim.ts'

/** All of it is as if the unit had always been there. */
async function expectMoved(
  sim: MoveSim,
  taskId: string,
  before: { diskId: number },
): Promise<void> {
  const record = await sim.record(taskId)
  expect(record).toMatchObject({ state: 4, finishAdvanceReason: '', lease: null, wait: null })
  const volume = await sim.volumes.until(
    ({ standing, retired }) => standing === 'idle' && retired.length === 0,
  )
  expect(volume).toMatchObject({ mover: null, moves: {}, fittings: {} })
  const [unit] = volume.units
  expect(unit?.diskId).not.toBe(before.diskId)
  const chunks = volume.units.map(
    ({ index, epoch, diskId }) => `${diskId}/${vuidOf({ vid: VID, index, epoch })}`,
  )
  expect([...sim.volumes.chunks].sort()).toEqual(chunks.map((key) => [key, 'normal']).sort())
  expect(await sim.volumes.ledger(DISKS)).toEqual(chunks.sort())
  const [own = ''] = chunks.filter((key) => key.startsWith(`${unit?.diskId}/`))
  expect([...(sim.shards.get(own) ?? [])]).toEqual([1n, 2n, 3n, 4n, 5n].map((bid) => [bid, 1]))
  const lane = await sim.context('move-lane/manual_migrate')
  expect(lane).toMatchObject({
    counts: { preparing: 0, workerDoing: 0, finishing: 0 },
    totals: { finished: 1, finishedInAdvance: 0 },
    inHand: {},
  })
  expect((await sim.context('owner/o'))['seen']).toEqual(['finished'])
  expect((await sim.context('worker-queue/z'))['offers']).toEqual({})
  expect([sim.repairs, sim.removals]).toEqual([[], []])
}

it('moves a unit, and leaves nothing behind', async () => {
  const sim = await MoveSim.open()
  const before = await sim.unit(0)
  const taskId = await sim.add(0)
  await sim.ended(taskId)
  await expectMoved(sim, taskId, before)
})

/** One number for each turn of the actor: the node is killed when that is committed. */
it('goes on behind a kill in each of its turns', async () => {
  const whole = await MoveSim.open()
  const done = await whole.add(0)
  await whole.ended(done)
  const { turn: turns } = await whole.view(done)
  expect(turns).toBeGreaterThanOrEqual(10)
  for (let killed = 1; killed < turns; killed++) {
    const sim = await MoveSim.open()
    const before = await sim.unit(0)
    const taskId = await sim.add(0)
    await until(sim, taskId, killed)
    sim.volumes.crash()
    await sim.ended(taskId)
    await expectMoved(sim, taskId, before)
  }
}, 120_000)

async function until(sim: MoveSim, taskId: string, turn: number): Promise<void> {
  for (let waited = 0; waited < 2_000; waited++) {
    const view = await sim.view(taskId)
    if (view.turn >= turn || view.status === 'done') return
    await sim.work()
    await sim.volumes.h.advance(1)
  }
  throw new Error(`${taskId} never came to its turn ${turn}`)
}

it('goes on behind a kill in the middle of each call on a disk', async () => {
  for (let killAt = 1; killAt <= 30; killAt++) {
    const sim = await MoveSim.open()
    const before = await sim.unit(0)
    let calls = 0
    let isDead = false
    sim.volumes.fate = () => {
      calls += 1
      isDead ||= calls === killAt
      return 'done'
    }
    const taskId = await sim.add(0)
    for (let waited = 0; waited < 2_000 && !isDead; waited++) {
      if ((await sim.view(taskId)).status === 'done') break
      await sim.work()
      await sim.volumes.h.advance(2)
    }
    if (isDead) sim.volumes.crash()
    await sim.ended(taskId)
    await expectMoved(sim, taskId, before)
    if (!isDead) return
  }
  throw new Error('there are more calls than that')
}, 120_000)

const kills = fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 })
const fates = fc.infiniteStream(
  fc.constantFrom('done', 'done', 'done', 'done', 'done', 'fails', 'lost', 613),
) as fc.Arbitrary<Iterator<ReturnType<MoveSim['volumes']['fate']>>>

it('moves it under kills, lost answers and disks that fail', async () => {
  await fc.assert(
    fc.asyncProperty(kills, fates, async (times, stream) => {
      const sim = await MoveSim.open()
      const before = await sim.unit(0)
      const taskId = await sim.add(0)
      sim.volumes.fate = () => stream.next().value
      for (const ms of times) {
        await sim.volumes.h.advance(ms)
        await sim.work()
        sim.volumes.crash()
      }
      await sim.volumes.h.advance(2_000)
      sim.volumes.fate = () => 'done'
      await sim.ended(taskId)
      await expectMoved(sim, taskId, before)
    }),
    { numRuns: 8 },
  )
}, 120_000)
