/** Every plan from its first state to its last, with real sealing of small sectors. */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PLANS, statesOf } from '../../../../machines/sealing/plans/index.ts'
import { ProcessorError } from '../../../../machines/sealing/processors/index.ts'
import { verify, verifySnap, verifyWindowPost } from '../../../../machines/sealing/prover/index.ts'
import { rootOf, treeOf } from '../../../../machines/sealing/prover/merkle.ts'
import { STEP_WORK } from '../../../../machines/sealing/steps/table.ts'
import { proverId } from '../../../../machines/sealing/steps/task-bytes.ts'
import type { SectorRecord } from '../../../../machines/sealing/thread/index.ts'
import type { Deal } from '../../../../machines/sealing/venus/index.ts'
import { Rig, SECTOR, SEED, SETTINGS, TICKET } from './rig.ts'

let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const NAME = 's-t01000-7'
const PROOF = 'StackedDrg2KiBV1_1'
const files = (store: string, folder: string) => readdirSync(join(store, folder))
const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64')

/** A deal, whose piece lies in the directory of pieces. */
function dealOf(payload: Buffer, id = 4): Deal {
  const padded = Buffer.alloc(1_024)
  payload.copy(padded)
  const cid = rootOf(treeOf(padded)).toString('hex')
  writeFileSync(join(rig.pieces, cid), payload)
  return { ID: id, Piece: { Size: 1_024, PayloadSize: payload.length, Cid: cid } }
}

function isProven(record: SectorRecord): boolean {
  const { pc2out, ticket, c2out } = record
  const proof = c2out && 'inline' in c2out ? String(c2out.inline) : heldProof(c2out)
  return verify({
    registered_proof: PROOF,
    prover_id: proverId(SECTOR.ID),
    sector_id: SECTOR.ID.Number,
    ticket: ticket?.Ticket ?? '',
    seed: SEED.Seed,
    comm_r: pc2out?.commR ?? '',
    comm_d: pc2out?.commD ?? '',
    proof,
  }).valid
}

function heldProof(held: SectorRecord['c2out']): string {
  if (!held || !('file' in held)) return ''
  return JSON.parse(readFileSync(join(rig.location, 'data', held.file), 'utf8')) as string
}

it('each state of each plan has its step, and no other', () => {
  for (const plan of PLANS) {
    expect(Object.keys(STEP_WORK[plan]).sort(), plan).toEqual([...statesOf(plan)].sort())
  }
})

it('sealer: a sector without deals', async () => {
  const sealed = await rig.drive('sealer', { stop: 'ProofSubmitted' })
  expect(isProven(sealed.record)).toBe(true)
  expect(files(rig.location, `data/cache/${NAME}`)).toContain('sc-02-data-layer-1.dat')
  const cleared = await rig.drive('sealer', {
    ...sealed,
    state: 'ProofSubmitted',
    stop: 'Finished',
  })
  expect(files(rig.location, `data/cache/${NAME}`)).not.toContain('sc-02-data-layer-1.dat')

  const ended = await rig.drive('sealer', { ...cleared, state: 'Finished' })
  const path = [...sealed.path, ...cleared.path.slice(1)]
  const passed = statesOf('sealer').filter((state) => state !== 'SyntheticPoRepNeeded')
  expect(path).toEqual(passed.filter((state) => state !== 'Aborted'))
  expect(files(rig.location, 'data/sealed')).toEqual([])
  expect(files(rig.long, 'sealed')).toEqual([NAME])
  expect(files(rig.long, `cache/${NAME}`)).toEqual(['p_aux', 'sc-02-data-tree-r-last.dat'])

  const { pc2out = { commR: '', commD: '' } } = ended.record
  const info = { CommR: base64(pc2out.commR), CommD: base64(pc2out.commD), Ticket: TICKET }
  const { manager } = rig
  expect(manager.paramsOf('AllocateSector')).toEqual([
    [{ AllowedMiners: [1_000], AllowedProofTypes: [SECTOR.ProofType] }],
  ])
  expect(manager.paramsOf('SubmitPreCommit')).toEqual([[SECTOR, info, false]])
  expect(manager.paramsOf('StoreReserveSpace')).toEqual([[SECTOR.ID, 4_096, ['long']]])
  expect(manager.paramsOf('SubmitPersistedEx')).toEqual([[SECTOR.ID, 'long', false]])
  expect(manager.paramsOf('SubmitProof')).toMatchObject([[SECTOR.ID, {}, false]])
  expect(manager.paramsOf('ReportFinalized')).toEqual([[SECTOR.ID]])
  expect(manager.paramsOf('ReportAborted')).toEqual([])
})

