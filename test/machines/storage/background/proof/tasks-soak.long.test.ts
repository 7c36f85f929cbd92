/**
 * The proof of the background tasks: 24 disks on 6 blobnodes in 3 AZs, three nodes on a NATS server, objects of 1
 * byte to 4 MiB in four modes, put, read and deleted by several clients; a disk is lost, one is dropped, an empty
 * blobnode comes, units are moved, and blobnodes with their workers, nodes and whoever leads them are killed.
 * TROUPE_SOAK_GB: how much is put in all; 1 unless given. TROUPE_SOAK_DIRECTORY: where.
 */
import { afterEach, describe, expect, inject, it } from 'vitest'
import { missingNatsServer, startNatsServer } from '../../../../nats-server.ts'
import { StoreFarm } from '../../plane/proof/store-farm.ts'
import { TasksSoak, tasksFarmOptions } from './tasks-soak.ts'

const GB = Number(process.env['TROUPE_SOAK_GB'] ?? 1)
const LIMIT_MS = 180_000 + GB * 900_000

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  it(
    `${GB} GB of objects outlive disks that are lost, dropped and added, on a cluster`,
    async () => {
      const nats = await startNatsServer()
      cleanups.push(() => nats.stop())
      const farm = await StoreFarm.create(
        tasksFarmOptions({
          ...{ blobnodes: 6, disksEach: 4, chunkBytesMax: 64 * 1024 ** 2 },
          cluster: { nats: nats.url, nodes: 3 },
        }),
      )
      cleanups.push(() => farm.close())
      await farm.start()
      const tasks = new TasksSoak(farm, {
        ...{ bytes: GB * 1e9, sizeMax: 4 * 1024 ** 2, clients: 6, seed: inject('seed') },
        ...{ faultEveryMs: 4_000, faultsMax: Number.POSITIVE_INFINITY, outageMs: 4_000 },
        ...{ flipsEach: 20, limitMs: LIMIT_MS },
      })
      await tasks.run()
      const faults = await tasks.faults(600_000)
      await tasks.spoilChunks(60_000)
      faults.push(...(await tasks.faults(600_000)))
      await tasks.soak.settle()
      process.stdout.write(`${tasks.soak.summary()}; ${tasks.migrated} units moved by hand\n`)
      expect({ wrong: tasks.soak.objects.wrong, faults }).toEqual({ wrong: [], faults: [] })
    },
    2 * LIMIT_MS,
  )
})
