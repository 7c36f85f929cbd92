/** Disks over HTTP and by the verbs, on a real node: registered, heard, silent, emptied. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { DISK_BYTES, PlaneRig, uuidOf } from '../plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
let rig: PlaneRig
beforeEach(async () => {
  rig = await PlaneRig.create({ plane: { heartbeatMs: 100, heartbeatLossMs: 400 } })
})
afterEach(() => rig.close())

it('are registered, listed and shown', async () => {
  expect((await rig.troupe('storage', 'disks', 'list')).err).toContain('There are no such disks')
  expect(await rig.register(1, { idc: 'z1', rack: 'r9' })).toMatchObject({
    status: 200,
    body: { disk_id: 1, status: 1, readonly: false, heartbeat_ms: 100 },
  })
  await rig.register(2, { idc: 'z2' })
  const { out } = await rig.troupe('storage', 'disks', 'list')
  expect(out).toMatch(/^DISK +STATUS +HEARD +IDC/)
  expect(out).toMatch(/\n1 +writable +yes +z1 +r9 +h1 +0\/100 +1\.0 TiB/)
  const json = JSON.parse(
    (await rig.troupe('storage', 'disks', 'list', '--idc', 'z2', '--json')).out,
  )
  expect(json.disks).toMatchObject([
    { disk_id: 2, idc: 'z2', size: DISK_BYTES, standing: 'writable' },
  ])
  expect((await rig.troupe('storage', 'disks', 'info', '1')).out).toContain('z1 / r9 / h1 /disk/1')
  const wrong = await rig.troupe('storage', 'disks', 'list', '--standing', 'brocken')
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('one of writable') })
})

it('that do not fit are refused, and say why', async () => {
  await rig.register(1)
  expect(await rig.register(1, { host: 'h2' })).toMatchObject({
    status: 400,
    body: { status: 925, error: expect.stringContaining('is /disk/1 of host h1') },
  })
  expect(await rig.get('/storage/disks/2')).toMatchObject({ status: 404, body: { status: 911 } })
  expect(await rig.get('/storage/disks/0')).toMatchObject({ status: 400, body: { status: 614 } })
  expect((await rig.register(4_294_967_296)).status).toBe(400)
  expect((await rig.post('/storage/disks', { disk_id: 3 })).status).toBe(400)
  const { body } = await rig.beat(9)
  expect(body.disks).toMatchObject([{ disk_id: 9, status: 0, refused: 911 }])
})

it('an empty directory under the id of a known disk is not that disk, heard or silent', async () => {
  await rig.register(1)
  const uuid = uuidOf(99)
  const refused = { status: 925, error: expect.stringContaining(`has ${uuid}: mount the disk`) }
  expect((await rig.register(1, { uuid })).body).toMatchObject(refused)
  await until(async () => !(await rig.disk(1)).isHeard, PATIENT, 'the disk to be silent')
  expect((await rig.register(1, { uuid })).body).toMatchObject(refused)
  // Nor does what becomes of that directory change the disk, or keep it from being silent.
  expect((await rig.beat(1, { uuid, broken: 'EIO' })).body.disks).toMatchObject([{ refused: 925 }])
  expect(await rig.disk(1)).toMatchObject({ standing: 'writable', isHeard: false })
  expect((await rig.register(1)).status).toBe(200)
})

it('a disk that nobody knows has to be empty: its chunks are of another store', async () => {
  expect((await rig.register(1, { chunks: 3 })).body).toMatchObject({
    status: 925,
    error: expect.stringContaining('holds 3 chunks'),
  })
  expect((await rig.get('/storage/disks/1')).status).toBe(404)
  await rig.register(1)
  expect((await rig.register(1, { chunks: 3 })).status).toBe(200)
})

it('hold as many units as the configuration says when they are registered, and none is driven away', async () => {
  await rig.register(1)
  for (const vid of [1, 2, 3]) {
    const vuid = vuidOf({ vid, index: 0, epoch: 1 })
    await rig.parts.disks.reserve(1, vuid, 1)
  }
  await rig.stop()
  await rig.start({ unitsPerDiskMax: 2 })
  const info = async () => (await rig.troupe('storage', 'disks', 'info', '1')).out
  expect(await info()).toContain('3 of at most 100;')
  await rig.register(1)
  expect(await info()).toContain('3, and it may hold 2 by now: it takes no more')
  expect((await rig.get('/storage/disks')).body.disks).toMatchObject([{ units: 3, chunks_max: 3 }])
  const fourth = rig.parts.disks.reserve(1, vuidOf({ vid: 4, index: 0, epoch: 1 }), 1)
  await expect(fourth).rejects.toMatchObject({ status: 632 })
  await rig.stop()
  await rig.start({ unitsPerDiskMax: 5 })
  await rig.register(1)
  expect(await info()).toContain('3 of at most 5;')
})

it('go through their statuses, and no other way', async () => {
  await rig.register(1)
  const disks = (...words: string[]) => rig.troupe('storage', 'disks', ...words)
  expect((await disks('drop', '1')).err).toContain('disk 1 is writable: set it read-only')
  expect((await disks('readonly', '1')).out).toBe('disk 1  readonly\n')
  expect((await disks('drop', '1')).out).toBe('disk 1  dropping\n')
  expect((await disks('readonly', '1', '--off')).err).toContain('is being dropped')
  expect((await disks('set', '1', 'broken')).err).toContain('is being dropped')
  expect((await disks('drop', '1', '--done')).out).toBe('disk 1  dropped\n')
  await rig.register(2)
  expect((await disks('set', '2', 'repaired')).err).toContain('the next status is 2')
  for (const status of ['broken', 'repairing', 'repaired']) {
    expect((await disks('set', '2', status)).out).toBe(`disk 2  ${status}\n`)
  }
  expect(await rig.post('/storage/disks/2/set', { status: 1 })).toMatchObject({
    status: 409,
    body: { status: 913 },
  })
  const history = await rig.node.client.history('disk/2')
  expect(history.filter(({ cause }) => cause !== 'start').length).toBeGreaterThanOrEqual(4)
})

it('a heartbeat that says nothing new is not written down', async () => {
  await rig.register(1)
  const { turn } = await rig.node.client.get('disk/1')
  for (let n = 0; n < 5; n++) {
    const { body } = await rig.beat(1)
    expect(body.disks).toEqual([{ disk_id: 1, status: 1, readonly: false }])
  }
  expect((await rig.node.client.get('disk/1')).turn).toBe(turn)
  await rig.beat(1, { free: DISK_BYTES / 2 })
  expect(await rig.disk(1)).toMatchObject({ freeBytes: DISK_BYTES / 2 })
  expect((await rig.node.client.get('disk/1')).turn).toBe(turn + 1)
})

it('is broken by the word of its blobnode, and stays so', async () => {
  await rig.register(1)
  const { body } = await rig.beat(1, { broken: 'EIO on /disk/1' })
  expect(body.disks).toEqual([{ disk_id: 1, status: 2, readonly: false }])
  await rig.beat(1)
  await rig.register(1)
  expect(await rig.disk(1)).toMatchObject({ standing: 'broken', why: 'EIO on /disk/1' })
  expect((await rig.troupe('storage', 'disks', 'info', '1')).out).toContain(
    'broken: EIO on /disk/1',
  )
})

it('is silent when it is not heard, and heard again with its next heartbeat', async () => {
  await rig.register(1)
  const isHeard = async () => (await rig.disk(1)).isHeard
  await until(async () => !(await isHeard()), PATIENT, 'the disk to be silent')
  // The id may go to another place now.
  await rig.beat(1)
  expect(await isHeard()).toBe(true)
  await until(async () => !(await isHeard()), PATIENT, 'the disk to be silent again')
  expect((await rig.register(1, { host: 'h2' })).status).toBe(200)
})

it('silence is noticed by a node that was started anew, too', async () => {
  await rig.register(1)
  await rig.stop()
  await rig.start()
  await until(async () => !(await rig.disk(1)).isHeard, PATIENT, 'the disk to be silent')
})
