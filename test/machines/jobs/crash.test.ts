import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { NodeChild } from './node-child.ts'
import { JobsNode } from './rig.ts'

let directory: string
let node: NodeChild

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-jobs-crash-'))
  node = new NodeChild(join(directory, 'data'))
})

afterEach(async () => {
  await node.kill()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

interface JobView {
  status: string
  message: string
}

/** Short ways to ask it. */
async function call(method: string, path: string, body?: unknown) {
  return (await node.operate(method, path, body)).body
}

async function submit(content: string): Promise<number> {
  const { jobId } = await call('POST', '/jobs', { name: 'crash', content })
  return jobId as number
}

async function ended(jobId: number): Promise<JobView> {
  return until(
    async () => {
      const view = await call('GET', `/jobs/${jobId}?waitMs=1000`)
      return view['isFinal'] === true ? (view as unknown as JobView) : undefined
    },
    { timeoutMs: 25_000 },
    async () => `the end of job ${jobId}: ${JSON.stringify(await call('GET', `/jobs/${jobId}`))}`,
  )
}

it('a command outlives kill -9 of its node: it runs once and loses no output', async () => {
  const witness = join(directory, 'witness')
  const content = `echo began >>'${witness}'; for i in $(seq 1 20); do echo "zeile ä $i"; echo "e$i" >&2; sleep 0.1; done`
  await node.start()
  const jobId = await submit(content)
  await until(() => readFile(witness, 'utf8'), { timeoutMs: 10_000 }, 'the command to begin')
  await node.kill()
  await node.start()
  expect(await ended(jobId)).toMatchObject({ status: 'success' })
  expect(await readFile(witness, 'utf8')).toBe('began\n')
  const numbers = Array.from({ length: 20 }, (_, index) => index + 1)
  const stdout = await call('GET', `/jobs/${jobId}/log?stream=stdout`)
  expect(stdout['text']).toBe(numbers.map((i) => `zeile ä ${i}\n`).join(''))
  const stderr = await call('GET', `/jobs/${jobId}/log?stream=stderr`)
  expect(stderr['text']).toBe(numbers.map((i) => `e${i}\n`).join(''))
})

it('a command that ends while no node lives is found ended, with its exit code', async () => {
  const witness = join(directory, 'witness')
  await node.start()
  const jobId = await submit(
    `echo began >>'${witness}'; sleep 0.5; echo ended >>'${witness}'; exit 9`,
  )
  await until(() => readFile(witness, 'utf8'), { timeoutMs: 10_000 }, 'the command to begin')
  await node.kill()
  await until(
    async () => (await readFile(witness, 'utf8')).includes('ended'),
    { timeoutMs: 10_000 },
    'its end',
  )
  await node.start()
  expect(await ended(jobId)).toMatchObject({ status: 'failed', message: 'exit code 9' })
  expect(await readFile(witness, 'utf8')).toBe('began\nended\n')
})

it('kills at any moment: every job that was taken runs exactly once, and ids are never given twice', async () => {
  const witness = join(directory, 'witness')
  const jobIds: number[] = []
  for (let round = 0; round < 4; round++) {
    await node.start()
    const batch = await Promise.all(
      Array.from({ length: 6 }, () =>
        submit(`echo "$TROUPE_JOB_ID" >>'${witness}'; sleep 0.${round}; echo done`),
      ),
    )
    jobIds.push(...batch)
    await node.kill()
  }
  await node.start()
  for (const jobId of jobIds) expect(await ended(jobId)).toMatchObject({ status: 'success' })
  expect(new Set(jobIds).size).toBe(24)
  const ran = (await readFile(witness, 'utf8')).trim().split('\n').map(Number)
  expect(ran.sort((a, b) => a - b)).toEqual(jobIds.sort((a, b) => a - b))
}, 90_000)

it('a stop leaves a command to itself, and the next start finds it', async () => {
  const jobs = await JobsNode.create()
  try {
    await jobs.addApp('tests')
    const jobId = await jobs.submit(
      'echo $$; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; echo late',
    )
    await jobs.reaches(jobId, '3')
    await jobs.stop()
    await jobs.start()
    await jobs.reaches(jobId, '0')
    const { data } = (await jobs.call('/server/result', { jobId })).body.params
    expect(data.slice(1)).toEqual(['late'])
    // The id after the restart is new, though the block it would have come from was half used.
    expect(Number(await jobs.submit('true'))).toBeGreaterThan(Number(jobId))
  } finally {
    await jobs.close()
  }
})
