/** Statistics on a node that does not lead, and while the actors that count are not there yet. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { backgroundMachines } from '../../../../../machines/storage/background/index.ts'
import { statsRoutes } from '../../../../../machines/storage/background/interfaces/stats-routes.ts'
import {
  upkeepMachines,
  upkeepSingletons,
} from '../../../../../machines/storage/plane/upkeep/index.ts'
import { Switches } from '../../../../../machines/storage/switches/index.ts'
import { defineApp } from '../../../../../src/index.ts'
import { type Rig, startRig } from '../../../../gateway/rig.ts'

let leads = 'another'
let rig: Rig
const app = defineApp({
  name: 'stats',
  machines: [...backgroundMachines, ...upkeepMachines],
  singletons: [{ machine: 'storage-switches', id: 'main' }, ...upkeepSingletons],
  routes: (context) => {
    const leader = { name: () => leads, ask: async () => undefined }
    return statsRoutes({ ...context, leader, switches: new Switches(context) })
  },
})
beforeAll(async () => {
  rig = await startRig({ apps: [app] })
})
afterAll(() => rig.close())

it('there are repairs and deletions only', async () => {
  const { status, body } = await rig.call('GET', '/stats')
  expect(status).toBe(200)
  expect(Object.keys(body).sort()).toEqual(['blob_delete', 'shard_repair'])
  expect(body.blob_delete).toMatchObject({ enable: false, err_stats: null, total_err_cnt: 0 })
  const more = await rig.call('GET', '/stats?extended=true')
  expect(more.body.shard_repair.success_per_min_series).toHaveLength(20)
})

it('of all of them it says that they are not there yet, not that there are none', async () => {
  for (const path of ['/leader/stats', '/stats/leader']) {
    const { status, body } = await rig.call('GET', path)
    expect([status, body.code]).toEqual([503, 'unavailable'])
    expect(body.error).toContain('is being started')
  }
  leads = rig.node.name
  expect((await rig.call('GET', '/stats')).status).toBe(503)
})
