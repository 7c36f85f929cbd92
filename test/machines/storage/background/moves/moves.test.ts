/** Moves under refusals, failures and operators: what they wait for, what they hold meanwhile, how they end. */
import { describe, expect, it } from 'vitest'
import { migrateTask } from '../../../../../machines/storage/background/moves/migrate-task.ts'
import { vuidParts } from '../../../../../machines/storage/plane/codes/index.ts'
import { failure } from '../../../../shard/support.ts'
import { MoveSim, pathOf } from './move-sim.ts'

const IDLE = { isWorking: false }

/** The volume is as if nobody had ever wanted to move anything. */
async function expectFree(sim: MoveSim): Promise<void> {
  const record = await sim.volumes.until(
    ({ standing, retired }) => standing === 'idle' && retired.every(({ isDue }) => !isDue),
  )
  expect(record).toMatchObject({ mover: null, moves: {}, fittings: {} })
}

async function acquireVolume(sim: MoveSim, token = 'n1'): Promise<void> {
  const used = { chunkBytesUsed: 0, at: sim.volumes.h.clock.now() }
  await sim.volumes.ask({ type: 'ACQUIRE', token, retainMs: 10 ** 9, ...used })
}

const returnVolume = (sim: MoveSim) =>
  sim.volumes.ask({ type: 'RETURN', token: 'n1', chunkBytesUsed: 0, at: sim.volumes.h.clock.now() })

describe('one mover of a unit', () => {
  it('is all there is, also when two ask at once', async () => {
    const sim = await MoveSim.open()
    const both = await Promise.allSettled([sim.add(0), sim.add(0)])
    const [added] = both.filter(({ status }) => status === 'fulfilled')
    const refused = both.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    expect(added).toBeDefined()
    expect(refused.reason).toMatchObject({ status: 601, code: 'already-exists' })
    expect(String(refused.reason.message)).toContain((added as { value: string }).value)
  })

  it('is asked for again once the first has ended', async () => {
    const sim = await MoveSim.open()
    await sim.ended(await sim.add(0))
    const again = await sim.add(0)
    expect(await sim.ended(again)).toMatchObject({ state: 4 })
    expect((await sim.unit(0)).vuid).toBe((await sim.record(again)).destination.vuid)
    expect(vuidParts((await sim.unit(0)).vuid).epoch).toBe(3)
  })

  it('that was announced and never began stands in the way for half a minute', async () => {
    const sim = await MoveSim.open()
    const { vuid } = await sim.unit(0)
    const at = sim.volumes.h.clock.now()
    await sim.volumes.ask({ type: 'ADD_MOVE', vuid, mover: 'balance-1-1-gone', at })
    expect(await failure(sim.volumes.h, sim.add(0))).toMatchObject({ code: 'already-exists' })
    await sim.volumes.h.advance(31_000)
    expect(await sim.ended(await sim.add(0))).toMatchObject({ state: 4 })
  })

  it('that was announced and never began is forgotten, also when nobody asks', async () => {
    const sim = await MoveSim.open()
    const { vuid } = await sim.unit(0)
    const live = await sim.add(1)
    const off = { type: 'SWITCH', name: 'disk_drop', isOn: false }
    await sim.run(sim.client.send('move-lane/disk_drop', off))
    const waiting = await sim.add(2, { type: 'disk_drop' })
    const at = sim.volumes.h.clock.now()
    await sim.volumes.ask({ type: 'ADD_MOVE', vuid, mover: 'balance-1-1-gone', at })
    await sim.volumes.h.advance(35_000)
    const { moves } = await sim.volumes.record()
    expect(moves).toMatchObject({ 1: { mover: live }, 2: { mover: waiting } })
    expect(moves).not.toHaveProperty('0')
  })

  it('cannot be had of a unit that was moved, or that there is not', async () => {
    const sim = await MoveSim.open()
    const { vuid: sourceVuid } = await sim.unit(0)
    await sim.ended(await sim.add(0))
    expect(await failure(sim.volumes.h, sim.add(0, { sourceVuid }))).toMatchObject({ status: 918 })
    const other = failure(sim.volumes.h, sim.add(0, { sourceVuid: (77n << 32n) | 1n }))
    expect(await other).toMatchObject({ status: 904 })
  })

  for (const how of ['delete', 'cancel'] as const) {
    it(`that was ended by hand (${how}) leaves neither a lock nor a count behind`, async () => {
      const sim = await MoveSim.open()
      const taskId = await sim.add(0, { type: 'disk_drop' })
      await sim.at(taskId, 'prepared.queued', IDLE)
      expect(await sim.volumes.record()).toMatchObject({ standing: 'lock', mover: taskId })
      await sim.run(sim.client[how](`migrate-task/${taskId}`))
      await sim.volumes.h.advance(130_000)
      expect(await sim.volumes.record()).toMatchObject({ standing: 'idle', mover: null, moves: {} })
      expect(await sim.context('move-lane/disk_drop')).toMatchObject({
        ...{ inHand: {}, counts: { preparing: 0, workerDoing: 0 } },
      })
    })
  }

  it.each(['disk_drop', 'disk_repair'] as const)(
    'that was deleted by hand while it had the volume holds nobody up (%s), and its lock goes',
    async (type) => {
      const sim = await MoveSim.open()
      const first = await sim.add(0)
      await sim.at(first, 'prepared.queued', IDLE)
      await sim.run(sim.client.delete(`migrate-task/${first}`))
      // Who repairs what was on a broken disk locks nothing, and unlocks nothing.
      if (type === 'disk_repair')
        await sim.run(sim.volumes.disks.set((await sim.unit(1)).diskId, 2))
      const second = await sim.add(1, { type })
      expect(await sim.ended(second)).toMatchObject({ state: 4 })
      await expectFree(sim)
    },
  )

  it('of a volume is at it at a time', async () => {
    const sim = await MoveSim.open()
    const first = await sim.add(0)
    await sim.at(first, 'prepared.queued', IDLE)
    const second = await sim.add(1)
    const { wait } = await sim.at(second, 'inited.delayed', IDLE)
    expect(wait?.why).toContain(first)
    expect(wait?.until).toBeGreaterThan(sim.volumes.h.clock.now())
    await sim.ended(first)
    expect(await sim.ended(second)).toMatchObject({ state: 4 })
    await expectFree(sim)
  })
})

