/** The proof in short: a few megabytes, one fault of each kind. The long one is soak.long.test.ts. */
import { afterEach, expect, inject, it } from 'vitest'
import { Soak } from './soak.ts'
import { StoreFarm } from './store-farm.ts'

let farm: StoreFarm | undefined

afterEach(async () => {
  await farm?.close()
  farm = undefined
})

it('objects read back byte for byte, whatever is killed and flipped within their mode', async () => {
  farm = await StoreFarm.create({ blobnodes: 6, disksEach: 4, chunkBytesMax: 16 * 1024 ** 2 })
  await farm.start()
  const soak = new Soak(farm, {
    ...{ bytes: 8e6, sizeMax: 512 * 1024, clients: 4, seed: inject('seed') },
    ...{ faultEveryMs: 700, faultsMax: 4, outageMs: 500, flipsEach: 10, limitMs: 100_000 },
  })
  await soak.run()
  expect(soak.faults).toMatchObject({ blobnodes: 1, node: 1 })
  expect(soak.faults.flips).toBeGreaterThan(0)
  await soak.settle()
  await soak.upkeepEnds()
  const lost = await soak.loseSome(1)
  expect({ wrong: soak.objects.wrong, lost: lost.wrong }).toEqual({ wrong: [], lost: [] })
  expect(soak.objects.counts.put).toBeGreaterThan(20)
  expect(lost.tried).toBeGreaterThan(0)
}, 300_000)
