/** An operator cancels a move while a step is under way: at every moment it ends soon, and nothing of it is left. */
import { describe, expect, it } from 'vitest'
import { moveAddress } from '../../../../../machines/storage/background/moves/index.ts'
import { AGAIN_MS } from '../../../../../machines/storage/background/moves/move-tasks.ts'
import { VID } from '../../plane/volumes/volume-sim.ts'
import { DISKS, MoveSim, pathOf } from './move-sim.ts'

const IDLE = { isWorking: false }
const VOLUME = `volume/${VID}`

/** As if nobody had ever wanted to move anything: three chunks, and three lines in ledgers. */
async function expectUntouched(sim: MoveSim, before: { vuid: bigint }): Promise<void> {
  const record = await sim.volumes.until(
    ({ standing, retired, fittings }) =>
      standing === 'idle' && retired.length === 0 && Object.keys(fittings).length === 0,
  )
  expect(record).toMatchObject({ mover: null, moves: {}, isSet: true })
  expect(await sim.unit(0)).toEqual(before)
  expect(sim.volumes.chunks.size).toBe(3)
  expect(await sim.volumes.ledger(DISKS)).toHaveLength(3)
}

async function reached(sim: MoveSim, taskId: string, state: string): Promise<void> {
  for (let waited = 0; waited < 2_000; waited++) {
    if (pathOf((await sim.view(taskId)).value) === state) return
    await sim.volumes.h.advance(1)
  }
  throw new Error(`${taskId} never came to ${state}`)
}

describe('behind the step that is under way', () => {
  it('cancels it while a chunk is made for it, and gives that back', async () => {
    const sim = await MoveSim.open()
    const before = await sim.unit(0)
    const taskId = await sim.add(0)
    await reached(sim, taskId, 'preparing.allocating')
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    await sim.at(taskId, 'cancelled', IDLE)
    await expectUntouched(sim, before)
  })

  it('cancels it while it gets another disk, and gives both chunks back', async () => {
    const sim = await MoveSim.open()
    const before = await sim.unit(0)
    const taskId = await sim.add(0)
    await sim.at(taskId, 'prepared.queued', IDLE)
    const held = await sim.acquire('w1')
    await sim.ask({ type: 'RECLAIM', worker: 'w1', ...held, reason: 'disk is broken' })
    await reached(sim, taskId, 'prepared.reclaiming')
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    await sim.at(taskId, 'cancelled', IDLE)
    await expectUntouched(sim, before)
  })
})

describe('a repair of a chunk whose blobnode is up and says nothing', () => {
  /** Nobody says whether the old chunk takes writes: it is not swapped before that is known. */
  async function silent(): Promise<{ sim: MoveSim; taskId: string; before: { vuid: bigint } }> {
    const sim = await MoveSim.open()
    const before = await sim.unit(0)
    sim.volumes.fate = (_, at) => (at.vuid === before.vuid ? 'fails' : 'done')
    const taskId = await sim.add(0, { type: 'disk_repair' })
    await sim.at(taskId, 'work_completed.updatePausing')
    return { sim, taskId, before }
  }

  it('is cancelled while it waits for the answer', async () => {
    const { sim, taskId, before } = await silent()
    expect((await sim.record(taskId)).wait?.why).toContain('as the test wants it')
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    await sim.at(taskId, 'cancelled', IDLE)
    sim.volumes.fate = () => 'done'
    await expectUntouched(sim, before)
    expect((await sim.context('owner/o'))['seen']).toEqual(['cancelled'])
  })

  it('is cancelled while it asks', async () => {
    const { sim, taskId, before } = await silent()
    await sim.send(taskId, 'RETRY')
    await reached(sim, taskId, 'work_completed.updating')
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    await sim.at(taskId, 'cancelled', IDLE)
    sim.volumes.fate = () => 'done'
    await expectUntouched(sim, before)
  })

  it('is cancelled while it asks one that is busy, with whose refusal its step ends', async () => {
    const { sim, taskId, before } = await silent()
    let cancel: Promise<unknown> | undefined
    sim.volumes.fate = (_, at) => {
      if (at.vuid !== before.vuid) return 'done'
      cancel ??= sim.client.send(moveAddress(taskId), { type: 'CANCEL' })
      return 628
    }
    const begun = sim.volumes.h.clock.now()
    await sim.send(taskId, 'RETRY')
    await sim.at(taskId, 'cancelled', IDLE)
    expect(sim.volumes.h.clock.now() - begun).toBeLessThan(AGAIN_MS)
    expect(await cancel).toMatchObject({ reply: { ok: true } })
    sim.volumes.fate = () => 'done'
    await expectUntouched(sim, before)
  })

  it('is cancelled when its volume is resumed: a paused one says nothing', async () => {
    const { sim, taskId, before } = await silent()
    await sim.run(sim.client.pause(VOLUME))
    await sim.send(taskId, 'CANCEL')
    const { wait } = await sim.at(taskId, 'work_completed.withdrawPausing', IDLE)
    expect(wait?.why).toContain('is paused')
    await sim.run(sim.client.resume(VOLUME))
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    const begun = sim.volumes.h.clock.now()
    await sim.send(taskId, 'RETRY')
    await sim.at(taskId, 'cancelled', IDLE)
    expect(sim.volumes.h.clock.now() - begun).toBeLessThan(AGAIN_MS)
    sim.volumes.fate = () => 'done'
    await expectUntouched(sim, before)
  })

  it.each(['delete', 'cancel'] as const)(
    'is cancelled when its volume is gone (%s)',
    async (how) => {
      const { sim, taskId } = await silent()
      await sim.run(sim.client[how](VOLUME))
      await sim.send(taskId, 'CANCEL')
      await sim.at(taskId, 'cancelled', IDLE)
      expect((await sim.context('owner/o'))['seen']).toEqual(['cancelled'])
    },
  )

  it('gives its place in the lane back when its volume is gone', async () => {
    const { sim, taskId } = await silent()
    await sim.run(sim.client.delete(VOLUME))
    await sim.send(taskId, 'RETRY')
    const { wait } = await sim.at(taskId, 'inited.delayed', IDLE)
    expect(wait?.why).toContain('there is no volume')
  })

  it('goes on to its end when an earlier call has swapped it, whose answer was lost', async () => {
    const { sim, taskId, before } = await silent()
    const { destination, sourceVuid: oldVuid } = await sim.record(taskId)
    const swap = { newVuid: destination.vuid, oldVuid, newDiskId: destination.diskId }
    await sim.volumes.ask({
      type: 'UPDATE_UNIT',
      ...swap,
      claim: { mover: taskId, turn: 1 },
      at: 1,
    })
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    sim.volumes.fate = () => 'done'
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
    expect((await sim.unit(0)).vuid).toBe(destination.vuid)
    expect(before.vuid).not.toBe(destination.vuid)
  })

  it('is not swapped any more by a call that comes behind its end', async () => {
    const { sim, taskId, before } = await silent()
    const { destination, sourceVuid: oldVuid } = await sim.record(taskId)
    await sim.send(taskId, 'CANCEL')
    await sim.at(taskId, 'cancelled', IDLE)
    const swap = { newVuid: destination.vuid, oldVuid, newDiskId: destination.diskId }
    const late = { type: 'UPDATE_UNIT', ...swap, claim: { mover: taskId, turn: 1 }, at: 1 }
    expect(await sim.volumes.ask(late)).toMatchObject({ refused: 929 })
    sim.volumes.fate = () => 'done'
    await expectUntouched(sim, before)
  })
})
