/**
 * Chunks that no volume knows of, on a real node: left by calls that came late. They are found and released after
 * their time, and nothing else is.
 */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
const LOOK_MS = 100
const KEPT_MS = 600
let rig: PlaneRig
beforeEach(async () => {
  const times = {
    heartbeatLossMs: 60_000,
    blobnodeTimeoutMs: 20_000,
    strayLookMs: LOOK_MS,
    strayKeptMs: KEPT_MS,
  }
  rig = await PlaneRig.create({ plane: times })
  await rig.registerAll({ azs: 1, hosts: 4, disks: 1 })
})
afterEach(() => rig.close())

const reserve = (diskId: number, vuid: bigint) => rig.parts.disks.reserve(diskId, vuid, 1_000)
const put = (diskId: number, vuid: bigint) => {
  rig.blobnodes.chunks.set(`${diskId}/${vuid}`, { status: 'normal', used: 0 })
}
/** Looks that were begun and ended since. */
const looks = async (count: number) => {
  const from = rig.blobnodes.count('list')
  await until(() => rig.blobnodes.count('list') >= from + count * 4, PATIENT, 'looks')
}

it('are released with their room when they were seen for long enough, and no sooner', async () => {
  const { vid, units } = await rig.made('Replica3OneAZ')
  const [unit] = units
  const other = [1, 2, 3, 4].find((id) => units.every(({ diskId }) => diskId !== id)) ?? 0
  const vuid = vuidOf({ vid, index: 0, epoch: 1 })
  // The chunk of a unit, and a line for it, where it does not lie.
  put(other, vuid)
  await reserve(other, vuid)
  const since = performance.now()
  await until(() => rig.blobnodes.on(other).length === 0, PATIENT, 'the stray chunk to be gone')
  expect(performance.now() - since).toBeGreaterThanOrEqual(KEPT_MS)
  await until(async () => (await rig.ledger()).length === 3, PATIENT, 'its line to be gone')
  expect(rig.blobnodes.on(unit?.diskId ?? 0)).toEqual([`${unit?.diskId}/${vuid}`])
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
})

it('are not those that are being made, wait to take a place, or were replaced', async () => {
  let makeOn = () => {}
  const held = new Promise<void>((resolve) => {
    makeOn = resolve
  })
  const { vid } = await rig.made('Replica3OneAZ')
  const vuid = vuidOf({ vid, index: 1, epoch: 1 })
  rig.blobnodes.before = async ({ verb }) => {
    if (verb === 'create') await held
  }
  const asked = rig.post('/storage/volumes/units/alloc', `{"vuid":${vuid}}`)
  await rig.stands(vid, ({ fittings }) => fittings[1]?.step === 'chosen')
  await looks(10)
  makeOn()
  const { body } = await asked
  await rig.post(`/storage/volumes/${vid}/lock`)
  const swap = `{"new_vuid":${body.vuid},"old_vuid":${vuid},"new_disk_id":${body.disk_id}}`
  expect((await rig.post('/storage/volumes/units/update', swap)).status).toBe(200)
  await looks(10)
  expect((await rig.volume(vid)).retired).toHaveLength(1)
  expect(rig.blobnodes.list).toHaveLength(4)
  expect(await rig.ledger()).toEqual(rig.blobnodes.list)
})

it('of a volume that is not there are kept while a ledger knows them, or nobody gave their number', async () => {
  const { vid } = await rig.made('Replica3OneAZ')
  await rig.node.client.delete(`volume/${vid}`)
  const unknown = vuidOf({ vid: vid + 1, index: 0, epoch: 1 })
  put(1, unknown)
  const nobodys = vuidOf({ vid, index: 2, epoch: 9 })
  put(1, nobodys)
  await until(() => !rig.blobnodes.list.includes(`1/${nobodys}`), PATIENT, 'it to be gone')
  await looks(10)
  expect(rig.blobnodes.list).toContain(`1/${unknown}`)
  expect(rig.blobnodes.list).toHaveLength(4)
})