describe('a volume that is written to', () => {
  it('is waited for by whoever empties a disk, who has no place in the lane meanwhile', async () => {
    const sim = await MoveSim.open()
    await acquireVolume(sim)
    const taskId = await sim.add(0, { type: 'disk_drop' })
    const { wait } = await sim.at(taskId, 'inited.delayed')
    expect(wait?.why).toContain('is written to by n1')
    await sim.volumes.h.advance(100)
    expect(await sim.context('move-lane/disk_drop')).toMatchObject({
      ...{ inHand: {}, counts: { preparing: 1 } },
    })
    expect(await sim.volumes.record()).toMatchObject({ standing: 'active', mover: null })
    const late = { ...(await sim.unit(0)), type: 'CLAIM_MOVE', mover: taskId, turn: 1, at: 1 }
    expect(await sim.volumes.ask(late)).toMatchObject({ refused: 929 })
    await returnVolume(sim)
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
    await expectFree(sim)
  })

  for (const type of ['balance', 'manual_migrate'] as const) {
    it(`is left alone by ${type}`, async () => {
      const sim = await MoveSim.open()
      await acquireVolume(sim)
      const taskId = await sim.add(0, { type })
      const ended = await sim.ended(taskId)
      expect(ended).toMatchObject({ state: 5, finishAdvanceReason: 'lock volume fail' })
      expect(ended.lastError).toContain('is written to by n1')
      expect(await sim.volumes.record()).toMatchObject({
        standing: 'active',
        mover: null,
        moves: {},
      })
      expect((await sim.context('owner/o'))['seen']).toEqual(['finished_in_advance'])
      const lane = await sim.context(`move-lane/${type}`)
      expect(lane).toMatchObject({ inHand: {}, counts: { preparing: 0 } })
    })
  }
})

