/** What each answer of the manager, and each failure of a processor, means for the thread. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProcessorError } from '../../../../machines/sealing/processors/index.ts'
import { AttachedStores } from '../../../../machines/sealing/stores/index.ts'
import type { SectorRecord, StepInput } from '../../../../machines/sealing/thread/index.ts'
import { ManagerRefusal } from '../../../../machines/sealing/venus/index.ts'
import { TroupeError } from '../../../../src/index.ts'
import { failure, Rig, SECTOR, SEED, SETTINGS, TICKET } from './rig.ts'

let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const HEX = 'ab'.repeat(32)
const DEALS = [{ ID: 4, Piece: { Size: 2_048, Cid: HEX } }]
const SEALED: SectorRecord = {
  ...{ sector: SECTOR, pieces: [{ commitment: HEX, size: 2_032 }], ticket: TICKET },
  ...{ pc2out: { commR: HEX, commD: HEX }, c2out: { inline: 'AAAA' }, persistedIn: 'long' },
}
const WITH_DEALS: SectorRecord = { ...SEALED, deals: DEALS }

describe('submissions', () => {
  it.each([
    [0, 'temporary', 'temporary'],
    [3, 'permanent', 'permanent'],
    [4, 'abort', 'permanent'],
    [5, 'permanent', 'permanent'],
    [77, 'temporary', 'temporary'],
  ])('result %i: %s, with deals %s', async (Res, bare, withDeals) => {
    const answer = () => ({ Res, Desc: 'because' })
    Object.assign(rig.manager.answers, { SubmitPreCommit: answer, SubmitProof: answer })
    for (const state of ['PC2Done', 'C2Done'] as const) {
      expect(await failure(rig.run(state, { record: SEALED }))).toMatch(
        new RegExp(`^${bare}: .*because$`),
      )
      expect(await failure(rig.run(state, { record: WITH_DEALS }))).toMatch(`${withDeals}: `)
    }
  })

  it.each([1, 2])('result %i goes on, and the next one replaces nothing', async (Res) => {
    const answer = () => ({ Res })
    Object.assign(rig.manager.answers, { SubmitPreCommit: answer, SubmitProof: answer })
    const record = { ...SEALED, pc2Resubmit: true, c2Resubmit: true }
    const after = { record, rests: 1 }
    expect(await rig.run('PC2Done', after)).toMatchObject({
      ...{ event: 'SubmitPC', record: { pc2Resubmit: false } },
    })
    expect(await rig.run('C2Done', after)).toMatchObject({
      ...{ event: 'SubmitProof', record: { c2Resubmit: false } },
    })
    expect(rig.manager.paramsOf('SubmitPreCommit')[0]?.[2]).toBe(true)
    expect(rig.manager.paramsOf('SubmitProof')[0]?.[2]).toBe(true)
  })

  it.each(['PC2Done', 'C2Done'] as const)(
    '%s: what failed is sent again after a rest',
    async (state) => {
      const record = { ...SEALED, pc2Resubmit: true, c2Resubmit: true }
      const rest = { kind: 'rest', reason: 'chain', afterMs: 30_000 }
      expect(await rig.run(state, { record })).toMatchObject(rest)
      expect(rig.manager.calls).toEqual([])
      const settings = { ...SETTINGS, rpcPollingIntervalMs: 500 }
      expect(await rig.run(state, { record, settings })).toMatchObject({ afterMs: 500 })
      expect(await rig.run(state, { record, retries: 1 })).toMatchObject({ kind: 'done' })
    },
  )

  it('an upgrade: missed files are persisted again, all else is for a person', async () => {
    const record = {
      ...{ ...WITH_DEALS, snapEncodeOut: { commR: HEX, commD: HEX } },
      snapProveOut: { inline: 'AAAA' },
    }
    const submit = () => rig.run('Persisted', { plan: 'snapup', record })
    rig.manager.answers.SubmitSnapUpProof = () => ({ Res: 5 })
    expect(await submit()).toMatchObject({ event: 'RePersist' })
    rig.manager.answers.SubmitSnapUpProof = () => ({ Res: 4 })
    expect(await failure(submit())).toContain('permanent: the manager answers Rejected')
    rig.manager.answers.SubmitSnapUpProof = () => ({ Res: 3 })
    expect(await failure(submit())).toContain('permanent: the manager answers Mismatched')
  })
})

describe('messages on their way', () => {
  const polls = [
    ['PCSubmitted', 'PollPreCommitState', 'ReSubmitPC', { pc2Resubmit: true }],
    ['ProofSubmitted', 'PollProofState', 'ReSubmitProof', { c2Resubmit: true }],
  ] as const

  it.each(polls)('%s', async (state, call, event, record) => {
    const answered = (State: number, known = SEALED) => {
      rig.manager.answers[call] = () => ({ State, Desc: 'in 3 epochs' })
      return rig.run(state, { record: known })
    }
    const waits = { kind: 'rest', reason: 'chain', afterMs: 180_000 }
    expect(await answered(1)).toMatchObject({ ...waits, why: 'Pending: in 3 epochs' })
    expect(await answered(2)).toMatchObject({ ...waits, why: 'Packed: in 3 epochs' })
    expect(await answered(0)).toMatchObject(waits)
    expect(await answered(3)).toMatchObject({ kind: 'done' })
    expect(await failure(answered(4))).toContain('permanent: the message is NotFound')
    expect(await answered(5)).toMatchObject({ event, record })
    expect(await failure(answered(6))).toContain('permanent: the message is PermFailed')
    expect(await failure(answered(7))).toContain('abort: the message is ShouldAbort')
    expect(await failure(answered(7, WITH_DEALS))).toContain('permanent: the message is Should')
  })

  it('is asked for earlier when the manager says when it lands', async () => {
    const desc = (Desc: string) => {
      rig.manager.answers.PollPreCommitState = () => ({ State: 2, Desc })
      return rig.run('PCSubmitted', { record: SEALED })
    }
    expect(await desc('landsInMs=2500')).toMatchObject({ afterMs: 2_500 })
    expect(await desc('landsInMs=0')).toMatchObject({ afterMs: 100 })
    expect(await desc('landsInMs=999999999')).toMatchObject({ afterMs: 180_000 })
  })

  it('a proof is not waited for if that is the setting', async () => {
    const settings = { ...SETTINGS, ignoreProofCheck: true }
    const outcome = await rig.run('ProofSubmitted', { record: SEALED, settings })
    expect(outcome).toMatchObject({ event: 'Finish' })
    expect(rig.manager.paramsOf('PollProofState')).toEqual([])
  })

  it('the seed', async () => {
    rig.manager.answers.WaitSeed = () => ({ ShouldWait: true, Delay: 12.2 })
    expect(await rig.run('PersistanceSubmitted')).toMatchObject({
      ...{ kind: 'rest', reason: 'seed', afterMs: 12_200 },
    })
    rig.manager.answers.WaitSeed = () => ({ ShouldWait: false, Delay: 0, Seed: null })
    expect(await failure(rig.run('PersistanceSubmitted'))).toMatch('temporary: ')
    rig.manager.answers.WaitSeed = () => ({ ShouldWait: false, Delay: 0, Seed: SEED })
    expect(await rig.run('PersistanceSubmitted')).toMatchObject({ record: { seed: SEED } })
  })
})

describe('work', () => {
  it.each([
    ['sealer', 'AllocateSector'],
    ['snapup', 'AllocateSanpUpSector'],
    ['rebuild', 'AllocateRebuildSector'],
    ['unseal', 'AllocateUnsealSector'],
  ] as const)('%s: none is no error, nor is a manager that says no', async (plan, call) => {
    const idle = { kind: 'rest', reason: 'idle', afterMs: 60_000 }
    rig.manager.answers[call] = () => null
    expect(await rig.run('Empty', { plan, record: {} })).toMatchObject(idle)
    rig.manager.answers[call] = () => {
      throw new ManagerRefusal(1, 'no miner is enabled')
    }
    expect(await rig.run('Empty', { plan, record: {} })).toMatchObject({
      ...idle,
      why: expect.stringContaining('no miner is enabled'),
    })
  })

  it('deals are asked for, waited for or done without, by the settings', async () => {
    const idle = { kind: 'rest', reason: 'idle', why: expect.stringContaining('without deals') }
    const acquire = (settings: Partial<StepInput['settings']>) =>
      rig.run('Allocated', { settings: { ...SETTINGS, ...settings } })
    rig.manager.answers.AcquireDeals = () => []
    expect(await acquire({})).toMatchObject({ event: 'AcquireDeals', record: { deals: [] } })
    expect(await acquire({ disableCc: true })).toMatchObject(idle)
    expect(rig.manager.calls).toEqual([])
    expect(await acquire({ enableDeals: true })).toMatchObject({ record: { deals: [] } })
    expect(await acquire({ enableDeals: true, disableCc: true })).toMatchObject(idle)
  })

  it('stores: none has room, none can be written to, an unknown one', async () => {
    rig.manager.answers.StoreReserveSpace = () => null
    const rest = { kind: 'rest', reason: 'store-space', afterMs: 180_000 }
    expect(await rig.run('PCLanded')).toMatchObject(rest)
    rig.manager.answers.StoreReserveSpace = () => ({ Name: 'old' })
    expect(await failure(rig.run('PCLanded'))).toContain('permanent: the manager wants the files')
    rig.manager.answers.SubmitPersistedEx = () => false
    expect(await failure(rig.run('Persisted', { record: SEALED }))).toContain('permanent: ')
    rig.runner = rig.newRunner({ attached: new AttachedStores([]) })
    expect(await failure(rig.run('PCLanded'))).toContain('permanent: no attached store')
  })
})

describe('failures', () => {
  it('a manager that is away costs no retry, and is asked less and less often', async () => {
    rig.manager.isDown = true
    const afterMs = async (rests: number, restedFor = 'manager-down') => {
      const outcome = await rig.run('PersistanceSubmitted', { rests, restedFor })
      if (outcome.kind !== 'rest' || outcome.reason !== 'manager-down') throw new Error('no rest')
      return outcome.afterMs
    }
    for (const [rests, wholeMs] of [
      [0, 2_000],
      [1, 4_000],
      [5, 64_000],
      [6, 120_000],
      [1_000, 120_000],
    ] as const) {
      const ms = await afterMs(rests)
      expect(ms).toBeGreaterThanOrEqual(0.8 * wholeMs)
      expect(ms).toBeLessThanOrEqual(1.2 * wholeMs)
    }
    expect(await afterMs(3)).not.toBe(await afterMs(3))
    // What was waited for before has nothing to do with it.
    expect(await afterMs(100, 'seed')).toBeLessThan(3_000)
  })

  it('processors that are all down cost no retry either', async () => {
    rig.processors.stages['c2'] = () => {
      throw new ProcessorError('unhealthy', 'no child of c2 was up', { stage: 'c2' })
    }
    const record = { ...SEALED, c1out: { inline: {} } }
    const outcome = await rig.run('C1Done', { record, rests: 3, restedFor: 'processor-down' })
    const why = 'no child of c2 was up'
    expect(outcome).toEqual({
      kind: 'rest',
      reason: 'processor-down',
      why,
      afterMs: expect.anything(),
    })
    expect(outcome).toHaveProperty('afterMs', expect.closeTo(16_000, -4))
    expect(rig.ended.at(-1)).toMatchObject({ end: 'processor-down' })
    expect(rig.manager.paramsOf('ReportState')).toEqual([])
  })

  it.each([
    ['permanent', new ManagerRefusal(11_001, 'no state of it')],
    ['temporary', new ManagerRefusal(1, 'the chain is away')],
    ['temporary', new Error('something')],
  ])('%s: %s of the manager', async (level, thrown) => {
    rig.manager.answers.WaitSeed = () => {
      throw thrown
    }
    expect(await failure(rig.run('PersistanceSubmitted'))).toBe(`${level}: ${thrown.message}`)
  })

  it.each([
    ['permanent', new ProcessorError('refused', 'the parameters are missing', { stage: 'c2' })],
    ['temporary', new ProcessorError('exited', 'it died', { stage: 'c2' })],
    ['temporary', new ProcessorError('timed-out', 'too long', { stage: 'c2' })],
    ['temporary', new ProcessorError('unavailable', 'not now', { stage: 'c2' })],
    ['temporary', new ProcessorError('bad-reply', 'what?', { stage: 'c2' })],
    ['critical', Object.assign(new Error('disk'), { code: 'EIO' })],
    ['temporary', Object.assign(new Error('full'), { code: 'ENOSPC' })],
    ['critical', new TroupeError('store-failed', 'changed')],
    ['permanent', new TroupeError('malformed', 'wrong')],
    ['temporary', new TroupeError('unavailable', 'later')],
  ])('%s: %s of a processor', async (level, thrown) => {
    rig.processors.stages['c2'] = () => {
      throw thrown
    }
    const record = { ...SEALED, c1out: { inline: {} } }
    expect(await failure(rig.run('C1Done', { record }))).toBe(`${level}: ${thrown.message}`)
    expect(rig.ended.at(-1)).toMatchObject({ state: 'C1Done', end: level })
  })

  it('the whole chain of causes is told', async () => {
    rig.processors.stages['c2'] = () => {
      throw new Error('no proof', { cause: new Error('no GPU', { cause: 'no driver' }) })
    }
    const record = { ...SEALED, c1out: { inline: {} } }
    const said = await failure(rig.run('C1Done', { record }))
    expect(said).toBe('temporary: no proof: no GPU: no driver')
  })

  it('an answer in another form is for a person', async () => {
    rig.processors.stages['c2'] = () => ({ proof: 7 })
    const record = { ...SEALED, c1out: { inline: {} } }
    const said = await failure(rig.run('C1Done', { record }))
    expect(said).toContain('permanent: the processor of c2 answers in another form: proof')
    rig.processors.stages['tree_d'] = () => false
    expect(await failure(rig.run('PieceAdded'))).toContain('permanent: the processor of tree_d')
  })

  it('what is missing, and a state that the plan has no step for, is for a person', async () => {
    expect(await failure(rig.run('C1Done'))).toMatch(/^permanent: w1~store1 has no "c1out"/)
    const said = await failure(rig.run('Unsealed', { plan: 'sealer' }))
    expect(said).toContain('permanent: the plan sealer of w1~store1 has no step in the state Unse')
    expect(await failure(rig.run('DealsAcquired', { location: null }))).toContain('critical: ')
  })
})

it('a step goes to the child that was granted', async () => {
  rig.processors.stages['c2'] = () => ({ proof: [1, 2, 3] })
  const record = { ...SEALED, c1out: { inline: { some: 'openings' } } }
  const seen: unknown[] = []
  const outcome = await rig.run(
    'C1Done',
    { record, granted: ['stage.c2', 'child.c2.1', 'lock.gpu0'] },
    { progress: (value) => seen.push(value) },
  )
  expect(rig.processors.runs).toMatchObject([{ stage: 'c2', lane: 'child.c2.1' }])
  expect(outcome).toMatchObject({ process: 'child.c2.1', record: { c2out: { inline: 'AQID' } } })
  expect(seen).toEqual([{ stage: 'c2', process: 'child.c2.1' }])
})
