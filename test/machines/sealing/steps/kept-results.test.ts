/** Outcomes on disk: two files in turn, of which a damaged one is seen to be damaged. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { failure, Rig, SECTOR, SEED } from './rig.ts'

const JOB = {
  ...{ ID: 'job1', State: 'ReadyToRun' as const, DeadlineIdx: 3, Partitions: [0] },
  Input: { Sectors: [], MinerID: 1_000, ProofType: SECTOR.ProofType, Seed: SEED.Seed },
  ...{ Output: null, TryNum: 0, ErrorReason: '', WorkerName: 'w1', StartedAt: 0 },
  ...{ HeartbeatAt: 0, FinishedAt: 0, CreatedAt: 0, UpdatedAt: 0 },
}
let rig: Rig
beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

const data = (...inner: string[]) => join(rig.location, 'data', ...inner)
const stagesRun = () => rig.processors.runs.map(({ stage }) => stage)
/** The file of the outcome of that task; the older one lies in the other. */
const keptFileOf = (taskId: string) =>
  readdirSync(data('steps'))
    .map((name) => data('steps', name))
    .find((path) => readFileSync(path, 'utf8').includes(`"taskId":"${taskId}"`)) ?? ''

it('an outcome takes the place of the last but one, whatever their lengths', async () => {
  const keep = async (taskId: string, length: number) => {
    rig.processors.stages['c1'] = () => ({ openings: 'x'.repeat(length) })
    await rig.run('SeedAssigned', { record }, { taskId })
  }
  const { record } = await rig.drive('sealer', { stop: 'SeedAssigned' })
  for (const [n, length] of [9_000, 5_000, 100, 100].entries()) await keep(`task ${n}`, length)
  expect(readdirSync(data('steps'))).toHaveLength(2)
  rig.processors.stages['c1'] = () => {
    throw new Error('done again')
  }
  const last = await rig.run('SeedAssigned', { record }, { taskId: 'task 3' })
  expect(last).toMatchObject({ record: { c1out: { inline: { openings: 'x'.repeat(100) } } } })
  expect(await failure(rig.run('SeedAssigned', { record }, { taskId: 'task 1' }))).toContain(
    'again',
  )
})

it.each([
  ['cut off', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 100))],
  ['emptied', (path: string) => writeFileSync(path, '')],
  [
    'left with a page that was not written',
    (path: string) => writeFileSync(path, readFileSync(path).fill(0, 200, 4_096)),
  ],
  [
    'changed in one place',
    (path: string) =>
      writeFileSync(path, readFileSync(path, 'utf8').replace('AddPiece', 'AddPiecf')),
  ],
])('an outcome that was %s is worth nothing', async (_, damage) => {
  await rig.run('Empty', { record: {} }, { taskId: 'first' })
  await rig.run('DealsAcquired', {}, { taskId: 'second' })
  damage(keptFileOf('second'))
  const outcome = await rig.run('DealsAcquired', {}, { taskId: 'second' })
  expect(outcome).toMatchObject({ event: 'AddPiece' })
  expect(stagesRun()).toHaveLength(2)
})

it('the record before stays until the next one is whole', async () => {
  await rig.run('Finished', {}, { taskId: 'first' })
  await rig.run('DealsAcquired', {}, { taskId: 'second' })
  writeFileSync(keptFileOf('second'), 'cut')
  await rig.run('Finished', {}, { taskId: 'first' })
  expect(rig.manager.paramsOf('ReportFinalized')).toHaveLength(1)
})

it('without a store outcomes are kept in the directory of the attempt, made when there is one', async () => {
  const directory = join(rig.root, 'attempt')
  const run = () => {
    const input = { plan: 'wdpost', location: null, record: {} } as const
    return rig.run('Empty', input, { taskId: 'the task', directory })
  }
  rig.manager.answers.WdPoStAllocateJobs = () => []
  expect(await run()).toMatchObject({ kind: 'rest' })
  expect(existsSync(directory)).toBe(false)
  rig.manager.answers.WdPoStAllocateJobs = () => [JOB]
  const first = await run()
  expect(first).toMatchObject({ record: { job: { id: JOB.ID } } })
  expect(await run()).toEqual(first)
  expect(rig.manager.paramsOf('WdPoStAllocateJobs')).toHaveLength(2)
})