it('ends in advance when its unit was moved by somebody else', async () => {
  const sim = await MoveSim.open()
  const taskId = await sim.add(0)
  const { destination, sourceVuid } = await sim.at(taskId, 'prepared.queued', IDLE)
  const swap = { newVuid: destination.vuid, oldVuid: sourceVuid, newDiskId: destination.diskId }
  const by = { claim: { mover: taskId, turn: 1 }, at: 1 }
  await sim.volumes.ask({ type: 'UPDATE_UNIT', ...swap, ...by })
  await sim.volumes.ask({ type: 'ALLOC_UNIT', vuid: destination.vuid, ...by })
  const next = await sim.volumes.until(({ fittings }) => fittings[0]?.step === 'ready')
  const { epoch = 0, diskId = 0 } = next.fittings[0] ?? {}
  const further = { newVuid: (sourceVuid & ~0xffffffn) | BigInt(epoch), newDiskId: diskId }
  const oldVuid = destination.vuid
  await sim.volumes.ask({ type: 'UPDATE_UNIT', ...further, oldVuid, ...by })
  sim.shards.set(`${diskId}/${further.newVuid}`, new Map())
  const ended = await sim.ended(taskId)
  expect(ended).toMatchObject({ state: 5, finishAdvanceReason: 'volume has migrated' })
  await expectFree(sim)
})

