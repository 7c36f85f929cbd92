/** The largest sector that the prover takes, on threads, from a piece to a proof and back. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, expect, it } from 'vitest'
import { ProverThreads, verify } from '../../../../machines/sealing/prover/index.ts'
import { flipped, NAMES, SEED, Sector } from './rig.ts'

const sector = new Sector('8MiB')
const threads = new ProverThreads()
afterAll(async () => {
  await threads.stop()
  sector.remove()
})

it('a sector of 8 MiB is proven, and not with one byte changed', async () => {
  await sector.addPieces()
  const pc1out = await threads.run('pc1', sector.pc1Task())
  const task = { pc1out, cache_dir: sector.cache, sealed_file: sector.sealed }
  sector.pc2out = (await threads.run('pc2', task)) as typeof sector.pc2out
  const c1out = await threads.run('c1', sector.c1Task())
  const proving = { c1out, prover_id: NAMES.prover_id, sector_id: NAMES.sector_id }
  const { proof } = (await threads.run('c2', proving)) as { proof: string }
  expect(verify(sector.claim(proof))).toEqual({ valid: true })
  expect(verify({ ...sector.claim(proof), seed: NAMES.ticket })).toHaveProperty('reason')

  const sealed = readFileSync(sector.sealed)
  writeFileSync(sector.sealed, flipped(sealed, 5_000_000))
  const again = threads.run('c1', { ...sector.c1Task(), seed: SEED })
  await expect(again).rejects.toMatchObject({ code: 'conflict' })
})
