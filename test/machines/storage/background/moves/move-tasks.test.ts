/** What the refusals of a volume mean for the move of one of its units. */
import { expect, it } from 'vitest'
import { VID } from '../../plane/volumes/volume-sim.ts'
import { MoveSim } from './move-sim.ts'

it('who is announced no more has nothing to move, and leaves its volume in peace', async () => {
  const sim = await MoveSim.open()
  const before = await sim.unit(0)
  const used = { chunkBytesUsed: 0, at: sim.volumes.h.clock.now() }
  await sim.volumes.ask({ type: 'ACQUIRE', token: 'n1', retainMs: 10 ** 9, ...used })
  const taskId = await sim.add(0, { type: 'disk_drop' })
  await sim.at(taskId, 'inited.delayed')
  await sim.volumes.ask({ type: 'END_MOVE', mover: taskId })
  const { state, finishAdvanceReason } = await sim.ended(taskId)
  expect([state, finishAdvanceReason]).toEqual([5, 'its unit is not its own to move any more'])
  expect(await sim.volumes.record()).toMatchObject({ standing: 'active', mover: null })
  expect(await sim.unit(0)).toEqual(before)
})

it('who has swapped its unit ends when its volume is removed by hand', async () => {
  const sim = await MoveSim.open()
  const before = await sim.unit(0)
  const taskId = await sim.add(0)
  sim.volumes.fate = (verb, at) =>
    verb === 'release' && at.vuid === before.vuid ? 'fails' : 'done'
  await sim.at(taskId, 'work_completed.settlePausing')
  await sim.run(sim.client.delete(`volume/${VID}`))
  expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
})