describe('a worker', () => {
  it('that finds the new disk bad gets another one', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    const { destination: bad } = await sim.at(taskId, 'prepared.queued', IDLE)
    const held = await sim.acquire('w1')
    await sim.ask({ type: 'RECLAIM', worker: 'w1', ...held, reason: 'disk is broken' })
    const { destination } = await sim.until(
      taskId,
      (_, { destination: now }) => now.vuid !== bad.vuid,
      IDLE,
    )
    expect(destination.diskId).not.toBe(bad.diskId)
    const ended = await sim.ended(taskId)
    expect(ended).toMatchObject({ state: 4, excludes: [bad.diskId] })
    await expectFree(sim)
  })

  it('that gives up is followed by another one a while later, and the reason is seen', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    await sim.at(taskId, 'prepared.queued', IDLE)
    const held = await sim.acquire('w1')
    const reason = 'not ready for migrate'
    const begun = sim.volumes.h.clock.now()
    await sim.ask({ type: 'CANCEL', worker: 'w1', ...held, reason, punishMs: 20_000 })
    const { wait } = await sim.at(taskId, 'prepared.delayed', IDLE)
    expect(wait).toMatchObject({ why: `w1 gave it up: ${reason}` })
    expect(wait?.until).toBeGreaterThanOrEqual(begun + 20_000)
    await sim.ended(taskId)
    expect(sim.volumes.h.clock.now() - begun).toBeGreaterThanOrEqual(20_000)
  })

  const giveUp = async (sim: MoveSim, taskId: string, type: 'CANCEL' | 'RECLAIM' = 'CANCEL') => {
    await sim.until(
      taskId,
      ({ value }, { lease }) => pathOf(value).startsWith('prepared') && lease === null,
      IDLE,
    )
    for (let waited = 0; waited < 60; waited++) {
      const held = await sim.acquire('w1')
      if (held !== undefined) {
        const how = { type, worker: 'w1', ...held, reason: 'no good' }
        return void (await sim.ask(type === 'CANCEL' ? { ...how, punishMs: 20_000 } : how))
      }
      await sim.volumes.h.advance(1_000)
    }
    throw new Error('there is nothing to do')
  }

  for (const type of ['CANCEL', 'RECLAIM'] as const) {
    it(`after worker that gives up (${type}) gives its place back, and its sources are read anew`, async () => {
      const sim = await MoveSim.open()
      const taskId = await sim.add(0, { type: 'disk_drop' })
      await sim.at(taskId, 'prepared.queued', IDLE)
      for (let times = 0; times < 5; times++) await giveUp(sim, taskId, type)
      const { wait } = await sim.at(taskId, 'inited.delayed', IDLE)
      expect(wait?.why).toContain('no good')
      await expectOpen(sim, taskId)
      expect(await sim.context('move-lane/disk_drop')).toMatchObject({
        ...{ inHand: {}, counts: { preparing: 1, workerDoing: 0 } },
      })
      expect((await sim.context('worker-queue/z'))['offers']).toEqual({})
      expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
      await expectFree(sim)
    })
  }

  it('after worker that gives up leaves it to a person, after longer and longer waits', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    const waits: number[] = []
    for (let times = 1; times <= 25; times++) {
      await giveUp(sim, taskId)
      if (times % 5 !== 0 || times === 25) continue
      waits.push((await sim.at(taskId, 'inited.delayed', IDLE)).waitMs)
    }
    expect(waits).toEqual([60_000, 120_000, 240_000, 480_000])
    const { wait } = await sim.at(taskId, 'parked', IDLE)
    expect(wait?.why).toContain('25 workers in a row')
    await expectOpen(sim, taskId)
    const lane = await sim.context('move-lane/manual_migrate')
    expect(lane).toMatchObject({ inHand: {}, counts: { preparing: 0, workerDoing: 0 } })
    expect((await sim.context('worker-queue/z'))['offers']).toEqual({})
    await sim.send(taskId, 'RETRY')
    expect(await sim.ended(taskId)).toMatchObject({ state: 4, giveUps: 0 })
  })

  it('has the task while its queue is deleted by hand: it is offered again', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    await sim.at(taskId, 'prepared.queued', IDLE)
    await sim.acquire('w1')
    await sim.at(taskId, 'prepared.leased', IDLE)
    await sim.run(sim.client.delete('worker-queue/z'))
    await sim.run(sim.client.ensure('worker-queue/z', { idc: 'z' }))
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
  })

  it('that falls silent loses the task; what it reported is seen', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    await sim.at(taskId, 'prepared.queued', IDLE)
    const held = await sim.acquire('w1')
    const stat = { doneSize: 10, doneCount: 1, totalSize: 40, totalCount: 4, progress: 25 }
    const report = { type: 'REPORT', worker: 'w1', ...held, stat, shards: 1, bytes: 10 }
    await sim.ask(report)
    const leased = await sim.until(taskId, (_, { stat: now }) => now.progress === 25, IDLE)
    expect(leased.lease).toMatchObject({ worker: 'w1' })
    const { lease, lastError } = await sim.at(taskId, 'prepared.queued', IDLE)
    expect(lease).toBeNull()
    expect(lastError).toContain('w1')
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
  })

  it('has no queue yet in an idc: the task is offered again, and says so meanwhile', async () => {
    const sim = await MoveSim.open()
    sim.opensQueues = false
    const taskId = await sim.add(0, { sourceIdc: 'nowhere' })
    const { wait } = await sim.until(taskId, (_, { isUnheard }) => isUnheard, IDLE)
    expect(wait?.why).toContain('no queue of workers of idc nowhere')
    await sim.run(sim.client.ensure('worker-queue/nowhere', { idc: 'nowhere' }))
    await sim.volumes.h.advance(15_000)
    expect(await sim.record(taskId)).toMatchObject({ isUnheard: false, lease: null })
    expect((await sim.context('worker-queue/nowhere'))['offers']).toHaveProperty([taskId])
  })
})

describe('a copy that is not whole', () => {
  it('is completed by a worker once more', async () => {
    const sim = await MoveSim.open()
    let copies = 0
    sim.beforeComplete = (dest) => {
      copies += 1
      if (copies === 1) dest.delete(3n)
    }
    const taskId = await sim.add(0)
    const { lastError } = await sim.at(taskId, 'prepared.pausing')
    expect(lastError).toContain('lacks 1 shards')
    const ended = await sim.ended(taskId)
    expect(ended).toMatchObject({ state: 4, workerRedoCnt: 1 })
    expect(sim.shards.get(`${ended.destination.diskId}/${ended.destination.vuid}`)?.size).toBe(5)
    expect(sim.repairs).toEqual([])
  })

  it('twice takes its place, and what it lacks is asked for', async () => {
    const sim = await MoveSim.open()
    sim.beforeComplete = (dest) => dest.delete(3n)
    expect(await sim.ended(await sim.add(0))).toMatchObject({ state: 4, workerRedoCnt: 1 })
    expect(sim.repairs).toEqual([{ bid: 3n, badIndexes: [0] }])
  })
})

