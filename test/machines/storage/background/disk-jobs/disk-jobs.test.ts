/** Disks that are emptied, from the first word to the last, by the clock of a simulation. */
import { expect, it } from 'vitest'
import {
  diskJobsConfig,
  disksInHand,
} from '../../../../../machines/storage/background/disk-jobs/index.ts'
import { lanesConfig } from '../../../../../machines/storage/background/lanes/index.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { JobSim } from './job-sim.ts'

const DROP = 'disk-drop/1'
const REPAIR = 'disk-repair/1'
const vuid = (vid: number, index = 0, epoch = 1) => vuidOf({ vid, index, epoch })

it('drops a disk: a few moves at a time, then the disk is dropped', async () => {
  const sim = await JobSim.create({ taskLimitPerDisk: 2 })
  for (let vid = 1; vid <= 5; vid++) await sim.world.volume(vid, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 1_000)
  expect(await sim.world.live()).toHaveLength(2)
  let most = 0
  const each = async () => {
    most = Math.max(most, (await sim.world.live()).length)
  }
  await sim.drive(DROP, { each })
  expect(most).toBe(2)
  expect(await sim.job(DROP)).toMatchObject({ end: 'emptied', total: 5, left: 0 })
  expect((await sim.job(DROP)).bytes).toBe(5_000)
  expect(await sim.h.run(sim.world.disks.record(1))).toMatchObject({
    standing: 'dropped',
    units: {},
  })
  const orders = [...sim.world.orders.values()]
  expect(orders.every((one) => one.type === 'disk_drop' && !one.forbiddenDirectDownload)).toBe(true)
  expect(orders.every(({ owner }) => owner === DROP)).toBe(true)
})

it('repairs a broken disk: what has lost most comes first, and nothing is read from it', async () => {
  const sim = await JobSim.create({ taskLimitPerDisk: 1 })
  await sim.world.volume(1, [1, 2, 3])
  await sim.world.volume(2, [1, 2, 3])
  await sim.world.volume(3, [1, 7, 3])
  await sim.breakDisk(7)
  await sim.breakDisk(1)
  await sim.untilState(REPAIR, 'migrating', 1_000)
  const [first] = [...sim.world.orders.values()].filter(({ sourceDiskId }) => sourceDiskId === 1)
  expect(first).toMatchObject({ sourceVuid: vuid(3), type: 'disk_repair', priority: 1 })
  expect(first?.forbiddenDirectDownload).toBe(true)
  expect(await sim.h.run(sim.world.disks.record(1))).toMatchObject({ standing: 'repairing' })
  await sim.drive(REPAIR)
  expect(await sim.h.run(sim.world.disks.record(1))).toMatchObject({ standing: 'repaired' })
  expect(await sim.job(REPAIR)).toMatchObject({ end: 'emptied', total: 3, left: 0 })
})

it('of a broken disk what nobody reads there any more is struck out', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [1, 2, 3])
  await sim.world.volume(2, [1, 2, 3])
  await sim.world.volume(3, [1, 2, 3])
  // Replaced, and kept for readers; given up by its volume; of a volume that was deleted.
  const moved = [{ index: 0, epoch: 2, diskId: 8 }, ...sim.world.record(1).units.slice(1)]
  const retired = [{ index: 0, epoch: 1, diskId: 1, isDue: false }]
  sim.world.change(1, { units: moved, epochs: [2, 1, 1], retired })
  sim.world.change(2, { units: moved, epochs: [2, 1, 1] })
  sim.world.volumes.delete(3)
  await sim.breakDisk(1)
  await sim.untilState(REPAIR, 'done', 60_000)
  expect(sim.world.finished).toEqual([])
  expect(sim.world.record(1).retired).toEqual([])
  expect(await sim.h.run(sim.world.disks.record(1))).toMatchObject({ standing: 'repaired' })
})

