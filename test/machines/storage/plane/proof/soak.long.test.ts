/**
 * The proof: 24 disks on 6 blobnodes in 3 AZs, objects of 1 byte to 4 MiB in four modes, put, read and deleted
 * by several clients, while blobnodes and the node are killed and bytes are flipped on disks.
 * TROUPE_SOAK_GB: how much is put in all; 3 unless given. TROUPE_SOAK_DIRECTORY: where; it takes three times
 * as much room.
 */
import { afterEach, expect, inject, it } from 'vitest'
import { Soak } from './soak.ts'
import { StoreFarm } from './store-farm.ts'

const GB = Number(process.env['TROUPE_SOAK_GB'] ?? 3)
const LIMIT_MS = 120_000 + GB * 600_000

let farm: StoreFarm | undefined

afterEach(async () => {
  await farm?.close()
  farm = undefined
})

it(
  `${GB} GB of objects read back byte for byte, whatever is killed and flipped within their mode`,
  async () => {
    farm = await StoreFarm.create({ blobnodes: 6, disksEach: 4, chunkBytesMax: 64 * 1024 ** 2 })
    await farm.start()
    const soak = new Soak(farm, {
      ...{ bytes: GB * 1e9, sizeMax: 4 * 1024 ** 2, clients: 8, seed: inject('seed') },
      ...{
        faultEveryMs: 4_000,
        faultsMax: Number.POSITIVE_INFINITY,
        outageMs: 4_000,
        flipsEach: 40,
        limitMs: LIMIT_MS,
      },
    })
    await soak.run()
    await soak.settle()
    await soak.upkeepEnds()
    const lost = await soak.loseSome(5)
    process.stdout.write(`${soak.summary()}; ${lost.tried} lost for good\n`)
    expect({ wrong: soak.objects.wrong, lost: lost.wrong }).toEqual({ wrong: [], lost: [] })
    expect(lost.tried).toBeGreaterThan(0)
  },
  2 * LIMIT_MS,
)