describe('a move that is redone again and again', () => {
  const chunkGoes = (sim: MoveSim) => {
    sim.beforeComplete = () => {}
    return async (taskId: string) => {
      const { destination: at } = await sim.record(taskId)
      sim.volumes.chunks.delete(`${at.diskId}/${at.vuid}`)
    }
  }

  it('is parked, holds nothing meanwhile, and goes on when it is told to', async () => {
    const sim = await MoveSim.open()
    const lose = chunkGoes(sim)
    const taskId = await sim.add(0)
    for (let copies = 0; copies <= 5; copies++) {
      await sim.at(taskId, 'prepared.queued', IDLE)
      const held = await sim.acquire('w1')
      if (held === undefined) throw new Error('there is nothing to do')
      await lose(taskId)
      await sim.complete('w1', held)
      await sim.until(taskId, (_, { state }) => state !== 3, IDLE)
    }
    const { wait, workerRedoCnt } = await sim.at(taskId, 'parked', IDLE)
    expect(workerRedoCnt).toBe(5)
    expect(wait?.why).toContain('send RETRY')
    const volume = await sim.volumes.until(({ standing }) => standing === 'idle')
    expect(volume).toMatchObject({ mover: null, moves: { 0: { mover: taskId } } })
    const lane = await sim.context('move-lane/manual_migrate')
    expect(lane).toMatchObject({ inHand: {}, counts: { preparing: 0, workerDoing: 0 } })
    expect(await failure(sim.volumes.h, sim.add(0))).toMatchObject({ status: 601 })
    await sim.send(taskId, 'RETRY')
    expect(await sim.ended(taskId)).toMatchObject({ state: 4, workerRedoCnt: 0 })
    await expectFree(sim)
  })
})

it('waits for room where there is none, with nothing held, and says so', async () => {
  const sim = await MoveSim.open()
  for (let diskId = 1; diskId <= 8; diskId++) {
    await sim.run(sim.volumes.disks.setReadonly(diskId, true))
  }
  const taskId = await sim.add(0)
  const begun = sim.volumes.h.clock.now()
  const { wait } = await sim.at(taskId, 'inited.delayed', IDLE)
  expect(wait?.until).toBeGreaterThanOrEqual(begun + 60_000)
  await expectOpen(sim, taskId)
  for (let diskId = 1; diskId <= 8; diskId++) {
    await sim.run(sim.volumes.disks.setReadonly(diskId, false))
  }
  await sim.send(taskId, 'RETRY')
  expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
  expect(sim.volumes.h.clock.now() - begun).toBeLessThan(60_000)
})

async function expectOpen(sim: MoveSim, taskId: string): Promise<void> {
  const volume = await sim.volumes.until(({ standing }) => standing === 'idle')
  expect(volume).toMatchObject({ mover: null, moves: { 0: { mover: taskId } } })
}

it('of a broken disk needs no lock, and reads nothing there', async () => {
  const sim = await MoveSim.open()
  await acquireVolume(sim)
  const { diskId } = await sim.unit(0)
  await sim.run(sim.volumes.disks.set(diskId, 2))
  const taskId = await sim.add(0, { type: 'disk_repair' })
  const record = await sim.at(taskId, 'prepared.queued', IDLE)
  expect(record).toMatchObject({ forbiddenDirectDownload: true })
  expect(await sim.volumes.record()).toMatchObject({ standing: 'active', mover: taskId })
  await sim.ended(taskId)
  const volume = await sim.volumes.until(({ retired }) => retired.length === 0)
  expect(volume).toMatchObject({ standing: 'active', mover: null, moves: {} })
  expect(volume.units[0]?.diskId).not.toBe(diskId)
})

it('of a chunk that could not be used ends when that can be used again', async () => {
  const sim = await MoveSim.open()
  const before = await sim.unit(0)
  const taskId = await sim.add(0, { type: 'disk_repair' })
  const finishAdvanceReason = 'its old chunk can be used again'
  expect(await sim.ended(taskId)).toMatchObject({ state: 5, finishAdvanceReason })
  expect(await sim.unit(0)).toEqual(before)
  await expectFree(sim)
})

