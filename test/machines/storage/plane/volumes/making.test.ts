/** A volume on a real node: it comes to be, its units move, it is locked; by HTTP, by the verbs. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
let rig: PlaneRig
beforeEach(async () => {
  rig = await PlaneRig.create()
})
afterEach(() => rig.close())

const volumes = (...words: string[]) => rig.troupe('storage', 'volumes', ...words)

it('has each unit on another disk, in the ledger and on the blobnode', async () => {
  await rig.registerAll()
  const { units, epochs, fittings, retired } = await rig.made('EC6P3')
  expect(new Set(units.map(({ diskId }) => diskId)).size).toBe(9)
  expect(epochs).toEqual(Array(9).fill(1))
  expect([fittings, retired]).toEqual([{}, []])
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
  expect(rig.blobnodes.list).toHaveLength(9)
  expect((await volumes('list')).out).toMatch(/\n1 +EC6P3 +idle +0 +1 +96\.0 GiB/)
  const { out } = await volumes('info', '1')
  expect(out).toContain('hosts it can lose  any 1')
  expect(out).toContain(String(vuidOf({ vid: 1, index: 8, epoch: 1 })))
})

it('takes other disks for those that refuse, hang, or lose the answer, and cleans up behind it', async () => {
  await rig.registerAll()
  const bad = new Set<number>()
  rig.blobnodes.behaviour = ({ verb, diskId }) => {
    if (verb !== 'create') return undefined
    if (bad.size < 3) bad.add(diskId)
    const outcome = [615, 'hang', 'lost'] as const
    return bad.has(diskId) ? outcome[[...bad].indexOf(diskId)] : undefined
  }
  const { units, vid } = await rig.made('EC6P3')
  for (const { diskId } of units) expect(bad.has(diskId)).toBe(false)
  await rig.stands(vid, ({ retired }) => retired.length === 0)
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
  expect(rig.blobnodes.list).toHaveLength(9)
})

it('where there is no place, it is not begun, and the reason is told', async () => {
  await rig.registerAll({ azs: 2 })
  expect(await rig.post('/storage/volumes', { mode: 'EC6P3L3' })).toMatchObject({
    status: 503,
    body: { status: 801, error: 'EC6P3L3 needs 3 AZs, and there are disks in 2: z1, z2' },
  })
  expect(await rig.post('/storage/volumes', { mode: 'EC7P3' })).toMatchObject({
    body: { status: 674 },
  })
  expect(await rig.get('/storage/volumes/1')).toMatchObject({ status: 404, body: { status: 904 } })
})

it('a unit moves: allocated, swapped, released; each step can be told again', async () => {
  await rig.registerAll({ azs: 1, hosts: 5, disks: 1 })
  const { units, vid } = await rig.made('Replica3OneAZ')
  const old = units[1]
  const old_vuid = vuidOf({ vid, index: 1, epoch: 1 })
  const unit = (verb: string, json: string) => rig.post(`/storage/volumes/units/${verb}`, json)
  const { body: fresh } = await unit('alloc', `{"vuid":${old_vuid}}`)
  expect(fresh.vuid).toBe(Number(old_vuid) + 1)
  expect(units.map(({ diskId }) => diskId)).not.toContain(fresh.disk_id)
  expect((await unit('alloc', `{"vuid":${old_vuid}}`)).body).toEqual(fresh)
  // One that is excluded is no use: the next one has an epoch of its own.
  const other = (await unit('alloc', `{"vuid":${old_vuid},"excludes":[${fresh.disk_id}]}`)).body
  expect(other.vuid).toBe(fresh.vuid + 1)
  expect(other.disk_id).not.toBe(fresh.disk_id)
  const swap = (disk: number, vuid = other.vuid) =>
    unit('update', `{"new_vuid":${vuid},"old_vuid":${old_vuid},"new_disk_id":${disk}}`)
  expect((await swap(other.disk_id, fresh.vuid)).body.status).toBe(919)
  expect((await swap(fresh.disk_id)).body.status).toBe(920)
  rig.blobnodes.behaviour = ({ verb }) => (verb === 'stat' ? 621 : undefined)
  expect((await swap(other.disk_id)).body.status).toBe(927)
  rig.blobnodes.behaviour = () => undefined
  // Whoever writes to the volume would go on writing to the old chunk.
  expect((await swap(other.disk_id)).body).toMatchObject({
    status: 926,
    error: expect.stringContaining('lock the volume'),
  })
  await volumes('lock', String(vid))
  expect((await swap(other.disk_id)).status).toBe(200)
  expect((await swap(other.disk_id)).status).toBe(200)
  expect((await unit('release', `{"vuid":${old_vuid},"disk_id":99}`)).body.status).toBe(920)
  expect((await unit('alloc', `{"vuid":${old_vuid}}`)).body.status).toBe(918)
  const away = (disk: number) => unit('release', `{"vuid":${old_vuid},"disk_id":${disk}}`)
  expect((await unit('release', `{"vuid":${other.vuid},"disk_id":1}`)).body.status).toBe(918)
  expect((await away(old?.diskId ?? 0)).status).toBe(200)
  await rig.stands(vid, ({ retired }) => retired.length === 0)
  expect((await away(old?.diskId ?? 0)).status).toBe(200)
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
  expect(rig.blobnodes.list).toHaveLength(3)
  const lacking = `{"vuid":${other.vuid},"excludes":[1,2,3,4,5]}`
  expect((await unit('alloc', lacking)).body).toMatchObject({ status: 917 })
  expect((await unit('alloc', '{"vuid":"1"}')).status).toBe(400)
})

it('is locked and unlocked with its chunks, over blobnodes that do not answer', async () => {
  await rig.registerAll({ azs: 1, hosts: 3, disks: 1 })
  const { vid, units } = await rig.made('Replica3OneAZ')
  let isDown = true
  rig.blobnodes.behaviour = ({ verb, diskId }) =>
    isDown && verb === 'readonly' && diskId === units[0]?.diskId ? 604 : undefined
  expect((await volumes('lock', '1')).out).toBe('volume 1  lock\n')
  expect((await volumes('lock', '1')).code).toBe(0)
  const stuck = await rig.stands(vid, ({ troubles }) => troubles.setting.tries > 0)
  expect(stuck.isSet).toBe(false)
  expect((await volumes('info', '1')).out).toContain(`unit 0 on disk ${units[0]?.diskId}`)
  isDown = false
  await rig.stands(vid, ({ isSet }) => isSet)
  const statuses = () => [...rig.blobnodes.chunks.values()].map(({ status }) => status)
  expect(statuses()).toEqual(['readonly', 'readonly', 'readonly'])
  await volumes('unlock', '1')
  await rig.stands(vid, ({ standing }) => standing === 'idle')
  expect(statuses()).toEqual(['normal', 'normal', 'normal'])
})

it('a broken disk is passed over: by locks, and when its chunk is released', async () => {
  await rig.registerAll({ azs: 1, hosts: 4, disks: 1 })
  const { vid, units } = await rig.made('Replica3OneAZ')
  const disk = units[0]?.diskId ?? 0
  await rig.beat(disk, { broken: 'EIO' })
  await rig.post(`/storage/volumes/${vid}/lock`)
  await rig.stands(vid, ({ isSet }) => isSet)
  expect((await volumes('list')).out).toMatch(/\n1 +Replica3OneAZ +lock +-1 /)
  const old_vuid = vuidOf({ vid, index: 0, epoch: 1 })
  const { body } = await rig.post('/storage/volumes/units/alloc', `{"vuid":${old_vuid}}`)
  const swap = `{"new_vuid":${body.vuid},"old_vuid":${old_vuid},"new_disk_id":${body.disk_id}}`
  await rig.post('/storage/volumes/units/update', swap)
  await rig.post('/storage/volumes/units/release', `{"vuid":${old_vuid},"disk_id":${disk}}`)
  await rig.stands(vid, ({ retired }) => retired.length === 0)
  expect((await rig.disk(disk)).units).toEqual({})
  expect(rig.blobnodes.on(disk)).toHaveLength(1)
})

it('a node that is stopped in the middle goes on when it is there again', async () => {
  await rig.registerAll()
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  rig.blobnodes.before = ({ verb }) => (verb === 'create' ? held : Promise.resolve())
  const { body } = await rig.post('/storage/volumes', { mode: 'EC6P3' })
  await until(() => rig.blobnodes.count('create') > 0, PATIENT, 'a chunk to be made')
  await rig.stop()
  rig.blobnodes.before = async () => {}
  release()
  await rig.start()
  await rig.stands(body.vid, ({ standing, retired }) => standing === 'idle' && retired.length === 0)
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
})

it('old tools read it at a listener of the app', async () => {
  await rig.registerAll({ azs: 1, hosts: 3, disks: 1 })
  await rig.made('Replica3OneAZ')
  await rig.made('Replica3OneAZ')
  const get = async (path: string) => (await fetch(`${rig.listenerUrl}${path}`)).json()
  const { address } = rig.blobnodes
  expect(await get('/volume/get?vid=1')).toMatchObject({
    ...{ vid: 1, code_mode: 101, status: 1, health_score: 0 },
    units: [{ host: address }, { host: address }, { host: address }],
  })
  expect(await get('/volume/list?marker=1&count=5')).toMatchObject({
    volumes: [{ vid: 2 }],
    marker: 2,
  })
  expect(await get('/disk/list?count=2')).toMatchObject({
    disks: [{ disk_id: 1 }, { disk_id: 2 }],
    marker: 2,
  })
  expect(await get('/disk/info?disk_id=3')).toMatchObject({
    disk_id: 3,
    used_chunk_cnt: 2,
    status: 1,
  })
  const written = { token: 'n9', retainMs: 60_000, at: 1, chunkBytesUsed: 5_000 }
  await rig.parts.calls.ask(1, { type: 'ACQUIRE', ...written })
  rig.parts.views.forget(1)
  const { volume_unit_infos: infos } = (await get('/volume/unit/list?disk_id=3')) as {
    volume_unit_infos: { used: number; free: number; total: number }[]
  }
  expect(infos.map(({ used }) => used).sort()).toEqual([0, 5_000])
  expect(infos.every(({ used, free, total }) => used + free === total)).toBe(true)
  expect(await get('/volume/get?vid=9')).toMatchObject({ code: 'volume_not_found' })
  // The old store's number is the status.
  expect((await fetch(`${rig.listenerUrl}/volume/get?vid=9`)).status).toBe(904)
  expect((await fetch(`${rig.url}/volume/get?vid=1`)).status).toBe(404)
})