it('sealer: a sector with deals and filler, and the piece out of it again', async () => {
  const payload = randomBytes(900)
  const filler: Deal = { ID: 0, Piece: { Size: 1_024, PayloadSize: null, Cid: 'filler' } }
  rig.manager.answers.AcquireDeals = () => [filler, dealOf(payload)]
  const input = { settings: { ...SETTINGS, enableDeals: true, maxDeals: 2, verifyAfterPc2: true } }
  const { record } = await rig.drive('sealer', { input })
  expect(rig.manager.paramsOf('AcquireDeals')).toEqual([
    [SECTOR.ID, { MaxDeals: 2, MinUsedSpace: null }],
  ])
  expect(rig.processors.runs.filter(({ stage }) => stage === 'c1')).toHaveLength(2)

  const unsealed = join(rig.root, 'out', 'piece')
  const { commD = '' } = record.pc2out ?? {}
  const cid = record.deals?.[1]?.Piece.Cid ?? ''
  Object.assign(rig.manager.answers, {
    AllocateUnsealSector: () => ({
      ...{ Sector: SECTOR, PieceCid: cid, Offset: 1_024, Size: 1_024, Ticket: TICKET },
      ...{ CommD: base64(commD), PrivateInfo: { AccessInstance: 'long' } },
    }),
    AcquireUnsealDest: () => [`file://${unsealed}`, 'store://long/out/piece'],
  })
  const { path } = await rig.drive('unseal')
  expect(path).toEqual(statesOf('unseal'))
  expect(readFileSync(unsealed).subarray(0, 900)).toEqual(payload)
  expect(readFileSync(join(rig.long, 'out/piece')).equals(readFileSync(unsealed))).toBe(true)
  expect(rig.manager.paramsOf('AchieveUnsealSector')).toEqual([[SECTOR.ID, cid, '']])
  expect(files(rig.location, 'data/unsealed')).toEqual([])
})

it('snapup: data into a sector without, out of it again, and all of it rebuilt from nothing', async () => {
  const { record } = await rig.drive('sealer')
  const commR = record.pc2out?.commR ?? ''
  const payload = randomBytes(1_000)
  const deals = [dealOf(randomBytes(1_000), 4), dealOf(payload, 5)]
  const sealedBefore = hashOf(join(rig.long, 'sealed', NAME))
  rig.manager.answers.AllocateSanpUpSector = () => ({
    ...{ Sector: SECTOR, Pieces: deals },
    ...{ Public: { CommR: base64(commR) }, Private: { AccessInstance: 'long' } },
  })
  const encoded = await rig.drive('snapup', { stop: 'SnapEncoded' })
  // Once more, over the links and files of the first time.
  const snapped = await rig.drive('snapup', { ...encoded, state: 'TreeDBuilt' })
  expect([...encoded.path.slice(0, 3), ...snapped.path]).toEqual(
    statesOf('snapup').filter((state) => state !== 'Aborted'),
  )
  const [submitted] = rig.manager.paramsOf('SubmitSnapUpProof')
  const { Proof = '', NewCommR = '', NewCommD = '', AccessInstance, Pieces } = submitted?.[1] ?? {}
  expect({ AccessInstance, Pieces }).toEqual({
    AccessInstance: 'long',
    Pieces: deals.map(({ Piece }) => Piece.Cid),
  })
  const claim = { registered_proof: PROOF, comm_r_old: commR, comm_r_new: NewCommR }
  expect(verifySnap({ ...claim, comm_d_new: NewCommD, proof: Proof })).toMatchObject({
    valid: true,
  })
  expect(hashOf(join(rig.long, 'sealed', NAME))).toBe(sealedBefore)

  Object.assign(rig.manager.answers, {
    AllocateUnsealSector: () => ({
      ...{ Sector: SECTOR, PieceCid: 'piece', Offset: 1_024, Size: 1_024, Ticket: TICKET },
      ...{ CommD: NewCommD, PrivateInfo: { AccessInstance: 'long' } },
    }),
    AcquireUnsealDest: () => ['store://long/piece'],
  })
  await rig.drive('unseal')
  expect(readFileSync(join(rig.long, 'piece')).subarray(0, 1_000)).toEqual(payload)

  const upgraded = hashOf(join(rig.long, 'update', NAME))
  rig.manager.answers.AllocateRebuildSector = () => ({
    ...{ Sector: SECTOR, Ticket: TICKET, Pieces: deals, IsSnapUp: true },
    UpgradePublic: { CommR: NewCommR },
  })
  const rebuilt = await rig.drive('rebuild')
  const optional = ['SyntheticPoRepNeeded', 'Aborted']
  expect(rebuilt.path).toEqual(statesOf('rebuild').filter((state) => !optional.includes(state)))
  expect(rebuilt.record.pc2out?.commR).toBe(commR)
  expect(hashOf(join(rig.long, 'update', NAME))).toBe(upgraded)
  expect(rig.manager.paramsOf('SubmitPersistedEx').at(-1)).toEqual([SECTOR.ID, 'long', true])
})