describe('an operator', () => {
  const states = ['inited.waiting', 'prepared.queued', 'prepared.leased', 'prepared.delayed']
  for (const state of states) {
    it(`cancels it in ${state}`, async () => {
      const sim = await MoveSim.open()
      if (state === 'inited.waiting') {
        const off = { type: 'SWITCH', name: 'disk_drop', isOn: false }
        await sim.run(sim.client.send('move-lane/disk_drop', off))
      }
      const before = await sim.unit(0)
      const taskId = await sim.add(0, { type: 'disk_drop' })
      await sim.at(taskId, state === 'inited.waiting' ? state : 'prepared.queued', IDLE)
      const isHeld = state === 'prepared.leased' || state === 'prepared.delayed'
      const held = isHeld ? await sim.acquire('w1') : undefined
      if (state === 'prepared.delayed') {
        await sim.ask({ type: 'CANCEL', worker: 'w1', ...held, reason: 'r', punishMs: 20_000 })
      }
      await sim.at(taskId, state, IDLE)
      expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
      expect(pathOf((await sim.view(taskId)).value)).toBe('cancelled')
      await expectFree(sim)
      expect(await sim.unit(0)).toEqual(before)
      const lane = await sim.context('move-lane/disk_drop')
      expect(lane).toMatchObject({ inHand: {}, counts: { preparing: 0, workerDoing: 0 } })
      expect((await sim.context('owner/o'))['seen']).toEqual(['cancelled'])
      expect(sim.volumes.chunks.size).toBe(3)
      if (held !== undefined) {
        expect(await sim.complete('w1', held)).toMatchObject({ refused: expect.anything() })
      }
    })
  }

  it('cancels it while a step is under way, behind that step', async () => {
    const sim = await MoveSim.open()
    const taskId = await sim.add(0)
    for (let waited = 0; waited < 500; waited++) {
      if (pathOf((await sim.view(taskId)).value).startsWith('preparing')) break
      await sim.volumes.h.advance(1)
    }
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject({ reply: { ok: true } })
    await sim.at(taskId, 'cancelled', IDLE)
    await expectFree(sim)
  })

  it('comes too late once it is swapped', async () => {
    const sim = await MoveSim.open()
    // The old chunk cannot be released: it is looked after again and again.
    sim.volumes.fate = (verb) => (verb === 'release' ? 628 : 'done')
    const taskId = await sim.add(0)
    await sim.at(taskId, 'work_completed.settlePausing')
    const refused = { reply: { refused: 'too-late' } }
    expect(await sim.send(taskId, 'CANCEL')).toMatchObject(refused)
    const { wait } = await sim.record(taskId)
    expect(wait?.why).toContain('is still on disk')
    sim.volumes.fate = () => 'done'
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
  })

  it('gives it another priority, by which it is found', async () => {
    const sim = await MoveSim.open()
    const off = { type: 'SWITCH', name: 'disk_drop', isOn: false }
    await sim.run(sim.client.send('move-lane/disk_drop', off))
    const first = await sim.add(0, { type: 'disk_drop' })
    await sim.volumes.h.advance(1_000)
    const second = await sim.add(1, { type: 'disk_drop' })
    const order = async () => {
      const query = { filter: { machine: 'migrate-task' }, sort: { by: 'turn_disk_drop' } }
      return (await sim.run(sim.client.list(query))).rows.map(({ address }) => address)
    }
    expect(await order()).toEqual([first, second].map((id) => `migrate-task/${id}`))
    await sim.send(second, 'PRIORITY', { priority: 1 })
    expect(await order()).toEqual([second, first].map((id) => `migrate-task/${id}`))
  })
})

it('is readable for three days behind its end', async () => {
  const sim = await MoveSim.open()
  const taskId = await sim.add(0)
  await sim.ended(taskId)
  expect(await sim.record(taskId)).toMatchObject({ state: 4, sources: { length: 3 } })
  expect(migrateTask.retention).toMatchObject({ finishedMs: 3 * 86_400_000 })
})
