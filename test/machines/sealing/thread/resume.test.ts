/** Going on in another state: what is refused, what is said, what is set. Every row of the resume table. */
import { beforeEach, describe, expect, it } from 'vitest'
import {
  hasStep,
  offeredStates,
  PLANS,
  type PlanName,
  SECTOR_STATES,
  type SectorState,
  stageOf,
} from '../../../../machines/sealing/plans/index.ts'
import { FULL, Scene } from './rig.ts'

const FIRST: Record<PlanName, string> = {
  sealer: 'Allocate',
  snapup: 'AllocatedSnapUpSector',
  rebuild: 'AllocatedRebuildSector',
  unseal: 'AllocatedUnsealSector',
  wdpost: 'Allocated',
}
const WDPOST = { job: { id: 'job1', input: {} }, jobOutput: { inline: 1 } }

/** A paused thread with a sector that has everything. */
async function paused(plan: PlanName): Promise<Scene> {
  const scene = await Scene.of({ plan })
  await scene.step(FIRST[plan], plan === 'wdpost' ? WDPOST : FULL)
  await scene.ask('PAUSE')
  return scene
}

describe.each(PLANS)('%s', (plan) => {
  const others = SECTOR_STATES.filter((state) => !hasStep(plan, state))
  const own = SECTOR_STATES.filter((state) => hasStep(plan, state) && state !== 'Allocated')

  it('refuses every state of another plan, and changes nothing', async () => {
    const s = await paused(plan)
    const before = await s.context()
    for (const state of others) {
      const answer = await s.ask('RESUME', { state, force: true })
      expect(answer, state).toMatchObject({ refused: 'wrong-plan', offered: expect.any(Array) })
    }
    expect(await s.context()).toEqual({ ...before, at: expect.any(Number) })
  })

  it('says first what every one of its states would lead to, and then does just that', async () => {
    const s = await paused(plan)
    for (const state of own) {
      if (state === 'Empty') continue
      const from = (await s.view()).state
      const dry = await s.ask('RESUME', { state, force: true, dryRun: true })
      const move = { from, to: state, stage: stageOf(plan, state), dryRun: true }
      expect(dry, state).toMatchObject({ ok: true, move })
      expect(await s.view()).toMatchObject({ state: from, condition: 'paused' })
      const wet = await s.ask('RESUME', { state, force: true })
      expect(wet, state).toEqual({ ...dry, move: { ...(dry['move'] as object), dryRun: false } })
      expect(await s.view()).toMatchObject({ state, condition: 'waiting', lastError: null })
      expect((await s.begin()).reported).toMatchObject({ prev: from, next: state })
      await s.rest('chain')
      await s.ask('PAUSE')
    }
  })

  it.each(offeredStates(plan))('what it offers can be done: %s', async (state) => {
    const s = await paused(plan)
    const { refused } = await s.ask('RESUME', { state, dryRun: true })
    expect(refused ?? 'nothing').toBe(state === 'Allocated' ? 'present-state' : 'nothing')
  })
})

