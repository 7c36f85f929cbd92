/** A step that was cut off anywhere is repeated without harm, and one that ended is not repeated at all. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { PlanName, SectorState } from '../../../../machines/sealing/plans/index.ts'
import { LocalStore } from '../../../../machines/sealing/stores/index.ts'
import type { SectorRecord } from '../../../../machines/sealing/thread/index.ts'
import {
  type CallContext,
  ManagerDown,
  type VenusCall,
} from '../../../../machines/sealing/venus/index.ts'
import { until } from '../../../waiting.ts'
import { failure, Rig, SECTOR } from './rig.ts'

const PATIENT = { timeoutMs: 30_000 }
const NAME = 's-t01000-7'
let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const data = (...inner: string[]) => join(rig.location, 'data', ...inner)
const stagesRun = () => rig.processors.runs.map(({ stage }) => stage)

/** The worker is killed once this stage has done all its work, and nobody hears of it. */
function killBehind(stage: string): void {
  rig.processors.stages[stage] = async (task) => {
    await rig.processors.well(stage, task)
    delete rig.processors.stages[stage]
    throw new Error('killed')
  }
}

it('an outcome that was kept is given again, and nothing is done for it', async () => {
  const { record } = await rig.drive('sealer', { stop: 'TicketAssigned' })
  const attempt = { taskId: 'the task' }
  const first = await rig.run('TicketAssigned', { record }, attempt)
  const [runs, calls] = [stagesRun().length, rig.manager.calls.length]
  rig.runner = rig.newRunner()
  expect(await rig.run('TicketAssigned', { record }, attempt)).toEqual(first)
  expect(stagesRun()).toHaveLength(runs)
  expect(rig.manager.calls).toHaveLength(calls)

  await rig.run('TicketAssigned', { record }, { taskId: 'another task' })
  expect(stagesRun()).toHaveLength(runs + 1)
})

it('an allocated sector is kept before anybody hears of it', async () => {
  const attempt = { taskId: 'the task' }
  await rig.run('Empty', { record: {} }, attempt)
  rig.manager.answers.AllocateSector = () => ({ ...SECTOR, ID: { Miner: 1_000, Number: 8 } })
  const again = await rig.run('Empty', { record: {} }, attempt)
  expect(again).toMatchObject({ event: 'Allocate', record: { sector: SECTOR } })
  expect(rig.manager.paramsOf('AllocateSector')).toHaveLength(1)
})

it.each<[PlanName, VenusCall]>([
  ['sealer', 'AllocateSector'],
  ['snapup', 'AllocateSanpUpSector'],
  ['rebuild', 'AllocateRebuildSector'],
  ['unseal', 'AllocateUnsealSector'],
  ['wdpost', 'WdPoStAllocateJobs'],
])(
  '%s: who asks for work again, since no answer came, asks under the same key',
  async (plan, name) => {
    const keys = new Set<string | undefined>()
    // It was killed behind the allocation, and before its answer.
    const answer = (_params: unknown, { taskId }: CallContext) => {
      keys.add(taskId)
      throw new ManagerDown('connection reset')
    }
    Object.assign(rig.manager.answers, { [name]: answer })
    const input = { plan, record: {}, ...(plan === 'wdpost' ? { location: null } : {}) }
    expect(await rig.run('Empty', { ...input, cycle: 4 })).toMatchObject({ reason: 'manager-down' })
    await rig.run('Empty', { ...input, cycle: 4, rests: 1 })
    expect([...keys]).toEqual([`life:sealing-thread/w1~store1#1:cycle:4:${name}`])
    await rig.run('Empty', { ...input, cycle: 5 })
    const born = { taskId: 'sealing-thread/w1~store1#2:1:0' }
    await rig.run('Empty', { ...input, cycle: 5 }, born)
    rig.runner = rig.newRunner({ lifeOfThreads: 'another' })
    await rig.run('Empty', { ...input, cycle: 5 }, born)
    expect(keys.size).toBe(4)
  },
)

it('what costs nothing and harms nothing when it is done again is not kept', async () => {
  const { record } = await rig.drive('sealer', { stop: 'PC2Done' })
  const isKept = async (state: SectorState, more: SectorRecord = {}, rests = 0) => {
    rmSync(data('steps'), { recursive: true })
    await rig.run(state, { record: { ...record, ...more }, rests })
    return readdirSync(data('steps')).length > 0
  }
  expect(await isKept('PC1Done')).toBe(true)
  expect(await isKept('TreeDBuilt')).toBe(false)
  expect(await isKept('PC2Done')).toBe(false)
  // Replacing a message twice would send two.
  expect(await isKept('PC2Done', { pc2Resubmit: true }, 1)).toBe(true)
  expect(await isKept('PCSubmitted')).toBe(false)
  rig.manager.answers.PollPreCommitState = () => ({ State: 1 })
  expect(await isKept('PCSubmitted')).toBe(false)
})

it('an outcome that cannot be kept, for a disk that is full, is not lost', async () => {
  rig.processors.stages['add_pieces'] = async (task) => {
    rmSync(data('steps'), { recursive: true })
    writeFileSync(data('steps'), 'in the way')
    return await rig.processors.well('add_pieces', task)
  }
  expect(await rig.run('DealsAcquired')).toMatchObject({ event: 'AddPiece' })
  rmSync(data('steps'))

  rig.manager.answers.ReportFinalized = () => {
    mkdirSync(data('steps', 'kept-1'))
    return {}
  }
  const ended = await rig.run('Finished', {}, { taskId: 'the task' })
  expect(ended).toMatchObject({ event: 'Ended' })
})

/** Of a sector that nothing happened to; it is the same each time. */
let straight: SectorRecord | undefined

