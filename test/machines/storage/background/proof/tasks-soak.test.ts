/** The proof of the background tasks in short: one node, a few megabytes. The long one has a cluster and gigabytes. */
import { afterEach, expect, inject, it } from 'vitest'
import { StoreFarm } from '../../plane/proof/store-farm.ts'
import { TasksSoak, tasksFarmOptions } from './tasks-soak.ts'

let farm: StoreFarm | undefined

afterEach(async () => {
  await farm?.close()
  farm = undefined
})

it('a disk is lost, one dropped, one added, units move, and no object is harmed by it', async () => {
  const MIB = 1024 ** 2
  farm = await StoreFarm.create(
    tasksFarmOptions({ blobnodes: 6, disksEach: 4, chunkBytesMax: 16 * MIB }),
  )
  await farm.start()
  const tasks = new TasksSoak(farm, {
    ...{ bytes: 8e6, sizeMax: 512 * 1024, clients: 2, seed: inject('seed') },
    ...{ faultEveryMs: 500, faultsMax: 8, outageMs: 500, flipsEach: 5, limitMs: 120_000 },
  })
  await tasks.run()
  expect(await tasks.faults(120_000)).toEqual([])
  await tasks.spoilChunks(60_000)
  expect(await tasks.faults(120_000)).toEqual([])
  await tasks.soak.settle()
  expect(tasks.soak.objects.wrong).toEqual([])
  expect(tasks.migrated).toBeGreaterThan(0)
  const { disks } = await farm.ask<{ disks: { disk_id: number; standing: string }[] }>(
    '/storage/disks',
  )
  const standingOf = (id: number) => disks.find(({ disk_id }) => disk_id === id)?.standing
  expect(standingOf(tasks.lostDiskId)).toBe('repaired')
  expect(standingOf(tasks.droppedDiskId)).toBe('dropped')
}, 400_000)
