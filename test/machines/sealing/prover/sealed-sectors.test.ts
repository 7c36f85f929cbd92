/** What is done with a sealed sector: upgrades, unsealing, window proofs. */
import { randomBytes } from 'node:crypto'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifySnap, verifyWindowPost } from '../../../../machines/sealing/prover/index.ts'
import { flipped, MINER, NAMES, perform, type RawTask, SEED, Sector } from './rig.ts'

const other = 'd4'.repeat(32)

function unsealTask(sector: Sector): RawTask<'unseal'> {
  return {
    registered_proof: sector.proof,
    ...NAMES,
    comm_d: sector.pc2out.comm_d,
    cache_dir: sector.cache,
    sealed_file: sector.sealed,
    unsealed_output: sector.at('out'),
    offset: 0,
    num_bytes: 100,
  }
}

describe('unseal', () => {
  const sector = new Sector('8KiB')
  const payload = randomBytes(8_128)
  beforeAll(async () => {
    await sector.addPieces(payload)
    await sector.seal()
  })
  afterAll(() => sector.remove())

  it('gives any range of the data back, counted without padding', async () => {
    const padded = Buffer.concat([payload, Buffer.alloc(64)])
    const blocks = fc.nat(63)
    const check = async (block: number, bytes: number) => {
      const task = { ...unsealTask(sector), offset: block * 127, num_bytes: bytes }
      const begin = block * 128
      if (begin + bytes > 8_192) {
        await expect(perform('unseal', task)).rejects.toThrow(/no part of a piece/)
      } else {
        expect(await perform('unseal', task)).toBe(bytes)
        expect(readFileSync(sector.at('out'))).toEqual(padded.subarray(begin, begin + bytes))
      }
    }
    await fc.assert(fc.asyncProperty(blocks, fc.nat(4_096), check), { numRuns: 20 })
    const inside = { ...unsealTask(sector), offset: 1 }
    await expect(perform('unseal', inside)).rejects.toThrow(/from where a piece begins/)
  })

  it('needs no cache', async () => {
    const task = { ...unsealTask(sector), cache_dir: sector.at('nothing'), num_bytes: 8_128 }
    await perform('unseal', task)
    expect(readFileSync(sector.at('out'))).toEqual(payload)
  })

  it('hands nothing out that is not the data', async () => {
    rmSync(sector.at('out'), { force: true })
    const lies = [{ ticket: other }, { comm_d: other }, { sector_id: 8 }, { prover_id: other }]
    for (const lie of lies) {
      // With the labels of the cache only CommD would matter.
      const task = { ...unsealTask(sector), cache_dir: sector.at('nothing'), ...lie }
      await expect(perform('unseal', task)).rejects.toThrow(/does not unseal to/)
    }
    writeFileSync(sector.at('changed'), flipped(readFileSync(sector.sealed), 5_000))
    const changed = { ...unsealTask(sector), sealed_file: sector.at('changed') }
    await expect(perform('unseal', changed)).rejects.toThrow(/does not unseal/)
    expect(() => readFileSync(sector.at('out'))).toThrow(/ENOENT/)
  })
})