describe('a sealer', () => {
  let s: Scene
  beforeEach(async () => {
    s = await paused('sealer')
  })

  it('its present state is refused: to try again the state is left out', async () => {
    const answer = await s.ask('RESUME', { state: 'Allocated' })
    expect(answer).toMatchObject({
      refused: 'present-state',
      message: expect.stringContaining('leave the state out'),
    })
  })

  it('names are case-sensitive, and the one that was meant is named', async () => {
    const answer = await s.ask('RESUME', { state: 'aborted' })
    expect(answer).toMatchObject({
      refused: 'unknown-state',
      message: expect.stringContaining('did you mean Aborted?'),
      offered: offeredStates('sealer'),
    })
  })

  it('Finished and Empty of a live sector only with force', async () => {
    for (const state of ['Finished', 'Empty']) {
      const answer = await s.ask('RESUME', { state })
      expect(answer).toMatchObject({
        refused: 'needs-force',
        message: expect.stringContaining('force'),
      })
    }
    await s.ask('RESUME', { state: 'Finished', force: true })
    expect((await s.begin()).state).toBe('Finished')
  })

  it('Empty with force forgets the sector, but not its history', async () => {
    await s.ask('RESUME', { state: 'Empty', force: true })
    const chapter = (await s.begin()) as unknown as { end: string; reason: string; sector: string }
    expect(chapter).toMatchObject({ sector: 's-t010000-2', end: 'Aborted' })
    expect(chapter.reason).toContain('set to Empty by ann')
    await s.recorded()
    expect(await s.view()).toMatchObject({ state: 'Empty', sector: null, condition: 'idle' })
  })

  it('what lacks an input is refused with its name', async () => {
    s = await Scene.of()
    await s.step('Allocate', { sector: FULL.sector })
    await s.ask('PAUSE')
    expect(await s.ask('RESUME', { state: 'PC1Done' })).toMatchObject({
      refused: 'missing-input',
      message: 'for PC1Done the sector lacks: pieces, ticket, pc1out',
    })
  })

  it('without a sector only Empty has its inputs', async () => {
    s = await Scene.of()
    await s.ask('PAUSE')
    for (const state of ['Finished', 'Aborted', 'Allocated']) {
      expect(await s.ask('RESUME', { state })).toMatchObject({ refused: 'missing-input' })
    }
  })

  it('Aborted gives the reason of who chose it', async () => {
    await s.ask('RESUME', { state: 'Aborted', reason: 'disk is broken' })
    expect(await s.begin()).toMatchObject({ state: 'Aborted', abortReason: 'disk is broken' })
  })

  it('TicketAssigned warns of the old ticket, TreeDBuilt asks for a new one', async () => {
    const old = await s.ask('RESUME', { state: 'TicketAssigned', dryRun: true })
    expect(old['move']).toMatchObject({ hint: expect.stringContaining('may have expired') })
    await s.ask('RESUME', { state: 'TreeDBuilt' })
    await s.step('AssignTicket')
    const { state, record } = await s.begin()
    expect([state, record.ticket]).toEqual(['TicketAssigned', undefined])
  })

  it('going back before a submission, the next one replaces it', async () => {
    const { through } = await atEnd(s)
    expect(through).toBe('ProofSubmitted')
    await s.begin()
    await s.fail('permanent')
    const back = { state: 'TreeDBuilt' as SectorState }
    const flags = ['pc2Resubmit', 'c2Resubmit']
    expect((await s.ask('RESUME', { ...back, dryRun: true }))['move']).toMatchObject({
      sets: flags,
    })
    await s.ask('RESUME', back)
    expect((await s.begin()).record).toMatchObject({ pc2Resubmit: true, c2Resubmit: true })
  })

  it('so it does after a submission whose end nobody saw', async () => {
    await s.ask('RESUME', { state: 'PC2Done' })
    await s.begin()
    await s.fail('permanent', 'Mismatched')
    await s.ask('RESUME', { state: 'TreeDBuilt' })
    expect((await s.context()).record.pc2Resubmit).toBe(true)
  })

  it('a submission that took place takes its flag back', async () => {
    await s.ask('RESUME', { state: 'PC2Done' })
    await s.step('SubmitPC', { pc2Resubmit: false })
    await s.step('ReSubmitPC', { pc2Resubmit: true })
    expect((await s.begin()).record.pc2Resubmit).toBe(true)
  })

  it('while its step still runs there is no other state', async () => {
    await s.ask('RESUME')
    await s.begin()
    expect(await s.ask('RESUME', { state: 'Aborted' })).toMatchObject({ refused: 'pausing' })
    await s.ask('PAUSE')
    expect(await s.ask('RESUME', { state: 'Aborted' })).toMatchObject({ refused: 'pausing' })
    await s.rest('chain')
    expect(await s.ask('RESUME', { state: 'Aborted' })).toMatchObject({ ok: true })
  })

  it('a thread that is neither paused nor parked has no other state', async () => {
    await s.ask('RESUME')
    expect(await s.ask('RESUME', { state: 'Aborted' })).toMatchObject({ refused: 'not-paused' })
  })

  it('who parked it at the end can still give it up', async () => {
    await s.ask('RESUME', { state: 'Finished', force: true })
    await s.begin()
    await s.fail('permanent', 'no such sector')
    await s.ask('RESUME', { state: 'Aborted' })
    expect((await s.view()).state).toBe('Aborted')
  })
})

