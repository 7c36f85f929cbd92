/** From pieces to a proof: who verifies it, and what makes it false. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sealOpenings } from '../../../../machines/sealing/prover/checks.ts'
import { treesOf } from '../../../../machines/sealing/prover/commit.ts'
import { verify } from '../../../../machines/sealing/prover/index.ts'
import { flipped, NAMES, perform, type RawTask, SEED, Sector } from './rig.ts'

const other = 'd4'.repeat(32)
const silent = () => undefined

describe.each(['2KiB', '8KiB'])('a sector of %s', (size) => {
  const sector = new Sector(size)
  let proof: string
  let sealedBytes: Buffer
  beforeAll(async () => {
    await sector.addPieces()
    await sector.seal()
    proof = await sector.prove()
    sealedBytes = readFileSync(sector.sealed)
  })
  afterAll(() => sector.remove())

  it('has a proof that the verifier accepts, however its bytes are written', () => {
    const claim = sector.claim(proof)
    expect(verify(claim)).toEqual({ valid: true })
    const list = [...Buffer.from(claim.comm_r as string, 'hex')]
    const base64 = Buffer.from(SEED, 'hex').toString('base64')
    expect(verify({ ...claim, comm_r: list, seed: base64 })).toEqual({ valid: true })
  })

  it('is not the data, and its proof is the same each time', async () => {
    expect(sealedBytes).not.toEqual(readFileSync(sector.staged))
    expect(sealedBytes).toHaveLength(sector.sizeBytes)
    expect(await sector.prove()).toBe(proof)
  })

  it('has no proof for other names or commitments', () => {
    const claim = sector.claim(proof)
    const lies = [
      { prover_id: other },
      { sector_id: NAMES.sector_id + 1 },
      { ticket: other },
      { seed: other },
      { comm_r: other },
      { comm_d: other },
      { registered_proof: size === '2KiB' ? 'StackedDrg4KiBV1_1' : 'StackedDrg2KiBV1_1' },
    ]
    for (const lie of lies) {
      expect(verify({ ...claim, ...lie }), JSON.stringify(lie)).toHaveProperty('reason')
    }
  })

  it('has no other proof: not with one byte changed, one more or one less', () => {
    const bytes = Buffer.from(proof, 'base64')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (at) => {
        const changed = flipped(bytes, at).toString('base64')
        expect(verify(sector.claim(changed))).toHaveProperty('reason')
      }),
      { numRuns: 60 },
    )
    for (const wrong of [bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, bytes])]) {
      expect(verify(sector.claim(wrong.toString('base64')))).toHaveProperty('reason')
    }
    expect(verify(sector.claim(''))).toHaveProperty('reason')
  })

  it('has no proof once a byte of the sealed file was changed, wherever it is', async () => {
    const facts = {
      sizeBytes: sector.sizeBytes,
      proverId: NAMES.prover_id,
      sectorId: NAMES.sector_id,
      ticket: NAMES.ticket,
      seed: SEED,
      commR: sector.pc2out.comm_r,
      commD: sector.pc2out.comm_d,
    }
    const check = async (at: number) => {
      const changed = flipped(sealedBytes, at)
      // Openings that nobody checked, in a proof: as a program would make it that wants to cheat.
      const openings = sealOpenings(facts, treesOf(facts, changed, sector.cache, silent))
      const forged = Buffer.concat(openings).toString('base64')
      expect(verify(sector.claim(forged))).toHaveProperty('reason')
      writeFileSync(sector.sealed, changed)
      await expect(perform('c1', sector.c1Task())).rejects.toThrow(/is not what was sealed/)
    }
    const places = fc.nat(sector.sizeBytes - 1)
    await fc.assert(fc.asyncProperty(places, check), { numRuns: 10 })
    writeFileSync(sector.sealed, sealedBytes)
    expect(await sector.prove()).toBe(proof)
  })

  it('is proven as well with a cache that was lost or damaged', async () => {
    for (const name of readdirSync(sector.cache)) {
      const path = join(sector.cache, name)
      const kept = readFileSync(path)
      // All of it: a path through a tree does not see every node.
      writeFileSync(path, Buffer.alloc(kept.length, 1))
      expect(await sector.prove(), `${name} damaged`).toBe(proof)
      rmSync(path)
      expect(await sector.prove(), `${name} lost`).toBe(proof)
      writeFileSync(path, kept)
    }
  })
})

describe('a prover of openings', () => {
  const sector = new Sector('8KiB')
  beforeAll(async () => {
    await sector.addPieces()
    await sector.seal()
  })
  afterAll(() => sector.remove())

  it('does not join those of another sector', async () => {
    const c1out = (await perform('c1', sector.c1Task())) as unknown as RawTask<'c2'>['c1out']
    const task = { c1out, prover_id: NAMES.prover_id, sector_id: 8 }
    await expect(perform('c2', task)).rejects.toThrow(/does not prove this sector/)
  })

  it('has one spelling of each proof', async () => {
    const proof = await sector.prove()
    // The last digit has bits that stand for nothing.
    const [, start, digit] = /^(.*)(.)=$/.exec(proof)!
    const spelled = `${start}${String.fromCharCode(digit!.charCodeAt(0) + 1)}=`
    expect(Buffer.from(spelled, 'base64')).toEqual(Buffer.from(proof, 'base64'))
    expect(verify(sector.claim(spelled))).toMatchObject({
      reason: expect.stringMatching(/plain base64/),
    })
  })

  it('refuses a sector whose pieces are others', async () => {
    const piece_infos = [{ commitment: other, size: sector.sizeBytes }]
    await expect(perform('c1', { ...sector.c1Task(), piece_infos })).rejects.toThrow(/piece_infos/)
    await expect(perform('pc1', { ...sector.pc1Task(), piece_infos })).rejects.toThrow(
      /piece_infos/,
    )
  })

  it('tells how far it is', async () => {
    const seen: string[] = []
    await perform('pc1', sector.pc1Task(), seen)
    expect(seen).toEqual(['layer 1/4', 'layer 2/4', 'layer 3/4', 'layer 4/4'])
  })
})

describe('what cannot be a task', () => {
  const sector = new Sector()
  afterAll(() => sector.remove())
  const task = () => ({ registered_proof: 5, staged_file: sector.staged, cache_dir: sector.cache })

  it.each([
    ['a path that is not absolute', { staged_file: 'staged' }, /staged_file: .*absolute/],
    ['a path that ends early', { cache_dir: '/a\0b' }, /cache_dir: .*absolute/],
    ['a real sector', { registered_proof: 'StackedDrg32GiBV1_1' }, /up to 8MiB/],
    ['a kind that there is not', { registered_proof: 'Stacked' }, /no seal proof/],
    ['a size that there is not', { registered_proof: 'StackedDrg3KiBV1' }, /no sector size/],
  ])('%s', async (_, lie, why) => {
    await expect(perform('tree_d', { ...task(), ...lie })).rejects.toThrow(why)
  })

  it('names that have no 32 bytes', async () => {
    const sealing = { ...sector.pc1Task(), piece_infos: [] }
    for (const ticket of ['', 'b2', 'zz'.repeat(32), [1, 2], Array<number>(32).fill(256)]) {
      await expect(perform('pc1', { ...sealing, ticket })).rejects.toThrow(/ticket/)
    }
    await expect(perform('pc1', { ...sealing, sector_id: -1 })).rejects.toThrow(/sector_id/)
  })

  it('lists beyond their limits', async () => {
    const piece = { piece_file: 'pledge' as const, payload_size: 0, piece_size: 128 }
    const pieces = Array(65_537).fill(piece)
    const adding = { seal_proof_type: 5, pieces, staged_filepath: sector.staged }
    await expect(perform('add_pieces', adding)).rejects.toThrow(/pieces: Too big/)
    const place = { uri: sector.staged }
    const routes = Array(10_001).fill({ src: place, dest: place })
    await expect(perform('transfer', { routes })).rejects.toThrow(/routes: Too big/)
    const { cache: cache_dir, sealed: sealed_file } = sector
    const replica = { sector_id: 1, comm_r: other, cache_dir, sealed_file }
    const replicas = Array(10_001).fill(replica)
    const proving = { miner_id: 1, proof_type: 5, replicas, seed: SEED }
    await expect(perform('window_post', proving)).rejects.toThrow(/replicas: Too big/)
  })

  it('a file that is not there, or of another size', async () => {
    await expect(perform('tree_d', task())).rejects.toThrow(/ENOENT/)
    writeFileSync(sector.staged, 'short')
    await expect(perform('tree_d', task())).rejects.toThrow(/has 5 bytes; 2048 bytes/)
  })
})
