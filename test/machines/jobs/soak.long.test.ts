/**
 * Twenty thousand jobs on two workers in processes of their own, while node and workers are killed again
 * and again: every job ends as it has to, and its command has run once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'
import { inBatches } from './fleet.ts'
import { NodeChild } from './node-child.ts'

/** Fewer when a person wants to see it work. */
const JOBS = Number(process.env['TROUPE_SOAK_JOBS'] ?? 20_000)
/** Spread over the commands that begin. */
const KILLS = Math.min(40, Math.floor(JOBS / 50))
const GROUP = 2
const WORKERS = ['a', 'b'] as const

let directory: string
let node: NodeChild
let key: string
const workers = new Map<string, ChildProcess>()

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-jobs-soak-'))
  node = new NodeChild(join(directory, 'node'), { worker: { queues: ['own'] } })
  await node.start()
  const { body } = await node.operate('POST', '/workers/groups', { group: String(GROUP) })
  key = String(body['key'])
  for (const name of WORKERS) startWorker(name)
})

afterEach(async () => {
  for (const worker of workers.values()) await killed(worker)
  await node.kill()
  for (const name of WORKERS) await endRuns(join(directory, name, 'worker', 'attempts'))
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

function startWorker(name: string): void {
  const script = join(import.meta.dirname, 'worker-process.ts')
  const words = ['--server', node.url, '--data', join(directory, name), '--name', name]
  const argv = [...words, '--group', String(GROUP), '--slots', '8']
  const worker = spawn(process.execPath, ['--import', 'tsx', script, ...argv], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, TROUPE_WORKER_KEY: key },
  })
  workers.set(name, worker)
}

async function killed(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  worker.kill('SIGKILL')
  await exited
}

/** Takes turns: the node, one worker, the other. */
async function killOne(round: number): Promise<void> {
  const name = ['', ...WORKERS][round % 3]!
  if (name === '') {
    await node.kill()
    await node.start()
    return
  }
  await killed(workers.get(name)!)
  startWorker(name)
}

/** A node that is away takes nothing: the job is submitted once more, and nothing is known of the first. */
async function submitted(content: string): Promise<number> {
  const request = { name: 'soak', group: GROUP, content }
  return until(
    async () => {
      const { body } = await node.operate('POST', '/jobs', request)
      return body['jobId'] as number | undefined
    },
    { timeoutMs: 60_000, every: 100 },
    'a job that is taken',
  )
}

async function statusOf(jobId: number): Promise<string | undefined> {
  const { body } = await node.operate('GET', `/jobs/${jobId}`).catch(() => ({ body: {} }))
  return (body as { status?: string }).status
}

it(`${JOBS} jobs run once each while node and workers are killed`, async () => {
  const witness = join(directory, 'witness')
  const beginnings = async () =>
    (await readFile(witness, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  const wanted = new Map<number, string>()
  const submitting = inBatches(
    Array.from({ length: JOBS }, (_, index) => index),
    async (index) => {
      const fails = index % 10 === 0
      const content = `echo "$TROUPE_JOB_ID" >>'${witness}'; ${fails ? 'exit 3' : 'sleep 0.01'}`
      wanted.set(await submitted(content), fails ? 'failed' : 'success')
    },
  )
  for (let round = 0; round < KILLS; round++) {
    const count = Math.floor((JOBS * (round + 1)) / (KILLS + 1))
    const begun = async () => (await beginnings()).length
    const told = async () => `${count} beginnings in round ${round}; there are ${await begun()}`
    await until(async () => (await begun()) >= count, { timeoutMs: 300_000, every: 50 }, told)
    await killOne(round)
  }
  await submitting
  await inBatches([...wanted], async ([jobId, status]) => {
    const isThere = async () => (await statusOf(jobId)) === status
    const seen = async () => `job ${jobId} as ${status}; it is ${await statusOf(jobId)}`
    await until(isThere, { timeoutMs: 300_000, every: 200 }, seen)
  })
  expect(wanted.size).toBe(JOBS)
  const lines = await beginnings()
  // Of a submission whose answer was lost nobody knows the id: it has run, once, as well.
  const ran = new Set(lines.map(Number))
  expect(ran.size).toBe(lines.length)
  expect([...wanted.keys()].filter((jobId) => !ran.has(jobId))).toEqual([])
}, 1_800_000)