it('rebuild: a sector that was not upgraded, and back to its sealing', async () => {
  rig.manager.answers.AllocateRebuildSector = () => ({
    ...{ Sector: SECTOR, Ticket: TICKET, Pieces: [], IsSnapUp: false },
  })
  const { path, record } = await rig.drive('rebuild')
  expect(path.slice(-5)).toEqual([
    ...['PC2Done', 'SealedChecked', 'SnapDone', 'Persisted', 'Finished'],
  ])
  expect(record.ticket).toEqual(TICKET)
  expect(rig.manager.paramsOf('AssignTicket')).toEqual([])
})

it('rebuild: an upgraded one goes back to its sealing with the pieces of then', async () => {
  const deals = [dealOf(randomBytes(1_000), 4), dealOf(randomBytes(1_000), 5)]
  rig.manager.answers.AllocateRebuildSector = () => ({
    ...{ Sector: SECTOR, Ticket: TICKET, Pieces: deals, IsSnapUp: true },
    UpgradePublic: { CommR: SEED.Seed },
  })
  const { record } = await rig.drive('rebuild', { stop: 'SnapEncoded' })
  const again = await rig.drive('rebuild', { record, state: 'TreeDBuilt', stop: 'SnapDone' })
  expect(again.record.pc2out).toEqual(record.pc2out)
  expect(again.record.snapEncodeOut).toEqual(record.snapEncodeOut)
})

it('wdpost: a job, and one whose processor fails', async () => {
  const sealed = await rig.drive('sealer')
  const replica = {
    SectorID: SECTOR.ID,
    CommR: base64(sealed.record.pc2out?.commR ?? ''),
    Accesses: {
      CacheDir: join(rig.long, 'cache', NAME),
      SealedFile: join(rig.long, 'sealed', NAME),
    },
  }
  const job = jobOf(replica)
  rig.manager.answers.WdPoStAllocateJobs = () => [job]
  const input = { location: null, thread: 'w1~wdpost-0' }
  const { path } = await rig.drive('wdpost', { input })
  expect(path).toEqual(['Empty', 'Allocated', 'Generated', 'Finished'])
  const [[id, output, error] = []] = rig.manager.paramsOf('WdPoStFinishJob')
  expect([id, error]).toEqual(['job1', ''])
  const { Proofs: proofs, Faults } = output as { Proofs: string[]; Faults: number[] }
  expect(Faults).toEqual([])
  const replicas = [{ sector_id: 7, comm_r: replica.CommR }]
  const claim = { miner_id: 1_000, proof_type: 'StackedDrgWindow2KiBV1', seed: SEED.Seed }
  expect(verifyWindowPost({ ...claim, replicas, proofs })).toMatchObject({ valid: true })

  rig.processors.stages['window_post'] = () => {
    throw new Error('the GPU is gone')
  }
  await rig.drive('wdpost', { input })
  expect(rig.manager.paramsOf('WdPoStFinishJob').at(-1)).toEqual(['job1', null, 'the GPU is gone'])

  // One that is only down for now is waited for, a few times.
  rig.processors.stages['window_post'] = () => {
    throw new ProcessorError('unhealthy', 'no child is up', { stage: 'window_post' })
  }
  const record = { job: { id: job.ID, input: job.Input } }
  const generate = (rests: number) =>
    rig.run('Allocated', { plan: 'wdpost', record, rests, ...input })
  expect(await generate(2)).toMatchObject({ kind: 'rest', reason: 'processor-down' })
  expect(await generate(3)).toMatchObject({ record: { jobOutput: { error: 'no child is up' } } })
  expect(existsSync(join(rig.root, 'store1', 'quarantine'))).toBe(false)
})

function jobOf(replica: {
  SectorID: typeof SECTOR.ID
  CommR: string
  Accesses: { CacheDir: string; SealedFile: string }
}) {
  return {
    ...{ ID: 'job1', State: 'ReadyToRun' as const, DeadlineIdx: 3, Partitions: [0] },
    Input: {
      ...{ Sectors: [replica], MinerID: 1_000, ProofType: SECTOR.ProofType, Seed: SEED.Seed },
    },
    ...{ Output: null, TryNum: 0, ErrorReason: '', WorkerName: 'w1', StartedAt: 0 },
    ...{ HeartbeatAt: 0, FinishedAt: 0, CreatedAt: 0, UpdatedAt: 0 },
  }
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