it.each<[SectorState, string]>([
  ['DealsAcquired', 'add_pieces'],
  ['PieceAdded', 'tree_d'],
  ['TicketAssigned', 'pc1'],
  ['PC1Done', 'pc2'],
  ['PCLanded', 'transfer'],
  ['SeedAssigned', 'c1'],
  ['C1Done', 'c2'],
])('%s: killed behind %s, and the sector comes out the same', async (state, stage) => {
  killBehind(stage)
  const before = await rig.drive('sealer', { stop: state })
  expect(await failure(rig.run(state, before))).toContain('killed')
  const { record } = await rig.drive('sealer', { ...before, state, stop: 'Finished' })
  straight ??= (await rig.drive('sealer', { stop: 'PC2Done' })).record
  expect(record.pc2out).toEqual(straight.pc2out)
})

it('PC2 of a processor that cannot be repeated begins from the staged data each time', async () => {
  // As Filecoin's: it turns the file over whatever it holds.
  rig.processors.stages['pc2'] = ({ sealed_file }: { sealed_file: string }) => {
    const turned = readFileSync(sealed_file).map((byte) => byte ^ 0x5a)
    writeFileSync(sealed_file, turned)
    return { comm_r: [...turned.subarray(0, 32)], comm_d: [...turned.subarray(0, 32)] }
  }
  const before = await rig.drive('sealer', { stop: 'PC1Done' })
  const first = await rig.run('PC1Done', before)
  // Its result was lost; then a person asks for it once more.
  expect(await rig.run('PC1Done', before)).toMatchObject({ record: recordIn(first) })
  expect(await rig.run('PC1Done', before)).toMatchObject({ record: recordIn(first) })
  // Behind a PC1 the file is new by itself.
  const again = await rig.drive('sealer', { ...before, state: 'TicketAssigned', stop: 'PC1Done' })
  rmSync(data('unsealed', NAME))
  expect(await rig.run('PC1Done', again)).toMatchObject({ record: recordIn(first) })
  // Without the marker it would have been turned twice.
  expect(await failure(rig.run('PC1Done', again))).toContain('ENOENT')
})

function recordIn(outcome: Awaited<ReturnType<Rig['run']>>): SectorRecord {
  if (outcome.kind !== 'done') throw new Error(outcome.why)
  return outcome.record
}

it('PC1 starts from nothing but the staged data', async () => {
  const before = await rig.drive('sealer', { stop: 'TicketAssigned' })
  writeFileSync(data('sealed', NAME), 'of a try that was cut off')
  rig.processors.stages['pc1'] = (task: { cache_path: string; out_path: string }) => {
    expect(readdirSync(task.cache_path)).toEqual(['sc-02-data-tree-d.dat'])
    expect(readFileSync(task.out_path, 'utf8')).toBe('')
    return rig.processors.well('pc1', task)
  }
  await rig.run('TicketAssigned', before)
  await rig.run('TicketAssigned', before)
  expect(rig.manager.paramsOf('AssignTicket')).toHaveLength(2)
})

it('a large value that was changed on the disk is a critical error, and says what to do', async () => {
  rig.processors.stages['c1'] = () => ({ openings: 'x'.repeat(20_000) })
  const { record } = await rig.drive('sealer', { stop: 'C1Done' })
  const { c1out } = record
  if (!c1out || !('file' in c1out)) throw new Error('it is small')
  writeFileSync(data(c1out.file), '"else"')
  const said = await failure(rig.run('C1Done', { record }))
  expect(said).toMatch(/^critical: .* was changed: its SHA-256 is .*resume the thread/)
})

it('a store that is to take a new sector puts aside what an operator left in it', async () => {
  await rig.drive('sealer', { stop: 'PC1Done' })
  await rig.run('Empty', { record: {} })
  expect(existsSync(data('sealed', NAME))).toBe(false)
  const store = await LocalStore.open(rig.location)
  const [entry] = await store.quarantine.list()
  expect(entry).toMatchObject({ acknowledged: false, reason: expect.stringContaining('found in') })
  const kept = join(rig.location, 'quarantine', entry?.name ?? '', 'sealed', NAME)
  expect(existsSync(kept)).toBe(true)
})

it('a second run in a store waits until the first has ended and its child is quiet', async () => {
  const order: string[] = []
  let quieten = () => {}
  rig.processors.stages['add_pieces'] = (_task, { signal }) =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => {
        order.push('the first is stopped')
        reject(new Error('cancelled'))
      })
    })
  const first = failure(rig.run('DealsAcquired', {}, { taskId: 'the task' }))
  await until(() => stagesRun().length === 1, PATIENT, 'the first works')
  rig.processors.quiet = () =>
    new Promise((resolve) => {
      order.push('the second waits for the child')
      quieten = resolve
    })
  delete rig.processors.stages['add_pieces']
  const second = rig.run('DealsAcquired', {}, { taskId: 'the task' })
  expect(await first).toBe('temporary: the step was begun anew')
  await until(() => order.length === 2, PATIENT, 'the second waits')
  expect(stagesRun()).toHaveLength(1)
  quieten()
  expect(await second).toMatchObject({ event: 'AddPiece' })
  expect(order).toEqual(['the first is stopped', 'the second waits for the child'])
})

it('a step that is not wanted any more does not wait for the child of an earlier one', async () => {
  rig.processors.quiet = () => new Promise(() => undefined)
  const stop = new AbortController()
  const step = failure(rig.run('DealsAcquired', {}, { signal: stop.signal }))
  stop.abort(new Error('not wanted'))
  expect(await step).toBe('temporary: not wanted')
  rig.processors.quiet = async () => undefined
  expect(await rig.run('DealsAcquired')).toMatchObject({ event: 'AddPiece' })
})
