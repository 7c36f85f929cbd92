/** What sealing comes to seldom: static trees, synthetic proofs, old links, jobs that cannot be. */
import { linkSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { reservedBytes } from '../../../../machines/sealing/steps/persisting.ts'
import type { SectorRecord } from '../../../../machines/sealing/thread/index.ts'
import { failure, Rig, SECTOR, SEED, TICKET } from './rig.ts'

const NAME = 's-t01000-7'
const HEX = 'ab'.repeat(32)
const DEALS = [{ ID: 4, Piece: { Size: 2_048, Cid: HEX } }]
let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const data = (...inner: string[]) => join(rig.location, 'data', ...inner)
const stagesRun = () => rig.processors.runs.map(({ stage }) => stage)

it('a tree that is there already serves sectors without deals', async () => {
  const tree = join(rig.root, 'tree.dat')
  rig.runner = rig.newRunner({ staticTrees: { '2KiB': tree } })
  expect(await failure(rig.run('PieceAdded'))).toMatch(/^critical: .*tree\.dat/)
  writeFileSync(tree, '')
  expect(await rig.run('PieceAdded')).toMatchObject({ event: 'BuildTreeD' })
  // Once more, over the link of the first time.
  expect(await rig.run('PieceAdded')).toMatchObject({ event: 'BuildTreeD' })
  expect(stagesRun()).toEqual([])
  expect(readlinkSync(data('prepared', NAME, 'sc-02-data-tree-d.dat'))).toBe(tree)

  rig.processors.stages['tree_d'] = () => true
  await rig.run('PieceAdded', { record: { sector: SECTOR, deals: DEALS } })
  const upgraded = { sector: SECTOR, deals: DEALS, finalized: {} }
  await rig.run('PieceAdded', { plan: 'rebuild', record: upgraded })
  await rig.run('SnapPieceAdded', { plan: 'rebuild', record: upgraded })
  await rig.run('PieceAdded', { plan: 'snapup', record: upgraded })
  expect(stagesRun()).toEqual(['tree_d', 'tree_d', 'tree_d'])
})

it('a processor that seals with synthetic proofs gets them made', async () => {
  rig.processors.stages['pc2'] = async (task) => ({
    ...((await rig.processors.well('pc2', task)) as object),
    need_synthetic_proof: true,
  })
  rig.processors.stages['synth_proof'] = () => null
  const { path } = await rig.drive('sealer', { stop: 'PC2Done' })
  expect(path.slice(-3)).toEqual(['PC1Done', 'SyntheticPoRepNeeded', 'PC2Done'])
  expect(stagesRun().at(-1)).toBe('synth_proof')
})

it('PC1 writes into no file of another store', async () => {
  const { record } = await rig.drive('sealer', { stop: 'TicketAssigned' })
  const kept = join(rig.long, 'sealed')
  writeFileSync(kept, 'the only copy')
  mkdirSync(data('sealed'), { recursive: true })
  linkSync(kept, data('sealed', NAME))
  rig.processors.stages['pc1'] = ({ out_path: out }: { out_path: string }) => {
    writeFileSync(out, 'new')
    return {}
  }
  await rig.run('TicketAssigned', { record })
  expect(readFileSync(kept, 'utf8')).toBe('the only copy')
})

it('what the manager left out of an allocation is named', async () => {
  const pieces = [{ commitment: HEX, size: 2_032 }]
  const unsealIn = { pieceCid: HEX, commD: HEX, offset: 0, size: 128 }
  const record: SectorRecord = {
    ...{ sector: SECTOR, pieces, finalized: {}, ticket: TICKET, unsealIn },
    snapEncodeOut: { commR: HEX, commD: HEX },
  }
  const store = /permanent: the manager did not say in which store/
  expect(await failure(rig.run('TreeDBuilt', { plan: 'snapup', record }))).toMatch(store)
  expect(await failure(rig.run('Allocated', { plan: 'unseal', record }))).toMatch(store)
  const said = await failure(rig.run('SnapEncoded', { plan: 'snapup', record }))
  expect(said).toMatch(/permanent: the manager did not say what the sealed sector was/)
})

it('an unsealed piece that is too short is not sent', async () => {
  rig.processors.stages['unseal'] = () => 126
  const record: SectorRecord = {
    ...{ sector: SECTOR, ticket: TICKET, finalized: { private: { AccessInstance: 'long' } } },
    unsealIn: { pieceCid: HEX, commD: HEX, offset: 128, size: 128 },
  }
  const said = await failure(rig.run('Allocated', { plan: 'unseal', record }))
  expect(said).toBe('permanent: the processor of unseal gave 126 bytes of 127')
})

it('window proofs are named as processors know them, and a job that cannot be is answered', async () => {
  const tasks: unknown[] = []
  rig.processors.stages['window_post'] = (task: { proof_type: string }) => {
    tasks.push(task.proof_type)
    return { proofs: [[1, 2, 3]], faults: [9] }
  }
  const Accesses = { CacheDir: 'relative/cache', SealedFile: '/sealed' }
  const made = async (ProofType: number, Sectors: object[] = []) => {
    const input = { Sectors, MinerID: 1_000, ProofType, Seed: SEED.Seed }
    const record: SectorRecord = { job: { id: 'job1', input } }
    const outcome = await rig.run('Allocated', { plan: 'wdpost', location: null, record })
    return outcome.kind === 'done' ? outcome.record.jobOutput : outcome
  }
  expect(await made(8)).toEqual({ inline: { Proofs: ['AQID'], Faults: [9] } })
  await made(13)
  await made(5)
  expect(tasks).toEqual([
    ...['StackedDrgWindow32GiBV1', 'StackedDrgWindow32GiBV1_1', 'StackedDrgWindow2KiBV1'],
  ])
  expect(await made(99_999)).toEqual({ error: 'there is no seal proof 99999' })
  const sector = { SectorID: SECTOR.ID, CommR: SEED.Seed, Accesses }
  expect(await made(8, [sector])).toEqual({
    error: '"relative/cache" of the job is no absolute path',
  })
  expect(tasks).toHaveLength(3)
})

it('asks for twice the room for small sectors, and hardly more than large ones have', () => {
  const gib = 2 ** 30
  expect(reservedBytes(512 * 2 ** 20)).toBe(gib)
  expect(reservedBytes(32 * gib)).toBe(Math.ceil(32.64 * gib))
  expect(reservedBytes(64 * gib)).toBe(Math.ceil(65.28 * gib))
})
