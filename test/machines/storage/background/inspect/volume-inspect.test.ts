/** Passes over all volumes, by the clock of a simulation: leases, time-outs, waits, switches, crashes. */
import { expect, it } from 'vitest'
import {
  inspectionAddress,
  inspectView,
} from '../../../../../machines/storage/background/inspect/index.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'
import { get } from '../../../../shard/support.ts'
import { InspectRig, vidOf } from './inspect-rig.ts'

const HOUR_MS = 3_600_000
const LEASE_MS = 30_000

it('nothing is given out while the switch is closed, and what is given out is taken back', async () => {
  const rig = new InspectRig()
  await rig.begin([1, 2], { isOn: false })
  expect(await rig.acquire()).toBeUndefined()
  expect((await rig.record()).waits).toEqual({
    ...{ why: 'volume_inspect is switched off', until: null },
  })
  await rig.set(true)
  const task = await rig.acquire()
  expect(task).toMatchObject({ mode: 100, lease_ms: LEASE_MS })
  expect(task?.replicas.map(({ disk_id }) => disk_id)).toEqual([1, 2, 3])
  await rig.set(false)
  const refused = { refused: 'switched_off' }
  expect(await rig.report(task?.task_id ?? '', { more: true })).toMatchObject(refused)
  expect(await rig.report(task?.task_id ?? '')).toMatchObject(refused)
  expect(await rig.acquire()).toBeUndefined()
  // Nobody was late.
  await rig.h.advance(2 * LEASE_MS)
  await rig.set(true)
  expect((await rig.record()).totals).toEqual({ finished: 0, timedOut: 0 })
  expect(await rig.inspectAll()).toEqual([1, 2])
})

it('goes over all volumes in their order, page by page, and again an hour after it began', async () => {
  const rig = new InspectRig({ batchCount: 3 })
  await rig.addVolume(5, 'creating')
  await rig.begin([10, 9, 2, 4, 3, 1, 7, 8])
  expect(await rig.inspectAll()).toEqual([1, 2, 3, 4, 7, 8, 9, 10])
  const { pass, waits } = await rig.record()
  expect(pass).toMatchObject({ number: 1, inspected: 8, setAside: 0 })
  expect(await rig.state()).toEqual({ on: 'resting' })
  expect(waits?.why).toContain('pass 1 is done')
  expect(waits?.until).toBe((pass.begunAt ?? 0) + HOUR_MS)
  await rig.h.advance(HOUR_MS / 2)
  expect(await rig.acquire()).toBeUndefined()
  await rig.h.advance(HOUR_MS / 2)
  expect(await rig.inspectAll()).toEqual([1, 2, 3, 4, 7, 8, 9, 10])
  expect(await rig.record()).toMatchObject({ pass: { number: 2 }, passBefore: { number: 1 } })
})

it('an operator begins the next pass, or has one volume inspected', async () => {
  const rig = new InspectRig()
  await rig.begin([1, 2])
  expect(await rig.h.run(rig.inspections.begin('ann'))).toMatchObject({ refused: 'under_way' })
  await rig.inspectAll()
  expect(await rig.h.run(rig.inspections.inspect(2, 'ann'))).toEqual({ ok: true })
  expect(await rig.inspectAll()).toEqual([2])
  expect(await rig.h.run(rig.inspections.begin('ann'))).toEqual({ ok: true })
  await rig.h.advance(100)
  expect(await rig.inspectAll()).toEqual([1, 2])
  await expect(rig.h.run(rig.inspections.inspect(901, 'ann'))).rejects.toMatchObject({
    status: 904,
  })
  await rig.set(false)
  expect(await rig.h.run(rig.inspections.begin('ann'))).toMatchObject({ refused: 'switched_off' })
})

it('a worker that is lost holds nobody up: its volume is the next one’s, and its late word counts no more', async () => {
  const rig = new InspectRig()
  await rig.begin([1, 2])
  const lost = await rig.acquire('w1')
  expect(await rig.inspectAll()).toEqual([2])
  await rig.h.advance(LEASE_MS - 1_000)
  expect(await rig.acquire('w2')).toBeUndefined()
  await rig.h.advance(1_100)
  const again = await rig.acquire('w2')
  expect([lost, again].map((task) => task && vidOf(task))).toEqual([1, 1])
  expect(again?.task_id).not.toBe(lost?.task_id)
  const late = rig.report(lost?.task_id ?? '', { lost_cnt: 1 })
  expect(await late).toMatchObject({ refused: 'unknown_task' })
  await expect(get(rig.h, inspectionAddress(1))).rejects.toMatchObject({ code: 'unknown-actor' })
  expect(await rig.report(again?.task_id ?? '')).toEqual({ ok: true })
  const record = await rig.record()
  expect(record).toMatchObject({ totals: { finished: 2, timedOut: 1 }, pass: { inspected: 2 } })
  const { perMinute } = inspectView(record, rig.h.clock.now())
  expect(perMinute.timedOut.reduce((sum, n) => sum + n)).toBe(1)
  expect(perMinute.finished.reduce((sum, n) => sum + n)).toBe(2)
})