it('of a disk that is dropped it waits for what goes by itself, and says for what', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [1, 2, 3])
  const units = [{ index: 0, epoch: 2, diskId: 8 }, ...sim.world.record(1).units.slice(1)]
  const retired = [{ index: 0, epoch: 1, diskId: 1, isDue: false }]
  sim.world.change(1, { units, epochs: [2, 1, 1], retired })
  await sim.drop(1)
  const { wait } = await sim.untilState(DROP, 'verifying', 5_000)
  expect(wait?.why).toBe('1 unit on the disk: 1 is being released')
  expect(wait?.until).toBeGreaterThan(sim.h.clock.now())
  expect(sim.world.calls).not.toContain('release')
  // The disk itself says that it is empty.
  const before = sim.h.clock.now()
  await sim.h.run(sim.world.disks.free(1, vuid(1)))
  await sim.untilState(DROP, 'done', 1_000)
  expect(sim.h.clock.now() - before).toBeLessThan(1_000)
})

it('a unit that comes back to be moved is found again', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  const [first = ''] = await sim.world.live()
  await sim.world.end(first, 'cancelled')
  const { wait } = await sim.untilState(DROP, 'verifying', 2_000)
  expect(wait?.why).toContain('1 unit on the disk')
  await sim.untilState(DROP, 'migrating', 70_000)
  const [second = ''] = await sim.world.live()
  expect(second).not.toBe(first)
  await sim.drive(DROP)
})

it('a chunk that was on its way to the disk is moved when it has come', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [4, 2, 3])
  const { vuid: fresh } = await sim.h.run(
    sim.world.ports(sim.world.process).calls.allocUnit(vuid(1), { excludes: [5, 6, 7, 8] }),
  )
  expect(await sim.world.units(1)).toEqual([fresh.toString()])
  await sim.drop(1)
  const { wait } = await sim.untilState(DROP, 'verifying', 2_000)
  expect(wait?.why).toContain('1 is being made here for another move')
  const units = [{ index: 0, epoch: 2, diskId: 1 }, ...sim.world.record(1).units.slice(1)]
  sim.world.change(1, { units, fittings: {} })
  await sim.drive(DROP)
  expect([...sim.world.orders.values()]).toMatchObject([{ sourceVuid: fresh }])
})

it('a move that stands still takes nobody the place, and is named', async () => {
  const sim = await JobSim.create({ taskLimitPerDisk: 1 })
  await sim.world.volume(1, [1, 2, 3])
  await sim.world.volume(2, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  const [parked = ''] = await sim.world.live()
  await sim.send(`migrate-task/${parked}`, { type: 'PARK' })
  await sim.until('another move', async () => (await sim.world.live()).length === 2, 20_000)
  const other = (await sim.world.live()).find((one) => one !== parked) ?? ''
  await sim.world.finish(other, 8)
  const isNamed = async () => {
    const { index } = await sim.view(DROP)
    return String(index['why']).includes(parked) && index['done'] === 1
  }
  await sim.until('it to be named', isNamed, 20_000)
  expect((await sim.view(DROP)).index).toMatchObject({ still: 1, moving: 1, done: 1, total: 2 })
  await sim.send(`migrate-task/${parked}`, { type: 'RETRY' })
  await sim.drive(DROP)
})

it('a move that was removed by hand is missed, and begun again', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  const [gone = ''] = await sim.world.live()
  await sim.h.run(sim.h.client.cancel(`migrate-task/${gone}`))
  await sim.h.run(sim.h.client.delete(`migrate-task/${gone}`))
  sim.world.change(1, { moves: {} })
  await sim.until('another move', async () => (await sim.world.live()).length === 1, 70_000)
  await sim.drive(DROP)
})

