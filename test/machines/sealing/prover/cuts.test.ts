/** Every stage that writes is repeated from where a kill left it, and comes to the same files. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { partOf } from '../../../../machines/sealing/prover/files.ts'
import type { ProverStage } from '../../../../machines/sealing/prover/tasks.ts'
import { flipped, NAMES, perform, type RawTask, Sector } from './rig.ts'

let sector: Sector
afterEach(() => sector.remove())

/**
 * Runs the stage whole, then once from each state that a kill can leave: the first files have their
 * names, the next one is cut somewhere, the rest are as they were.
 * @param files in the order in which they get their names
 */
async function repeatFromEveryCut<TStage extends ProverStage>(
  stage: TStage,
  task: RawTask<TStage>,
  files: readonly string[],
): Promise<void> {
  const before = `${sector.folder}.before`
  cpSync(sector.folder, before, { recursive: true })
  const output = await perform(stage, task)
  const whole = files.map((file) => readFileSync(file))
  for (let named = 0; named <= files.length; named++) {
    for (const part of [0, 0.5, 1]) {
      rmSync(sector.folder, { recursive: true })
      cpSync(before, sector.folder, { recursive: true })
      for (const [index, file] of files.entries()) {
        mkdirSync(dirname(file), { recursive: true })
        if (index < named) writeFileSync(file, whole[index]!)
        if (index === named) {
          writeFileSync(partOf(file), whole[index]!.subarray(0, part * whole[index]!.length))
        }
      }
      expect(await perform(stage, task), `${stage}, ${named} files, ${part}`).toEqual(output)
      for (const [index, file] of files.entries()) {
        expect(readFileSync(file).equals(whole[index]!), `${file} after ${named}`).toBe(true)
        expect(existsSync(partOf(file))).toBe(false)
      }
    }
  }
  rmSync(before, { recursive: true })
}

const layers = [1, 2, 3, 4].map((layer) => `cache/sc-02-data-layer-${layer}.dat`)

it('add_pieces, tree_d, pc1 and pc2', async () => {
  sector = new Sector()
  writeFileSync(sector.at('piece'), Buffer.alloc(1_000, 5))
  const piece = {
    piece_file: { local: sector.at('piece') },
    payload_size: 1_000,
    piece_size: 1_024,
  }
  const adding = { seal_proof_type: sector.proof, pieces: [piece], staged_filepath: sector.staged }
  await repeatFromEveryCut('add_pieces', adding, [sector.staged])
  sector.pieces = await perform('add_pieces', adding)

  const treeD = sector.at('cache/sc-02-data-tree-d.dat')
  const tree = {
    registered_proof: sector.proof,
    staged_file: sector.staged,
    cache_dir: sector.cache,
  }
  await repeatFromEveryCut('tree_d', tree, [treeD])

  const labels = layers.map((name) => sector.at(name))
  await repeatFromEveryCut('pc1', sector.pc1Task(), [...labels, treeD, sector.sealed])

  const pc1out = await perform('pc1', sector.pc1Task())
  const task = { pc1out, cache_dir: sector.cache, sealed_file: sector.sealed }
  const trees = ['c', 'r-last'].map((name) => sector.at(`cache/sc-02-data-tree-${name}.dat`))
  const files = [sector.sealed, ...trees, sector.at('cache/p_aux')]
  await repeatFromEveryCut('pc2', task as unknown as RawTask<'pc2'>, files)
})

it('pc2 takes no other file for the sealed one', async () => {
  sector = new Sector()
  await sector.addPieces()
  const pc1out = await perform('pc1', sector.pc1Task())
  const task = { pc1out, cache_dir: sector.cache, sealed_file: sector.sealed }
  writeFileSync(sector.sealed, Buffer.alloc(sector.sizeBytes, 1))
  const again = perform('pc2', task as unknown as RawTask<'pc2'>)
  await expect(again).rejects.toThrow(/neither the data .* repeat pc1/)
})

it('pc2 computes labels anew that were damaged since pc1', async () => {
  sector = new Sector()
  await sector.addPieces()
  const pc1out = await perform('pc1', sector.pc1Task())
  const task = { pc1out, cache_dir: sector.cache, sealed_file: sector.sealed }
  const data = readFileSync(sector.sealed)
  const output = await perform('pc2', task as unknown as RawTask<'pc2'>)
  for (const name of layers) {
    const labels = readFileSync(sector.at(name))
    writeFileSync(sector.at(name), flipped(labels, 100))
    writeFileSync(sector.sealed, data)
    expect(await perform('pc2', task as unknown as RawTask<'pc2'>), name).toEqual(output)
    writeFileSync(sector.at(name), labels)
  }
})

it('pc1 with another ticket leaves nothing of the first', async () => {
  sector = new Sector()
  await sector.addPieces()
  await sector.seal()
  const first = readFileSync(sector.sealed)
  await perform('pc1', { ...sector.pc1Task(), ticket: 'ee'.repeat(32) })
  expect(existsSync(sector.at('cache/p_aux'))).toBe(false)
  expect(readFileSync(sector.sealed)).toEqual(readFileSync(sector.staged))
  await sector.seal()
  expect(readFileSync(sector.sealed)).toEqual(first)
})

it('snap_encode and unseal', async () => {
  sector = new Sector()
  await sector.addNothing()
  await sector.seal()
  const staged_data_path = sector.at('new-staged')
  writeFileSync(sector.at('piece'), Buffer.alloc(2_032, 5))
  const piece = {
    piece_file: { local: sector.at('piece') },
    payload_size: 2_032,
    piece_size: 2_032,
  }
  const piece_infos = await perform<'add_pieces', { commitment: string; size: number }[]>(
    'add_pieces',
    { seal_proof_type: sector.proof, pieces: [piece], staged_filepath: staged_data_path },
  )
  const encoding = {
    registered_proof: sector.proof,
    new_replica_path: sector.at('update'),
    new_cache_path: sector.at('update-cache'),
    sector_path: sector.sealed,
    sector_cache_path: sector.cache,
    staged_data_path,
    piece_infos,
  }
  const cache = ['tree-d', 'tree-r-last'].map((name) => `update-cache/sc-02-data-${name}.dat`)
  const files = ['update', ...cache, 'update-cache/p_aux'].map((name) => sector.at(name))
  await repeatFromEveryCut('snap_encode', encoding, files)

  const unsealing = {
    registered_proof: sector.proof,
    ...NAMES,
    comm_d: sector.pc2out.comm_d,
    cache_dir: sector.cache,
    sealed_file: sector.sealed,
    unsealed_output: sector.at('out'),
    offset: 0,
    num_bytes: 100,
  }
  await repeatFromEveryCut('unseal', unsealing, [sector.at('out')])
})