it('a worker that says that it is at it keeps its volume', async () => {
  const rig = new InspectRig()
  await rig.begin([1])
  const task = await rig.acquire()
  for (let turn = 0; turn < 5; turn++) {
    await rig.h.advance(LEASE_MS - 1_000)
    expect(await rig.report(task?.task_id ?? '', { more: true })).toEqual({ ok: true })
  }
  expect(await rig.acquire('w2')).toBeUndefined()
  expect(await rig.report(task?.task_id ?? '')).toEqual({ ok: true })
})

it('a volume that fails waits, and is left to the next pass when it fails too often', async () => {
  const rig = new InspectRig({ triesMax: 2, retryMs: 60_000 })
  await rig.begin([1, 2])
  const failing = async () => {
    const task = await rig.acquire()
    return task && rig.report(task.task_id, { inspect_err_str: 'disk 3 does not answer' })
  }
  expect(await failing()).toEqual({ ok: true })
  expect(await rig.inspectAll()).toEqual([2])
  const { volumes } = await rig.record()
  expect(volumes[1]).toMatchObject({ tries: 1, lastError: 'disk 3 does not answer' })
  expect(volumes[1]?.retryAt).toBeGreaterThan(rig.h.clock.now())
  await rig.h.advance(60_100)
  expect(await failing()).toEqual({ ok: true })
  await rig.h.advance(100)
  expect(await rig.record()).toMatchObject({
    pass: { number: 1, inspected: 1, setAside: 1 },
    setAside: [{ vid: 1, why: 'disk 3 does not answer' }],
  })
  expect(await rig.state()).toEqual({ on: 'resting' })
  await rig.h.advance(HOUR_MS)
  expect(await rig.inspectAll()).toEqual([1, 2])
})

it('a volume that was removed is dismissed, with what was known of it', async () => {
  const rig = new InspectRig()
  await rig.begin([1, 950])
  await rig.h.run(
    rig.h.client.start(inspectionAddress(950), {
      ...{ vid: 950, at: 1, worker: '', error: null, lostBlobs: [], troubles: [], remakes: [] },
      ...{ blobs: 0, shards: 0, bytes: 0, missed: 0, corrupt: 0, lost: 0 },
    }),
  )
  expect(await rig.inspectAll()).toEqual([1])
  expect((await rig.record()).volumes).toEqual({})
  await expect(get(rig.h, inspectionAddress(950))).rejects.toMatchObject({ code: 'unknown-actor' })
})

it('what was found of a volume that was deleted since goes with the end of the next pass', async () => {
  const rig = new InspectRig({ batchCount: 2 })
  await rig.begin([1, 2, 3, 10, 11])
  await rig.inspectAll()
  const known = async () => {
    const { rows } = await rig.h.run(
      rig.h.client.list({ filter: { machine: 'volume-inspection' }, sort: { by: 'vid' } }),
    )
    return rows.map(({ index }) => index['vid'])
  }
  expect(await known()).toEqual([1, 2, 3, 10, 11])
  for (const vid of [2, 10, 11]) await rig.deleteVolume(vid)
  await rig.addVolume(12)
  expect(await rig.h.run(rig.inspections.begin('ann'))).toEqual({ ok: true })
  await rig.h.advance(100)
  expect(await rig.inspectAll()).toEqual([1, 3, 12])
  await rig.h.advance(100)
  expect(await known()).toEqual([1, 3, 12])
  expect(await rig.state()).toEqual({ on: 'resting' })
})

it('a worker that waits is given a volume as soon as there is one', async () => {
  const rig = new InspectRig()
  await rig.begin([1], { isOn: false })
  const waiting = rig.inspections.acquire({ worker: 'w1', waitMs: 20_000 })
  await rig.h.advance(3_000)
  await rig.set(true)
  const begunAt = rig.h.clock.now()
  expect(vidOf((await rig.h.run(waiting)) as never)).toBe(1)
  expect(rig.h.clock.now() - begunAt).toBeLessThan(1_000)
  const nothing = rig.inspections.acquire({ worker: 'w2', waitMs: 2_000 })
  await rig.h.advance(2_100)
  expect(await rig.h.run(nothing)).toBeUndefined()
})