async function atEnd(s: Scene): Promise<{ through: string }> {
  await s.ask('RESUME')
  await s.through('AcquireDeals', 'AddPiece', 'BuildTreeD', 'AssignTicket')
  await s.step('PC1', { ticket: FULL.ticket })
  await s.through('PC2', 'SubmitPC', 'CheckPC', 'Persist', 'SubmitPersistance', 'AssignSeed')
  await s.through('C1', 'C2', 'SubmitProof')
  return { through: (await s.view()).state }
}

it('a dry run without a state says where it would go on', async () => {
  const s = await paused('sealer')
  const before = await s.context()
  expect(await s.ask('RESUME', { dryRun: true })).toMatchObject({ ok: true, condition: 'waiting' })
  expect(await s.context()).toEqual({ ...before, at: expect.any(Number) })
  await s.ask('RESUME')
  await s.begin()
  const { taskId } = (await s.task())!
  expect(await s.ask('RESUME', { retry: true, dryRun: true })).toMatchObject({ ok: true })
  expect((await s.task())!.taskId).toBe(taskId)
})

it('a sector that was set to Empty has ended: it cannot be aborted any more', async () => {
  const s = await paused('sealer')
  await s.ask('RESUME', { state: 'Empty', force: true })
  expect(await s.ask('ABORT', { by: 'ann', reason: 'x' })).toMatchObject({ refused: 'ending' })
})

it('an unseal cannot be given up, but ended', async () => {
  const s = await paused('unseal')
  expect(await s.ask('ABORT', { by: 'ann', reason: 'x' })).toMatchObject({ refused: 'no-abort' })
  await s.ask('RESUME', { state: 'Finished', force: true })
  expect((await s.begin()).state).toBe('Finished')
})

it('an abort is refused where there is no sector, or where it ends anyhow', async () => {
  const s = await Scene.of()
  const asked = { by: 'ann', reason: 'x' }
  expect(await s.ask('ABORT', asked)).toMatchObject({ refused: 'no-sector' })
  await s.step('Allocate', FULL)
  expect(await s.ask('ABORT', asked)).toMatchObject({ ok: true, state: 'Aborted' })
  expect(await s.ask('ABORT', asked)).toMatchObject({ refused: 'ending' })
})

it('an abort ends a pause: who asks for it wants it done', async () => {
  const s = await paused('sealer')
  await s.ask('ABORT', { by: 'ann', reason: 'x' })
  expect(await s.view()).toMatchObject({ state: 'Aborted', condition: 'waiting', pausedBy: null })
})

it('a sector whose record was taken away by hand has nothing to write, and ends', async () => {
  const s = await paused('sealer')
  await s.h.run(s.h.client.patch(s.address, { record: { sector: null } }))
  const moved = await s.ask('RESUME', { state: 'Empty' })
  expect(moved).toMatchObject({ ok: true, condition: 'empty' })
  expect(await s.begin()).toMatchObject({ state: 'Empty', record: {} })
})

it('a time that no calendar has is refused', async () => {
  const s = await paused('sealer')
  await expect(s.ask('PAUSE', { at: 9e15 })).rejects.toThrow()
})

it('a record is mended by hand, but not into something that is no thread', async () => {
  const s = await Scene.of()
  await s.step('Allocate', FULL)
  const patch = (merge: object) => s.h.run(s.h.client.patch(s.address, merge))
  await patch({ record: { persistedIn: 'elsewhere', c2out: null } })
  const { record, state } = await s.context()
  expect([record.persistedIn, record.c2out, state]).toEqual(['elsewhere', undefined, 'Allocated'])
  const bad = [
    { state: 'Sealed' },
    { state: 'SnapEncoded' },
    { record: { c3out: 1 } },
    { record: [] },
    { settings: { maxRetries: -1 } },
    { history: null },
  ]
  for (const merge of bad) await expect(patch(merge)).rejects.toThrow('patched context')
  await expect(patch({ state: 'SnapEncoded' })).rejects.toThrow('sealer has no state SnapEncoded')
  expect((await s.context()).record).toEqual(record)
})
