/** How a thread is shown: conditions, reasons, rows of the old forms; and the drawing of its chart. */
import { expect, it } from 'vitest'
import {
  errorText,
  headRow,
  oldRow,
  rowOf,
  sealingThread,
  type ThreadRow,
} from '../../../../machines/sealing/thread/index.ts'
import { mermaid } from '../../../../src/machine/mermaid.ts'
import { FULL, Scene, THREAD } from './rig.ts'

async function row(s: Scene): Promise<ThreadRow> {
  const page = await s.h.run(s.h.client.list({ filter: { machine: 'sealing-thread' } }))
  return rowOf(page.rows[0]!)
}

async function withSector(): Promise<Scene> {
  const s = await Scene.of({ index: 3 })
  await s.step('Allocate', FULL)
  return s
}

it('a row tells what the whole view tells, and can be filtered by it', async () => {
  const s = await withSector()
  for (const prepare of [
    async () => {},
    async () => void (await s.begin()),
    async () => void (await s.ask('PAUSE')),
    async () => s.fail('critical', 'no disk'),
    async () => void (await s.ask('DRAIN')),
  ]) {
    await prepare()
    const shown = await row(s)
    const { why: _row, ...known } = shown
    expect(await s.view()).toMatchObject(known)
  }
  const where = { worker: 'w1', condition: 'parked', errors: true, sector: 's-t010000-2' }
  const query = { filter: { machine: 'sealing-thread', where } }
  expect((await s.h.run(s.h.client.list(query))).rows).toHaveLength(1)
  const other = { filter: { machine: 'sealing-thread', where: { condition: 'running' } } }
  expect((await s.h.run(s.h.client.list(other))).rows).toHaveLength(0)
})

it('says what runs where, how far it is, and since when', async () => {
  const s = await withSector()
  await s.h.advance(5_000)
  await s.begin()
  const since = s.now
  await s.beat({ process: 'ext(pid: 77)', done: 0.5 })
  await s.h.advance(7_000)
  const view = await s.view()
  expect(view).toMatchObject({
    ...{ condition: 'running', stage: 'AcquireDeals', runner: 'w1', since },
    ...{ process: 'ext(pid: 77)', progress: { done: 0.5 }, startedAt: expect.any(Number) },
  })
  const elapsed = { state: 'Running', elapsed: 7, proc: 'ext(pid: 77)' }
  expect(headRow(view, s.now).thread_state).toEqual(elapsed)
})

it('the rows of both forms, for a thread that an error has parked', async () => {
  const s = await withSector()
  await s.begin()
  await s.fail('permanent', 'No cached parameters')
  await s.h.advance(17_400)
  const view = await s.view()
  const last_error = 'permanent: No cached parameters'
  expect(oldRow(view, s.now)).toEqual({
    ...{ location: '/store1', sector_id: { Miner: 10_000, Number: 2 }, index: 3, paused: true },
    ...{ paused_elapsed: 17, state: 'Allocated', last_error },
  })
  expect(headRow(view, s.now)).toEqual({
    ...{ location: '/store1', plan: 'sealer', job_id: 's-t010000-2', index: 3, last_error },
    ...{ thread_state: { state: 'Paused', elapsed: 17 }, job_state: 'Allocated' },
    job_stage: 'AcquireDeals',
  })
  expect(errorText(null)).toBeNull()
})

it('a thread without a sector or a store', async () => {
  const s = await Scene.of({ plan: 'wdpost', location: null })
  const view = await s.view()
  expect(oldRow(view, s.now)).toMatchObject({ location: '-', sector_id: null, paused: false })
  expect(oldRow(view, s.now)).toMatchObject({ paused_elapsed: null, last_error: null })
  expect(headRow(view, s.now)).toMatchObject({ job_id: null, job_state: '', job_stage: null })
  expect(headRow(view, s.now).thread_state).toEqual({ state: 'Idle' })
})

it('what waits is Waiting, what is pausing is still Running and not paused', async () => {
  const s = await withSector()
  expect(headRow(await s.view(), s.now).thread_state).toMatchObject({ state: 'Waiting' })
  await s.begin()
  await s.ask('PAUSE', { reason: 'disk' })
  const view = await s.view()
  expect(headRow(view, s.now).thread_state).toMatchObject({ state: 'Running' })
  expect(oldRow(view, s.now)).toMatchObject({ paused: false, paused_elapsed: null })
  expect(view.why).toBe('pauses behind AcquireDeals: by ann: disk')
})

it('an actor that the platform holds is shown as held', async () => {
  const s = await withSector()
  await s.h.run(s.h.client.pause(THREAD, { reason: 'upgrade' }))
  expect(await s.view()).toMatchObject({ condition: 'paused', paused: true })
  expect((await s.view()).why).toMatch(/^held by the platform: by .*: upgrade$/)
  expect((await row(s)).condition).toBe('paused')
})

it('its drawing has every plan with its states and events, and one region for the work', () => {
  const drawing = mermaid(sealingThread.machine, 'plan.sealer.PC1Done|work.step.running')
  for (const line of [
    'plan__sealer__PC1Done --> plan__sealer__PC2Done : PC2',
    'plan__sealer__PCSubmitted --> plan__sealer__PC2Done : ReSubmitPC',
    'plan__rebuild__SealedChecked --> plan__rebuild__SnapDone : SkipSnap',
    'plan__sealer --> plan__sealer__Aborted : Abort',
    'state "PersistanceSubmitted" as plan__sealer__PersistanceSubmitted',
    'state "step / step" as work__step',
    'class plan__sealer__PC1Done current',
  ]) {
    expect(drawing).toContain(line)
  }
  // A person can still take it in: each plan's table twice, and the work once.
  expect(drawing.split('\n').length).toBeLessThan(300)
})
