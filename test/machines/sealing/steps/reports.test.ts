/** The manager hears of every transition and failure, and its abort is learnt while a processor works. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { SectorRecord, StepInput } from '../../../../machines/sealing/thread/index.ts'
import { ManagerRefusal } from '../../../../machines/sealing/venus/index.ts'
import { until } from '../../../waiting.ts'
import { failure, Rig, SECTOR, SEED } from './rig.ts'

let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const PATIENT = { timeoutMs: 30_000 }
const REPORTED: Partial<StepInput> = {
  reported: { prev: 'Allocated', next: 'DealsAcquired', event: 'AcquireDeals' },
}
const Worker = () => ({ Instance: 'w1', Location: rig.location })
const hanging = (_task: never, { signal }: { signal?: AbortSignal }) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new Error('cancelled')))
  })
const isRunning = () => rig.processors.runs.length > 0
const reports = () => rig.manager.paramsOf('ReportState')

it('a transition is told before its step, a failure behind it', async () => {
  rig.processors.stages['add_pieces'] = () => {
    expect(reports()).toHaveLength(1)
    throw new Error('no disk')
  }
  await failure(rig.run('DealsAcquired', REPORTED))
  expect(reports()).toEqual([
    [
      SECTOR.ID,
      {
        Worker: Worker(),
        StateChange: { Prev: 'Allocated', Next: 'DealsAcquired', Event: 'AcquireDeals' },
        Failure: null,
      },
    ],
    [
      SECTOR.ID,
      {
        Worker: Worker(),
        StateChange: { Prev: 'DealsAcquired', Next: 'DealsAcquired', Event: 'Failed' },
        Failure: { Level: 'Temporary', Desc: 'no disk' },
      },
    ],
  ])
})

it('what is told already is not told again, and a report that fails harms nothing', async () => {
  expect(await rig.run('DealsAcquired')).toMatchObject({ event: 'AddPiece' })
  expect(reports()).toEqual([])
  rig.manager.answers.ReportState = () => {
    throw new Error('no')
  }
  expect(await rig.run('DealsAcquired', REPORTED)).toMatchObject({ event: 'AddPiece' })
  rig.manager.isDown = true
  expect(await rig.run('DealsAcquired', REPORTED)).toMatchObject({ event: 'AddPiece' })
})

it('a sector that the manager ended is aborted before anything is done for it', async () => {
  rig.manager.answers.ReportState = () => ({ Finalized: true, AbortReason: 'expired deal' })
  expect(await failure(rig.run('DealsAcquired', REPORTED))).toBe('abort: expired deal')
  expect(isRunning()).toBe(false)
  // On its way out it is not aborted once more.
  const ending = { reported: { prev: 'PC2Done', next: 'Aborted', event: 'Abort' } } as const
  expect(await rig.run('Aborted', ending)).toMatchObject({ event: 'Ended' })
})

it('an abort is learnt while a processor works, which is stopped', async () => {
  rig.processors.stages['add_pieces'] = hanging
  const step = failure(rig.run('DealsAcquired'))
  await until(isRunning, PATIENT, 'the processor works')
  await rig.clock.advance(60_000)
  await until(() => reports().length === 1, PATIENT, 'the manager is asked')
  expect(reports()[0]?.[1].StateChange).toEqual({
    ...{ Prev: 'DealsAcquired', Next: 'DealsAcquired', Event: 'Running' },
  })
  rig.manager.answers.ReportState = () => ({ Finalized: true, AbortReason: null })
  await until(
    async () => {
      await rig.clock.advance(60_000)
      return reports().length > 2
    },
    PATIENT,
    'the manager is asked again',
  )
  expect(await step).toBe('abort: the manager ended the sector')
  const asked = reports().length
  await rig.clock.advance(600_000)
  expect(reports()).toHaveLength(asked)
})

it('a step that is not wanted any more reports nothing', async () => {
  rig.processors.stages['add_pieces'] = hanging
  const stop = new AbortController()
  const step = failure(rig.run('DealsAcquired', {}, { signal: stop.signal }))
  await until(isRunning, PATIENT, 'the processor works')
  stop.abort(new Error('not wanted'))
  expect(await step).toBe('temporary: not wanted')
  expect(reports()).toEqual([])
  expect(rig.ended).toMatchObject([{ end: 'cancelled' }])
})

it('a window proof beats from its allocation to its end, also while its thread waits', async () => {
  const job = { id: 'job1', input: {} }
  const record: SectorRecord = { job, jobOutput: { error: 'no' } }
  const input = { plan: 'wdpost', location: null, record } as const
  const beats = () => rig.manager.paramsOf('WdPoStHeartbeatJobs')
  await rig.run('Generated', input)
  expect(beats()).toEqual([[['job1'], 'w1']])
  await rig.clock.advance(3_000)
  await rig.clock.advance(3_000)
  expect(beats()).toHaveLength(3)
  await rig.run('Finished', input)
  await rig.clock.advance(60_000)
  expect(beats()).toHaveLength(3)

  // Its thread is paused for long: others may have the job.
  await rig.run('Generated', input)
  for (let minutes = 0; minutes < 20; minutes += 1) await rig.clock.advance(60_000)
  const heard = beats().length
  expect(heard).toBeGreaterThan(5)
  await rig.clock.advance(60_000)
  expect(beats()).toHaveLength(heard)
})

it('a window proof whose thread is parked is left to others', async () => {
  const record: SectorRecord = { job: { id: 'job1', input: {} } }
  const input = { plan: 'wdpost', location: null, record } as const
  expect(await failure(rig.run('Generated', input))).toMatch('permanent: ')
  expect(rig.manager.paramsOf('WdPoStHeartbeatJobs')).toHaveLength(1)
  await rig.clock.advance(30_000)
  expect(rig.manager.paramsOf('WdPoStHeartbeatJobs')).toHaveLength(1)
})

it('a result of a window proof that the manager refuses again and again is dropped', async () => {
  const record: SectorRecord = { job: { id: 'job1', input: {} }, jobOutput: { error: 'no' } }
  const input = { plan: 'wdpost', location: null, record } as const
  rig.manager.answers.WdPoStFinishJob = () => {
    throw new ManagerRefusal(1, 'removed manually')
  }
  expect(await failure(rig.run('Generated', { ...input, retries: 2 }))).toMatch('temporary: ')
  expect(await rig.run('Generated', { ...input, retries: 3 })).toMatchObject({ event: 'Finish' })
  rig.manager.isDown = true
  expect(await rig.run('Generated', { ...input, retries: 3 })).toMatchObject({ kind: 'rest' })
})

it('an outcome of a plan without a store is kept beside the attempt', async () => {
  const directory = join(rig.root, 'attempt')
  const input = { plan: 'wdpost', location: null, record: {} } as const
  const Input = { Sectors: [], MinerID: 1_000, ProofType: SECTOR.ProofType, Seed: SEED.Seed }
  rig.manager.answers.WdPoStAllocateJobs = () => [
    {
      ...{ ID: 'job1', State: 'Running', DeadlineIdx: 0, Partitions: [], Input, TryNum: 0 },
      ...{ ErrorReason: '', WorkerName: 'w1', StartedAt: 0, HeartbeatAt: 0, FinishedAt: 0 },
      ...{ CreatedAt: 0, UpdatedAt: 0 },
    },
  ]
  const attempt = { taskId: 'the task', directory }
  const outcome = await rig.run('Empty', input, attempt)
  rig.manager.isDown = true
  expect(await rig.run('Empty', input, attempt)).toEqual(outcome)
  expect(existsSync(directory)).toBe(true)
})
