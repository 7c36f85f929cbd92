/** What the refusals of a volume mean for the move of one of its units. */
import { expect, it } from 'vitest'
import { moveAddress } from '../../../../../machines/storage/background/moves/index.ts'
import { VID } from '../../plane/volumes/volume-sim.ts'
import { MoveSim } from './move-sim.ts'

const IDLE = { isWorking: false }

const writer = (sim: MoveSim) => ({
  ...{ token: 'n1', chunkBytesUsed: 0, at: sim.volumes.h.clock.now() },
})

it('who is announced no more has nothing to move, and leaves its volume in peace', async () => {
  const sim = await MoveSim.open()
  const before = await sim.unit(0)
  await sim.volumes.ask({ type: 'ACQUIRE', retainMs: 10 ** 9, ...writer(sim) })
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

it('leaves the volume to others while its chunks are still unlocked, and comes again', async () => {
  const sim = await MoveSim.open()
  await sim.volumes.ask({ type: 'LOCK' })
  await sim.volumes.until(({ isSet }) => isSet)
  sim.volumes.fate = (verb) => (verb === 'readwrite' ? 'fails' : 'done')
  await sim.volumes.ask({ type: 'UNLOCK' })
  const taskId = await sim.add(0)
  const { wait } = await sim.at(taskId, 'inited.delayed', IDLE)
  expect(wait?.why).toContain('is unlocking')
  // A blobnode that is away may keep it so for long: who needs no lock goes on meanwhile.
  await sim.volumes.until(({ standing, mover }) => standing === 'unlocking' && mover === null)
  sim.volumes.fate = () => 'done'
  expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
  await sim.volumes.until(({ standing, mover }) => standing === 'idle' && mover === null)
})

it('claims its volume anew where an operator sets it there', async () => {
  const sim = await MoveSim.open()
  await sim.volumes.ask({ type: 'ACQUIRE', retainMs: 10 ** 9, ...writer(sim) })
  const taskId = await sim.add(0, { type: 'disk_drop' })
  await sim.at(taskId, 'inited.delayed', IDLE)
  await sim.volumes.ask({ type: 'RETURN', ...writer(sim) })
  await sim.run(sim.client.resume(moveAddress(taskId), { state: 'preparing.claiming' }))
  expect(await sim.ended(taskId)).toMatchObject({ state: 4, turns: 2 })
  await sim.volumes.until(({ standing, mover }) => standing === 'idle' && mover === null)
})
