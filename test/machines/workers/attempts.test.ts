/** What every attempt of a job wrote can be read, whichever worker ran it, as long as it is kept. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const SOON = { timeoutMs: 10_000, every: 50 }

let rig: WorkersRig

beforeEach(async () => {
  rig = await WorkersRig.create({ apps })
})

afterEach(() => rig.close())

const troupe = (...words: string[]) => run(words, { apps, env: { TROUPE_HTTP: rig.url } })

const log = async (job: number, attempt: number) =>
  (await troupe('jobs', 'log', String(job), '--attempt', String(attempt), '--stdout')).out

/** Ends with an exit code that is none, each time with other words. */
async function submit(group: number, fields: Record<string, unknown> = {}): Promise<number> {
  const file = join(rig.directory, 'count')
  const content = `echo x >>'${file}'; echo run $(wc -l <'${file}'); exit 3`
  const body = { name: 'again', content, group, failedInterval: 0, ...fields }
  return (await rig.call<{ jobId: number }>('POST', '/jobs', body)).jobId
}

const ends = (job: number) => troupe('jobs', 'status', String(job), '--wait')

async function runsKept(job: number): Promise<readonly { directory: string }[]> {
  return (await rig.node.apps[0]?.context.runs.all(`job/${job}`)) ?? []
}

it.each([
  ['a worker elsewhere', 2],
  ["the node's own worker", 1],
])('of %s', async (_who, group) => {
  if (group === 2) await rig.inner(await rig.addGroup('2'))
  else {
    await rig.close()
    rig = await WorkersRig.create({ apps, queues: ['job.group.1'] })
  }
  const job = await submit(group, { failedAttempts: 1 })
  await ends(job)
  await troupe('jobs', 'rerun', String(job))
  await ends(job)
  for (const attempt of [1, 2, 3, 4]) expect(await log(job, attempt)).toBe(`run ${attempt}\n`)
  expect((await troupe('jobs', 'log', String(job), '--stdout')).out).toBe('run 4\n')
  const download = await troupe('jobs', 'download', String(job), '--attempt', '2')
  expect(download.out).toBe('run 2\n')
  const beyond = await troupe('jobs', 'log', String(job), '--attempt', '5')
  expect(beyond).toMatchObject({ code: 4, out: '' })
  expect(beyond.err).toContain('it has had 4 so far; kept are those of 1, 2, 3, 4')
  const part = await rig.call('GET', `/jobs/${job}/log?attempt=2`)
  expect(part).toMatchObject({ text: 'run 2\n', isEnd: true })
})

it('is counted as the job counts, whoever ran it', async () => {
  await rig.close()
  rig = await WorkersRig.create({ apps, queues: ['job.group.1'] })
  await rig.inner(await rig.addGroup('2'))
  const job = await submit(1)
  await ends(job)
  await rig.call('PATCH', `/jobs/${job}`, { group: 2 })
  await troupe('jobs', 'rerun', String(job))
  await ends(job)
  expect([await log(job, 1), await log(job, 2)]).toEqual(['run 1\n', 'run 2\n'])
  expect((await troupe('jobs', 'log', String(job), '--stdout')).out).toBe('run 2\n')
})

it('an attempt after a pause that interrupted the one before counts as one more', async () => {
  await rig.inner(await rig.addGroup('2'))
  const file = join(rig.directory, 'count')
  const content = `echo x >>'${file}'; n=$(wc -l <'${file}'); echo run $n; [ $n -gt 1 ] || sleep 60`
  const job = await submit(2, { content })
  await until(async () => (await log(job, 1)) === 'run 1\n', SOON, 'the first')
  await rig.node.client.pause(`job/${job}`, { interrupt: true })
  await rig.node.client.resume(`job/${job}`)
  await ends(job)
  expect([await log(job, 1), await log(job, 2)]).toEqual(['run 1\n', 'run 2\n'])
})

it('an older attempt has its end, also while the job goes on', async () => {
  await rig.inner(await rig.addGroup('2'))
  const job = await submit(2, { failedAttempts: 1, failedInterval: 600 })
  await until(async () => (await runsKept(job)).length === 1, SOON, 'a first run')
  await until(
    async () => (await troupe('jobs', 'status', String(job))).out.includes('waits 600 s'),
    SOON,
    'the pause between two attempts',
  )
  await troupe('jobs', 'kill', String(job))
  await troupe('jobs', 'modify', String(job), '--', 'echo second; sleep 60')
  await troupe('jobs', 'rerun', String(job))
  await until(async () => (await log(job, 2)) === 'second\n', SOON, 'the second run')
  const part = await rig.call('GET', `/jobs/${job}/log?attempt=1`)
  expect(part).toMatchObject({ text: 'run 1\n', isEnd: true })
  // So that following it does not last for ever.
  const followed = await troupe('jobs', 'log', String(job), '--attempt', '1', '-f', '--stdout')
  expect(followed.out).toBe('run 1\n')
})

it('what was cleared away is said to be, and what is left can be read', async () => {
  await rig.inner(await rig.addGroup('2'))
  const job = await submit(2, { failedAttempts: 1 })
  await ends(job)
  const [first] = await runsKept(job)
  await rm(first?.directory ?? '', { recursive: true })
  const gone = await troupe('jobs', 'log', String(job), '--attempt', '1')
  expect(gone.err).toContain(
    'or it was cleared away, or it lies on another node; kept are those of 2',
  )
  expect(await log(job, 2)).toBe('run 2\n')
})