describe('an upgrade', () => {
  const sector = new Sector('8KiB')
  const payload = randomBytes(8_128)
  let encoded: Record<string, string>
  let proof: string
  const encoding = (): RawTask<'snap_encode'> => ({
    registered_proof: sector.proof,
    new_replica_path: sector.at('update'),
    new_cache_path: sector.at('update-cache'),
    sector_path: sector.sealed,
    sector_cache_path: sector.cache,
    staged_data_path: sector.staged,
    piece_infos: sector.pieces,
  })
  const claim = () => ({
    registered_proof: sector.proof,
    comm_r_old: sector.pc2out.comm_r,
    comm_r_new: encoded['comm_r_new']!,
    comm_d_new: encoded['comm_d_new']!,
  })
  const vanilla = async () =>
    await perform<'snap_vanilla', string[]>('snap_vanilla', {
      ...claim(),
      sector_path: sector.sealed,
      sector_cache_path: sector.cache,
      new_replica_path: sector.at('update'),
      new_cache_path: sector.at('update-cache'),
    })

  beforeAll(async () => {
    await sector.addNothing()
    await sector.seal()
    await sector.addPieces(payload)
    encoded = await perform('snap_encode', encoding())
    const task = { ...claim(), vannilla_proofs: await vanilla() }
    proof = (await perform('snap_prove', task))['proof']!
  })
  afterAll(() => sector.remove())

  it('has a proof that the verifier accepts', () => {
    expect(verifySnap({ ...claim(), proof })).toEqual({ valid: true })
  })

  it('has none for other commitments, and no other one', () => {
    for (const field of ['comm_r_old', 'comm_r_new', 'comm_d_new']) {
      expect(verifySnap({ ...claim(), proof, [field]: other }), field).toHaveProperty('reason')
    }
    const bytes = Buffer.from(proof, 'base64')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (at) => {
        const changed = flipped(bytes, at).toString('base64')
        expect(verifySnap({ ...claim(), proof: changed })).toHaveProperty('reason')
      }),
      { numRuns: 40 },
    )
    const longer = Buffer.concat([bytes, Buffer.alloc(32)]).toString('base64')
    expect(verifySnap({ ...claim(), proof: longer })).toHaveProperty('reason')
  })

  it('has none once a byte of either replica was changed', async () => {
    for (const path of [sector.at('update'), sector.sealed]) {
      const whole = readFileSync(path)
      writeFileSync(path, flipped(whole, 4_321))
      await expect(vanilla()).rejects.toThrow(/is not what was encoded/)
      writeFileSync(path, whole)
    }
    const openings = await vanilla()
    const lost = { ...claim(), vannilla_proofs: openings.slice(1) }
    await expect(perform('snap_prove', lost)).rejects.toThrow(/do not prove this upgrade/)
  })

  it('is proven as well with a tree that was damaged', async () => {
    const path = sector.at('update-cache/sc-02-data-tree-d.dat')
    const whole = readFileSync(path)
    writeFileSync(path, Buffer.alloc(whole.length))
    expect(await vanilla()).toHaveLength(8)
    writeFileSync(path, whole)
  })

  it('unseals to its data', async () => {
    await perform('unseal', {
      ...unsealTask(sector),
      comm_d: encoded['comm_d_new']!,
      cache_dir: sector.at('update-cache'),
      sealed_file: sector.at('update'),
      num_bytes: 8_128,
    })
    expect(readFileSync(sector.at('out'))).toEqual(payload)
  })

  it('is refused for a sector with data, one that was changed, and onto itself', async () => {
    const again = {
      ...encoding(),
      sector_path: sector.at('update'),
      sector_cache_path: sector.at('update-cache'),
      new_replica_path: sector.at('third'),
    }
    await expect(perform('snap_encode', again)).rejects.toThrow(/has data/)
    const onto = { ...encoding(), new_replica_path: sector.sealed }
    await expect(perform('snap_encode', onto)).rejects.toThrow(/the same file/)
    const whole = readFileSync(sector.sealed)
    writeFileSync(sector.sealed, flipped(whole, 0))
    await expect(perform('snap_encode', encoding())).rejects.toThrow(/was changed after/)
    writeFileSync(sector.sealed, whole)
    const pieces = [{ commitment: other, size: 8_192 }]
    const wrong = { ...encoding(), piece_infos: pieces }
    await expect(perform('snap_encode', wrong)).rejects.toThrow(/piece_infos/)
  })
})

describe('a window proof', () => {
  const sector = new Sector()
  interface Output {
    proofs: string[]
    faults: number[]
  }
  const replica = (sector_id: number) => ({
    sector_id,
    comm_r: sector.pc2out.comm_r,
    cache_dir: sector.at(`cache-${sector_id}`),
    sealed_file: sector.at(`sealed-${sector_id}`),
  })
  const task = (...sectors: number[]): RawTask<'window_post'> => ({
    miner_id: MINER,
    proof_type: sector.proof.replace('StackedDrg', 'StackedDrgWindow').replace('_1', ''),
    replicas: sectors.map(replica),
    seed: SEED,
  })
  const prove = async (...sectors: number[]) =>
    await perform<'window_post', Output>('window_post', task(...sectors))
  const claim = (proofs: string[], ...sectors: number[]) => ({ ...task(...sectors), proofs })

  beforeAll(async () => {
    await sector.addPieces()
    await sector.seal()
    for (const number of [1, 2, 3, 4]) {
      cpSync(sector.cache, sector.at(`cache-${number}`), { recursive: true })
      cpSync(sector.sealed, sector.at(`sealed-${number}`))
    }
  })
  afterAll(() => sector.remove())

  it('covers replicas that are there and whole', async () => {
    const { proofs, faults } = await prove(1, 2)
    expect(faults).toEqual([])
    expect(verifyWindowPost(claim(proofs, 1, 2))).toEqual({ valid: true })
  })

  it('is valid for nothing else', async () => {
    const { proofs } = await prove(1, 2)
    const right = claim(proofs, 1, 2)
    const lies = [
      { seed: other },
      { miner_id: MINER + 1 },
      { replicas: right.replicas.slice(1) },
      { replicas: [...right.replicas].reverse() },
      { replicas: right.replicas.map((one) => ({ ...one, comm_r: other })) },
      { replicas: [...right.replicas, replica(3)] },
      { proofs: [] },
      { proofs: [...proofs, ...proofs] },
    ]
    for (const lie of lies) {
      const text = JSON.stringify(lie).slice(0, 80)
      expect(verifyWindowPost({ ...right, ...lie }), text).toHaveProperty('reason')
    }
    const bytes = Buffer.from(proofs[0]!, 'base64')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (at) => {
        const changed = [flipped(bytes, at).toString('base64')]
        expect(verifyWindowPost(claim(changed, 1, 2))).toHaveProperty('reason')
      }),
      { numRuns: 40 },
    )
  })

  it('tells what is missing or changed, and proves the rest', async () => {
    writeFileSync(sector.at('sealed-2'), flipped(readFileSync(sector.sealed), 2_047))
    rmSync(sector.at('sealed-3'))
    writeFileSync(sector.at('cache-4/p_aux'), 'not ours')
    const { proofs, faults } = await prove(1, 2, 3, 4)
    expect(faults).toEqual([2, 3, 4])
    expect(verifyWindowPost(claim(proofs, 1))).toEqual({ valid: true })
    expect(await prove(2, 3)).toEqual({ proofs: [], faults: [2, 3] })
  })
})
