/** The planner from its switch to the last move, by the clock of a simulation. */
import { expect, it } from 'vitest'
import { balanceView } from '../../../../../machines/storage/background/balance/index.ts'
import { vuidParts } from '../../../../../machines/storage/plane/codes/index.ts'
import { PLANNER, PlannerSim } from './planner-sim.ts'

it('levels disks: each gets its share, and it says that it is even enough', async () => {
  const sim = await PlannerSim.create()
  await sim.drive()
  const counts = await Promise.all([1, 2, 3, 4, 5, 6].map((id) => sim.world.units(id)))
  // Of 50 places a disk has a unit is two points of a hundred.
  expect(counts.every(({ length }) => length >= 3 && length <= 5)).toBe(true)
  const { levels, moved, why, moving } = balanceView(await sim.record())
  expect(moving).toBe(0)
  expect(moved).toBeGreaterThanOrEqual(9)
  expect(moved).toBeLessThanOrEqual(12)
  expect(why).toBe('z: even enough')
  expect(levels).toMatchObject([
    { idc: 'z', disks: 6, isEven: true, units: { level: expect.closeTo(0.08, 5) } },
  ])
  const orders = [...sim.world.orders.values()]
  expect(orders.every(({ type, owner }) => type === 'balance' && owner === PLANNER)).toBe(true)
  expect(sim.world.finished).toHaveLength(moved)
})

it('makes the chunk first, where it wants it; no disk gives or takes more at a time than it may', async () => {
  const sim = await PlannerSim.create({ movesIntoDiskMax: 1 })
  let most = 0
  await sim.drive(async () => {
    const { live } = await sim.record()
    for (const { destinationDiskId, sourceDiskId } of live) {
      const into = live.filter((one) => one.destinationDiskId === destinationDiskId)
      const from = live.filter((one) => one.sourceDiskId === sourceDiskId)
      most = Math.max(most, into.length, from.length)
      expect(destinationDiskId).toBeGreaterThan(3)
    }
  })
  expect(most).toBe(1)
})

it('has no more under way than it may', async () => {
  const sim = await PlannerSim.create({ movesMax: 2, movesPerSourceMax: 5, movesIntoDiskMax: 5 })
  await sim.untilMoving(2)
  await sim.untilWhy('2 moves are under way: movesMax says how many may be')
  await sim.h.advance(30_000)
  expect(await sim.world.live()).toHaveLength(2)
})

it('while the switch is closed nothing is begun; what is under way goes on', async () => {
  const sim = await PlannerSim.create({}, { isOpen: false })
  await sim.h.advance(30_000)
  expect(sim.world.calls).toEqual([])
  expect((await sim.view(PLANNER)).value).toMatchObject({ planning: 'closed' })
  expect((await sim.record()).wait?.why).toBe('the switch balance is closed')
  await sim.toggle(true)
  const live = await sim.untilMoving(1, 2_000)
  await sim.toggle(false)
  for (const taskId of live) await sim.world.finishAsPlaced(taskId)
  await sim.until('it to be closed', async () => {
    const { value } = await sim.view(PLANNER)
    return typeof value === 'object' && value['planning'] === 'closed'
  })
  const begun = sim.world.orders.size
  await sim.h.advance(60_000)
  expect(sim.world.orders.size).toBe(begun)
  expect((await sim.record()).live).toHaveLength(begun - live.length)
  await sim.toggle(true)
  await sim.drive()
})

it('says why nothing can move: volumes that are written to, or being moved', async () => {
  const sim = await PlannerSim.create()
  for (let vid = 1; vid <= 8; vid++) sim.world.change(vid, { standing: 'active' })
  await sim.untilWhy('8 of a volume that is active')
  const moves = { 0: { mover: 'manual_migrate-1-1-x', at: sim.h.clock.now(), turn: 1 } }
  for (let vid = 1; vid <= 8; vid++) sim.world.change(vid, { standing: 'idle', moves })
  await sim.untilWhy('8 of a volume that is being moved')
  expect(await sim.world.live()).toEqual([])
})

it("a mover that was announced and never began is in nobody's way for long", async () => {
  const sim = await PlannerSim.create({}, { isOpen: false })
  for (let vid = 1; vid <= 8; vid++) {
    const moves = { 0: { mover: `balance-1-${vid}-x`, at: sim.h.clock.now(), turn: 1 } }
    sim.world.change(vid, { moves })
  }
  await sim.toggle(true)
  await sim.untilWhy('8 of a volume that is being moved')
  await sim.untilMoving(1, 60_000)
  await sim.drive()
})

it('a move that came to nothing gives its chunk back, and another is begun', async () => {
  const sim = await PlannerSim.create({ movesMax: 1 })
  const [first = ''] = await sim.untilMoving(1)
  await sim.world.end(first, 'finished_in_advance')
  const isReleased = async () => sim.world.calls.includes('release')
  await sim.until('its chunk to be released', isReleased, 20_000)
  const [second] = await sim.untilMoving(1)
  expect(second).not.toBe(first)
  await sim.drive()
  expect((await sim.record()).endedOtherwise).toBe(1)
  const all = await Promise.all([1, 2, 3, 4, 5, 6].map((id) => sim.world.units(id)))
  expect(all.flat()).toHaveLength(24)
})

it('a move that stands still takes nobody the place; one that is removed is missed', async () => {
  const sim = await PlannerSim.create({ movesMax: 1 })
  const [parked = ''] = await sim.untilMoving(1)
  await sim.send(`migrate-task/${parked}`, { type: 'PARK' })
  await sim.untilMoving(2, 20_000)
  // The move is there a moment before the planner has written down that it is.
  const isKnown = async () => {
    const { moving, still } = balanceView(await sim.record())
    return moving === 2 && still === 1
  }
  await sim.until('both to be known', isKnown, 20_000)
  await sim.h.run(sim.h.client.cancel(`migrate-task/${parked}`))
  await sim.h.run(sim.h.client.delete(`migrate-task/${parked}`))
  const isMissed = async () => (await sim.record()).live.every(({ taskId }) => taskId !== parked)
  await sim.until('it to be missed', isMissed, 20_000)
})

it('a chunk that was made where it was not meant is given back, and no move is begun for it', async () => {
  const sim = await PlannerSim.create({ movesMax: 1 }, { isOpen: false })
  sim.world.placeOn = 2
  await sim.toggle(true)
  await sim.untilWhy('disk 2 is no better place')
  const isReleased = async () => sim.world.calls.includes('release')
  await sim.until('it to be given back', isReleased, 20_000)
  expect(await sim.world.live()).toEqual([])
  sim.world.placeOn = undefined
  await sim.drive()
})

it('a chunk that was made for nothing is left to whoever moves its unit by now', async () => {
  const sim = await PlannerSim.create({ movesMax: 1 }, { isOpen: false })
  sim.world.placeOn = 2
  await sim.toggle(true)
  await sim.untilWhy('disk 2 is no better place')
  sim.world.placeOn = undefined
  const [spare] = (await sim.record()).spare
  const { vid, index } = vuidParts(spare?.vuid ?? 0n)
  const moves = { [index]: { mover: 'disk_drop-1-1-x', at: sim.h.clock.now(), turn: 1 } }
  sim.world.change(vid, { moves })
  const isLeft = async () => (await sim.record()).spare.length === 0
  await sim.until("it to be none of the planner's", isLeft, 20_000)
  expect(sim.world.calls).not.toContain('release')
  expect(sim.world.record(vid).fittings[index]).toMatchObject({ diskId: 2 })
})
