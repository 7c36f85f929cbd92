/**
 * Balancing over kills of the node behind each single call, and over calls that fail or whose answers are lost: no move
 * is forgotten, none is begun twice, and disks are level in the end.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Fate } from '../store-world.ts'
import { PlannerSim } from './planner-sim.ts'

const CALLS_MAX = 40
const SIZE = { disks: 4, volumes: 4 }

async function expectLevel(sim: PlannerSim): Promise<void> {
  const lines = await Promise.all([1, 2, 3, 4].map((id) => sim.world.units(id)))
  expect(lines.flat()).toHaveLength(12)
  expect(lines.every(({ length }) => length >= 2 && length <= 4)).toBe(true)
  expect(await sim.world.live()).toEqual([])
  const { live, chosen, placed, early, moved, endedOtherwise, started } = await sim.record()
  expect({ live, chosen, placed, early }).toEqual({ live: [], chosen: [], placed: [], early: [] })
  // Each that began is one that it knows of.
  expect(moved).toBe(sim.world.finished.length)
  expect(endedOtherwise).toBe(started - moved)
}

it('a node that is killed behind each single call finishes what it began', async () => {
  let kills = 0
  for (let killAt = 1; killAt <= CALLS_MAX; killAt++) {
    const sim = await PlannerSim.create({}, { ...SIZE, isOpen: false })
    let calls = 0
    let isDying = false
    sim.world.fate = () => {
      calls += 1
      isDying ||= calls === killAt
      return 'done'
    }
    await sim.toggle(true)
    await sim.drive(async () => {
      sim.stepMs = calls < killAt || isDying ? 4 : 200
      if (!isDying) return
      isDying = false
      kills += 1
      sim.crash()
    })
    await expectLevel(sim)
    if (calls < killAt) break
  }
  expect(kills).toBeGreaterThan(10)
}, 180_000)

const times = fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 4 })
const fates = fc.infiniteStream(
  fc.constantFrom<Fate>('done', 'done', 'done', 'done', 'fails', 'lost'),
) as fc.Arbitrary<Iterator<Fate>>

it('nothing is forgotten by kills and failures at any time', async () => {
  await fc.assert(
    fc.asyncProperty(times, fates, async (kills, stream) => {
      const sim = await PlannerSim.create({}, SIZE)
      sim.world.fate = () => stream.next().value
      for (const ms of kills) {
        await sim.h.advance(ms)
        const [first] = await sim.world.live()
        if (first !== undefined) await sim.world.finishAsPlaced(first)
        sim.crash()
      }
      await sim.h.advance(2_000)
      sim.world.fate = () => 'done'
      sim.stepMs = 200
      await sim.drive()
      // What was chosen and never begun is released by its volume in time.
      await sim.world.releaseFittings()
      const lines = await Promise.all([1, 2, 3, 4].map((id) => sim.world.units(id)))
      expect(lines.flat()).toHaveLength(12)
      expect(await sim.world.live()).toEqual([])
      expect((await sim.record()).live).toEqual([])
    }),
    { numRuns: 8 },
  )
}, 120_000)
