/**
 * Twenty thousand jobs on two workers in processes of their own, while node and workers are killed again
 * and again: every job has one end, its command has run once, what it wrote is there, and memory and
 * open files stay within bounds. A month later nothing of them is left.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { JobRow, JobView } from '../../../machines/jobs/job-view.ts'
import type { HistoryView } from '../../../src/index.ts'
import { until } from '../../waiting.ts'
import { inBatches } from './fleet.ts'
import { Soak, type Vitals } from './soak.ts'

/** Fewer when a person wants to see it work. */
const JOBS = Number(process.env['TROUPE_SOAK_JOBS'] ?? 20_000)
/** Spread over the commands that begin. */
const KILLS = Math.min(40, Math.floor(JOBS / 50))
/** So many are submitted ahead of those that begin: every kill finds some on their way in. */
const AHEAD = 1_000
/** What a process of each kind may use, at any moment that it is looked at. */
const MEMORY_MIB_MAX = 400
/** Below the limit of most systems, 1,024; most are connections that are kept for the next request. */
const OPEN_FILES_MAX = 800
const HOUR_MS = 3_600_000
const MONTH_MS = 31 * 24 * HOUR_MS
const STALL_MS = 300_000

/** The ends that their commands have. */
const ENDS: Readonly<Record<string, string>> = { works: 'success', fails: 'failed' }
const OUTCOMES: ReadonlySet<string> = new Set(Object.values(ENDS))

let soak: Soak
/** Of every moment that was looked at. */
const vitals: Vitals[] = []

beforeEach(async () => {
  soak = await Soak.begin()
})
afterEach(() => soak.close())

const witness = () => join(soak.directory, 'witness')

/** The ids of jobs, as their commands began. */
async function beginnings(): Promise<string[]> {
  const text = await readFile(witness(), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

/** The ids that were acknowledged. */
async function submitMany(count: number): Promise<number[]> {
  const jobIds: number[] = []
  const before = (await beginnings()).length
  const isNear = async () => jobIds.length - AHEAD < (await beginnings()).length - before
  while (jobIds.length < count) {
    await until(isNear, { timeoutMs: STALL_MS, every: 200 }, 'jobs to begin')
    const batch = Array.from({ length: Math.min(AHEAD / 4, count - jobIds.length) })
    await inBatches(batch, async (_item, index) => {
      jobIds.push(await submitOne(index % 10 === 0))
    })
  }
  return jobIds
}

function submitOne(fails: boolean): Promise<number> {
  const words = `echo "$TROUPE_JOB_ID" >>'${witness()}'; echo "out $TROUPE_JOB_ID"; echo err >&2`
  return soak.submit(fails ? 'fails' : 'works', `${words}; ${fails ? 'exit 3' : 'sleep 0.01'}`)
}

async function killAgainAndAgain(): Promise<void> {
  for (let round = 0; round < KILLS; round++) {
    const count = Math.floor((JOBS * (round + 1)) / (KILLS + 1))
    const begun = async () => (await beginnings()).length
    const told = async () => `${count} beginnings in round ${round}; there are ${await begun()}`
    await until(async () => (await begun()) >= count, { timeoutMs: STALL_MS, every: 50 }, told)
    vitals.push(...(await soak.vitals()))
    await soak.killOne(round)
  }
}

/** Waits until all jobs stand where they may, or none is left. */
async function allStandIn(states: ReadonlySet<string>): Promise<void> {
  let seen: [string, number][] = []
  await until(
    async () => {
      seen = [...(await soak.states())]
      return seen.every(([state]) => states.has(state))
    },
    { timeoutMs: STALL_MS, every: 500 },
    () => `all jobs in ${[...states].join(', ') || 'no state'}; they are: ${JSON.stringify(seen)}`,
  )
}

/** What is wrong with one job that has ended. */
async function faultsOf({ jobId, jobName, status }: JobRow): Promise<string[]> {
  const view = await soak.ask<JobView>(`/jobs/${jobId}`)
  const history = await soak.ask<HistoryView[]>(`/troupe/v1/actors/job/${jobId}/history?limit=50`)
  const log = await soak.ask<{ text: string; isEnd: boolean }>(`/jobs/${jobId}/log?stream=stdout`)
  const errors = await soak.ask<{ text: string }>(`/jobs/${jobId}/log?stream=stderr`)
  const ends = history.filter(({ from, to }) => OUTCOMES.has(to) && from !== to)
  return [
    ...(status === ENDS[jobName] ? [] : [`it is ${status}: ${view.message}`]),
    ...(ends.length === 1 ? [] : [`it has ended ${ends.length} times`]),
    ...(view.attempt === 1 ? [] : [`it took ${view.attempt} attempts`]),
    ...(log.text === `out ${jobId}\n` && log.isEnd ? [] : [`stdout: ${JSON.stringify(log)}`]),
    ...(errors.text === 'err\n' ? [] : [`stderr: ${JSON.stringify(errors)}`]),
  ].map((fault) => `job ${jobId}: ${fault}`)
}

/** A month later: the jobs are removed, then forgotten, and what they wrote is cleared away. */
async function forgetAll(): Promise<void> {
  await soak.sleep(MONTH_MS)
  await allStandIn(new Set(['removed']))
  const runs = async () => `no runs on disk; there are ${await soak.runs()} entries`
  const isCleared = async () => (await soak.runs()) === 0
  await until(isCleared, { timeoutMs: STALL_MS, every: 1_000 }, runs)
  await soak.sleep(2 * HOUR_MS)
  await allStandIn(new Set())
}

it(`${JOBS} jobs run once each while node and workers are killed, and leave nothing behind`, async () => {
  const submitting = submitMany(JOBS)
  await killAgainAndAgain()
  const acknowledged = await submitting
  expect(new Set(acknowledged).size, 'ids that are given once').toBe(JOBS)
  await allStandIn(OUTCOMES)
  vitals.push(...(await soak.vitals()))

  // Those whose answer was lost are among them: nobody knows their ids, but they run as well.
  const rows = await soak.jobs()
  const known = new Set(rows.map(({ jobId }) => jobId))
  expect(acknowledged.filter((jobId) => !known.has(jobId))).toEqual([])
  const ran = (await beginnings()).map(Number)
  expect(ran.length, 'commands that ran once').toBe(new Set(ran).size)
  expect(new Set(ran)).toEqual(known)
  const faults: string[] = []
  await inBatches(rows, async (row) => {
    faults.push(...(await faultsOf(row)))
  })
  expect(faults).toEqual([])
  expect(vitals.filter(({ memoryMiB }) => memoryMiB > MEMORY_MIB_MAX)).toEqual([])
  expect(vitals.filter(({ openFiles }) => openFiles > OPEN_FILES_MAX)).toEqual([])

  await forgetAll()
  const bytes = await soak.storeBytes()
  await submitMany(JOBS / 10)
  await allStandIn(OUTCOMES)
  expect(await soak.storeBytes(), 'room that is used again').toBeLessThanOrEqual(bytes)
}, 3_600_000)