it('a volume whose worker has gone before it had it is free at once, and that was no try', async () => {
  const rig = new InspectRig()
  await rig.begin([1])
  const gone = new AbortController()
  rig.onView = () => gone.abort()
  const acquiring = rig.inspections.acquire({ worker: 'w1', waitMs: 9_000, signal: gone.signal })
  expect(await rig.h.run(acquiring)).toBeUndefined()
  expect((await rig.record()).volumes[1]).toMatchObject({ lease: null, tries: 0, retryAt: null })
  expect(await rig.inspectAll()).toEqual([1])
  expect((await rig.record()).totals).toEqual({ finished: 1, timedOut: 0 })
})

it('a volume whose mapping cannot be read waits, and holds no other up', async () => {
  const rig = new InspectRig({ retryMs: 60_000, triesMax: 2 })
  await rig.begin([1, 2])
  rig.onView = (vid) => {
    if (vid === 1) throw new TroupeError('unavailable', 'its shard is elsewhere')
  }
  await expect(rig.acquire()).rejects.toMatchObject({ code: 'unavailable' })
  const lastError = 'its mapping cannot be read: its shard is elsewhere'
  expect((await rig.record()).volumes[1]).toMatchObject({ lease: null, tries: 1, lastError })
  expect(await rig.inspectAll()).toEqual([2])
  await rig.h.advance(60_100)
  await expect(rig.acquire()).rejects.toMatchObject({ code: 'unavailable' })
  await rig.h.advance(100)
  expect(await rig.record()).toMatchObject({
    pass: { setAside: 1 },
    setAside: [{ why: lastError }],
  })
})

it('says that no worker has asked while there is a volume that nobody has', async () => {
  const rig = new InspectRig()
  await rig.begin([1])
  const waits = async () => inspectView(await rig.record(), rig.h.clock.now()).waits
  expect((await waits())?.why).toContain('no worker has asked')
  await rig.acquire()
  expect(await waits()).toBeNull()
})

it('says why it cannot go on when the volumes cannot be listed, and goes on when they can', async () => {
  const rig = new InspectRig()
  rig.isFailing = true
  await rig.begin([1])
  // It is tried three times.
  await rig.h.advance(3_000)
  expect(await rig.state()).toEqual({ on: 'stumbling' })
  expect((await rig.record()).waits?.why).toContain('as the test wants it')
  rig.isFailing = false
  await rig.h.advance(5_100)
  expect(await rig.inspectAll()).toEqual([1])
})

it('a pass whose last look fails ends all the same, and says why', async () => {
  const rig = new InspectRig()
  await rig.begin([1])
  const task = await rig.acquire()
  rig.isFailing = true
  await rig.report(task?.task_id ?? '')
  // It is tried three times.
  await rig.h.advance(20_000)
  expect(await rig.state()).toEqual({ on: 'resting' })
  expect((await rig.record()).waits).toMatchObject({
    ...{ why: expect.stringMatching(/^pass 1 is done.*as the test wants it/) },
    until: expect.any(Number),
  })
  rig.isFailing = false
  await rig.h.advance(HOUR_MS)
  expect(await rig.inspectAll()).toEqual([1])
})

it('finds its place again where the list has forgotten it', async () => {
  const rig = new InspectRig({ batchCount: 2 })
  await rig.begin([1, 2, 3, 4, 5])
  expect(await rig.inspectAll(1)).toEqual([1])
  await rig.h.run(rig.h.client.patch('volume-inspect/main', { cursor: 'nonsense' }))
  expect(await rig.inspectAll()).toEqual([2, 3, 4, 5])
  expect((await rig.record()).pass).toMatchObject({ number: 1, inspected: 5 })
})

