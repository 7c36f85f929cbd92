/** Disks that are emptied on a real node: told by the disk itself, and kept over a restart. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { JobRecord } from '../../../../../machines/storage/background/disk-jobs/job-record.ts'
import type { ActorView } from '../../../../../src/index.ts'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../../plane/plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
let rig: PlaneRig
beforeEach(async () => {
  rig = await PlaneRig.create({ background: { open: ['disk_drop', 'disk_repair'] } })
})
afterEach(() => rig.close())

async function drop(diskId: number): Promise<void> {
  await rig.post(`/storage/disks/${diskId}/readonly`, { readonly: true })
  await rig.post(`/storage/disks/${diskId}/drop`)
}

async function untilStands(diskId: number, wanted: string): Promise<void> {
  const is = async () => (await rig.disk(diskId)).standing === wanted
  await until(is, PATIENT, `disk ${diskId} to be ${wanted}`)
}

async function untilMigrating(diskId: number): Promise<JobRecord> {
  let found: ActorView | undefined
  const is = async () => {
    found = await rig.node.client.get(`disk-drop/${diskId}`).catch(() => undefined)
    return found?.value === 'migrating'
  }
  await until(is, PATIENT, 'its moves to be under way')
  if (!found) throw new Error('there is no job')
  return found.context as JobRecord
}

it('an empty disk is dropped, and a broken one repaired', async () => {
  await rig.register(1)
  await rig.register(2)
  await drop(1)
  await rig.post('/storage/disks/2/set', { status: 2 })
  await untilStands(1, 'dropped')
  await untilStands(2, 'repaired')
  const { context } = await rig.node.client.get('disk-drop/1')
  expect(context).toMatchObject({ end: 'emptied', total: 0 })
})

it('moves are begun for what lies on it, and a node that is started anew goes on', async () => {
  await rig.registerAll({ azs: 1, hosts: 5, disks: 2 })
  const { units } = await rig.made('EC6P3')
  const diskId = units[0]?.diskId ?? 0
  await drop(diskId)
  const begun = await untilMigrating(diskId)
  await rig.stop()
  await rig.start()
  expect((await untilMigrating(diskId)).live).toEqual(begun.live)
  const { rows } = await rig.node.client.list({ filter: { machine: 'migrate-task' } })
  expect(rows).toHaveLength(1)
  expect(rows[0]?.index).toMatchObject({ type: 'disk_drop', owner: `disk-drop/${diskId}` })
})