it('a disk that breaks while it is dropped is handed over', async () => {
  const sim = await JobSim.create()
  await sim.world.volume(1, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  const disk = await sim.h.run(sim.world.disks.record(1))
  const { uuid, sizeBytes, freeBytes, usedBytes, chunks, chunksMax } = disk
  const usage = { sizeBytes, freeBytes, usedBytes, chunks, chunksMax }
  const hearing = { at: sim.h.clock.now(), via: 'n1', quietMs: 10 ** 10 }
  await sim.send('disk/1', { type: 'HEARTBEAT', uuid, ...usage, ...hearing, broken: 'EIO' })
  const { wait, end } = await sim.untilState(DROP, 'done', 10_000)
  expect(end).toBe('handed_over')
  expect(wait?.why).toContain('disk-repair/1')
  await sim.drive(REPAIR)
  expect(await sim.h.run(sim.world.disks.record(1))).toMatchObject({ standing: 'repaired' })
})

it('while the switch is closed nothing is begun, and the job says so', async () => {
  const sim = await JobSim.create({ taskLimitPerDisk: 1 }, { isOpen: false })
  await sim.world.volume(1, [1, 2, 3])
  await sim.world.volume(2, [1, 2, 3])
  await sim.drop(1)
  await sim.untilState(DROP, 'queued', 2_000)
  await sim.h.advance(20_000)
  expect(await sim.world.live()).toEqual([])
  expect((await sim.job(DROP)).wait?.why).toBe('the switch disk_drop is closed')
  await sim.toggle('disk_drop', true)
  await sim.untilState(DROP, 'migrating', 1_000)
  await sim.toggle('disk_drop', false)
  const [first = ''] = await sim.world.live()
  await sim.world.finish(first, 8)
  await sim.untilState(DROP, 'verifying', 10_000)
  await sim.h.advance(200_000)
  expect(await sim.world.live()).toEqual([])
  expect((await sim.job(DROP)).wait?.why).toContain('switch is closed')
  await sim.toggle('disk_drop', true)
  await sim.untilState(DROP, 'migrating', 1_000)
  await sim.drive(DROP)
})

it('so many disks of a kind at a time, the others in their order', async () => {
  const sim = await JobSim.create({ diskConcurrency: 2 })
  for (const diskId of [1, 2, 3]) {
    await sim.world.volume(diskId, [diskId, 5, 6])
    await sim.drop(diskId)
  }
  await sim.world.volume(4, [4, 5, 6])
  await sim.breakDisk(4)
  const isMoving = async (address: string) => (await sim.seek(address))?.value === 'migrating'
  await sim.until(
    'two of them',
    async () => (await isMoving('disk-drop/1')) && isMoving('disk-drop/2'),
  )
  await sim.untilState('disk-repair/4', 'migrating', 10_000)
  await sim.untilState('disk-drop/3', 'queued', 10_000)
  expect((await sim.job('disk-drop/3')).wait?.why).toContain('2 other disks are in hand')
  await sim.drive('disk-drop/1')
  await sim.drive('disk-drop/3')
})

it('a job that is removed by hand gives its place to the next, and begins anew', async () => {
  const sim = await JobSim.create({ diskConcurrency: 1 })
  await sim.world.volume(1, [1, 5, 6])
  await sim.world.volume(2, [2, 5, 6])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  await sim.drop(2)
  await sim.untilState('disk-drop/2', 'queued', 2_000)
  await sim.h.run(sim.h.client.cancel(DROP))
  await sim.untilState('disk-drop/2', 'migrating', 20_000)
  await sim.untilState(DROP, 'queued', 20_000)
  await sim.drive('disk-drop/2')
  await sim.drive(DROP)
})

it('a job that waits for its turn is served by a watch that was deleted and begun anew', async () => {
  const sim = await JobSim.create({ diskConcurrency: 1 })
  await sim.world.volume(1, [1, 5, 6])
  await sim.world.volume(2, [2, 5, 6])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  await sim.drop(2)
  await sim.untilState('disk-drop/2', 'queued', 2_000)
  await sim.h.run(sim.h.client.cancel('disk-watch/main'))
  await sim.h.run(sim.h.client.delete('disk-watch/main'))
  await sim.h.run(sim.h.client.ensure('disk-watch/main'))
  await sim.drive(DROP)
  await sim.untilState('disk-drop/2', 'migrating', 70_000)
  await sim.drive('disk-drop/2')
})

it('a watch that is begun anew knows which disks are in hand, and serves no more than it may', async () => {
  const sim = await JobSim.create({ diskConcurrency: 2 })
  for (const diskId of [1, 2, 3]) {
    await sim.world.volume(diskId, [diskId, 5, 6])
    await sim.drop(diskId)
  }
  await sim.untilState(DROP, 'migrating', 10_000)
  await sim.untilState('disk-drop/2', 'migrating', 10_000)
  await sim.untilState('disk-drop/3', 'queued', 10_000)
  await sim.h.run(sim.h.client.cancel('disk-watch/main'))
  await sim.h.run(sim.h.client.delete('disk-watch/main'))
  // Nobody is there to tell the jobs.
  await sim.toggle('disk_drop', false)
  await sim.h.run(sim.h.client.ensure('disk-watch/main'))
  await sim.h.advance(5_000)
  expect(await sim.job(DROP)).toMatchObject({ isOn: false })
  await sim.toggle('disk_drop', true)
  await sim.h.advance(200_000)
  expect(await sim.job(DROP)).toMatchObject({ isOn: true })
  const inHand = async () => disksInHand(await sim.context('disk-watch/main'), 'disk_drop').sort()
  expect(await inHand()).toEqual([1, 2])
  expect((await sim.view('disk-drop/3')).value).toMatchObject({ queued: expect.anything() })
  await sim.drive(DROP)
  await sim.drive('disk-drop/2')
  await sim.drive('disk-drop/3')
  expect(await inHand()).toEqual([])
})

it('a job that empties its disk has a place, also where the watch has it among those that wait', async () => {
  const sim = await JobSim.create({ diskConcurrency: 1 })
  await sim.world.volume(1, [1, 5, 6])
  await sim.drop(1)
  await sim.untilState(DROP, 'migrating', 2_000)
  const lines = { disk_drop: [{ job: DROP, isInHand: false }], disk_repair: [] }
  await sim.h.run(sim.h.client.patch('disk-watch/main', { lines }))
  await sim.send('disk-watch/main', { type: 'LOOK' })
  await sim.h.advance(5_000)
  expect(disksInHand(await sim.context('disk-watch/main'), 'disk_drop')).toEqual([1])
})

it('four disks are repaired at a time unless somebody says otherwise, within the places of their lane', async () => {
  const { diskConcurrency, taskLimitPerDisk } = diskJobsConfig.parse({})
  expect(diskConcurrency * taskLimitPerDisk).toBeLessThanOrEqual(
    lanesConfig.parse({}).workQueueSize,
  )
  const sim = await JobSim.create()
  for (const diskId of [1, 2, 3, 4, 5]) await sim.world.volume(diskId, [diskId, 6, 7])
  for (const diskId of [1, 2, 3, 4, 5]) await sim.breakDisk(diskId)
  const jobs = [1, 2, 3, 4].map((diskId) => `disk-repair/${diskId}`)
  for (const job of jobs) await sim.untilState(job, 'migrating', 20_000)
  const { wait } = await sim.untilState('disk-repair/5', 'queued', 20_000)
  expect(wait?.why).toContain('4 other disks are in hand')
})

it('one that is started for a disk that is not dropped does nothing', async () => {
  const sim = await JobSim.create()
  await sim.h.run(sim.h.client.start(DROP, { diskId: 1 }))
  const { end, wait } = await sim.untilState(DROP, 'done', 5_000)
  expect(end).toBe('refused')
  expect(wait?.why).toBe('disk 1 is writable: drop it first')
  await sim.h.run(sim.h.client.start('disk-repair/99', { diskId: 99 }))
  const gone = await sim.untilState('disk-repair/99', 'done', 5_000)
  expect(gone.wait?.why).toContain('there is no disk 99')
})

it('is readable for days after its end, then gone', async () => {
  const sim = await JobSim.create({ finishedKeptMs: 600_000 })
  await sim.drop(1)
  await sim.untilState(DROP, 'done', 5_000)
  await sim.h.advance(500_000)
  expect((await sim.job(DROP)).end).toBe('emptied')
  await sim.h.advance(200_000)
  expect(await sim.seek(DROP)).toBeUndefined()
})