it('repairs are asked for before the inspection counts as done', async () => {
  const rig = new InspectRig()
  await rig.begin([7])
  const { task_id = '' } = (await rig.acquire()) ?? {}
  const shard = (index: number, bid: bigint) => ({ vuid: vuidOf({ vid: 7, index, epoch: 1 }), bid })
  const found = {
    missed_shards: [shard(2, 5n), shard(0, 5n)],
    corrupt_shards: [shard(1, 5n), shard(1, 6n)],
  }
  rig.failsRepairs = true
  await expect(rig.report(task_id, found)).rejects.toMatchObject({ code: 'unavailable' })
  expect((await rig.record()).totals.finished).toBe(0)
  rig.failsRepairs = false
  expect(await rig.report(task_id, { ...found, more: true })).toEqual({ ok: true })
  const counts = { missed_cnt: 2, corrupt_cnt: 2, lost_cnt: 1, blob_cnt: 9 }
  const lost_blobs = [{ bid: 8n, whole: [1], away: [] }]
  expect(await rig.report(task_id, { ...counts, lost_blobs })).toEqual({ ok: true })
  expect([...rig.repairs.values()]).toEqual([
    { vid: 7, bid: 5n, badIndexes: [0, 1, 2], reason: 'inspect: 2 missing, 1 corrupt' },
    { vid: 7, bid: 6n, badIndexes: [1], reason: 'inspect: 1 corrupt' },
  ])
  expect((await rig.record()).pass).toMatchObject({ missed: 2, corrupt: 2, lost: 1 })
  const { context, index } = await get(rig.h, inspectionAddress(7))
  expect(context).toMatchObject({ vid: 7, lostBlobs: [{ bid: 8n, whole: [1], away: [] }] })
  expect(index).toMatchObject({ hasLost: true, lost: 1, missed: 2, blobs: 9 })
})

it('of what somebody else says nothing is asked', async () => {
  const rig = new InspectRig()
  await rig.begin([7])
  const { task_id = '' } = (await rig.acquire()) ?? {}
  const missed = (vid: number) => [{ vuid: vuidOf({ vid, index: 0, epoch: 1 }), bid: 5n }]
  for (const id of ['inspect-7-somebody', 'inspect-8', 'balance-1-2-3', 'inspect-0-x', '']) {
    const answer = await rig.report(id, { missed_shards: missed(7) })
    expect(answer, id).toMatchObject({ refused: 'unknown_task' })
  }
  // Nor of another volume.
  expect(await rig.report(task_id, { missed_shards: missed(8) })).toEqual({ ok: true })
  expect(rig.repairs.size).toBe(0)
})

it('the words of a worker of the old store are enough', async () => {
  const rig = new InspectRig()
  await rig.begin([7])
  const { task_id = '' } = (await rig.acquire()) ?? {}
  const old = { inspect_err_str: '', missed_shards: null } as never
  expect(await rig.report(task_id, old)).toEqual({ ok: true })
  expect((await rig.record()).totals.finished).toBe(1)
})

it.each([
  ['behind the switch', 0],
  ['behind the first look', 1],
  ['behind a lease', 2],
  ['behind a report of what was found', 3],
  ['behind the repairs, before the end is said', 4],
  ['behind the end', 5],
  ['behind the last volume', 6],
])('a node that is killed %s goes on, and nothing is left out', async (_, killAt) => {
  const rig = new InspectRig({ batchCount: 2 })
  await rig.begin([1, 2, 3], { isOn: false })
  const step = async (number: number) => {
    if (number === killAt) rig.crash()
    await rig.h.advance(100)
  }
  await rig.set(true)
  await step(0)
  await step(1)
  const task = await rig.acquire()
  await step(2)
  const found = { missed_shards: [{ vuid: vuidOf({ vid: 1, index: 2, epoch: 1 }), bid: 3n }] }
  await rig.report(task?.task_id ?? '', { ...found, more: true })
  await step(3)
  // The repair is asked for again, and the end is not reached.
  await rig.report(task?.task_id ?? '', { ...found, more: true })
  await step(4)
  expect(await rig.report(task?.task_id ?? '', { missed_cnt: 1 })).toEqual({ ok: true })
  await step(5)
  expect(await rig.inspectAll()).toEqual([2, 3])
  await step(6)
  const record = await rig.record()
  expect(record.pass).toMatchObject({ number: 1, inspected: 3, missed: 1, setAside: 0 })
  expect(record.totals).toEqual({ finished: 3, timedOut: 0 })
  expect([...rig.repairs.keys()]).toEqual(['1-3'])
  expect(await rig.state()).toEqual({ on: 'resting' })
})

it('a lease and a wait go on over a crash, and so do the windows', async () => {
  const rig = new InspectRig({ retryMs: 60_000 })
  await rig.begin([1, 2, 3])
  await rig.acquire('lost')
  const task = await rig.acquire()
  await rig.report(task?.task_id ?? '', { inspect_err_str: 'no' })
  await rig.inspectAll()
  rig.crash()
  await rig.h.advance(LEASE_MS + 100)
  expect(await rig.inspectAll()).toEqual([1])
  rig.crash()
  await rig.h.advance(LEASE_MS + 1_000)
  expect(await rig.inspectAll()).toEqual([2])
  const { perMinute, totals } = inspectView(await rig.record(), rig.h.clock.now())
  expect(perMinute.finished.reduce((sum, n) => sum + n)).toBe(4)
  expect(totals).toEqual({ finished: 4, timedOut: 1 })
})
