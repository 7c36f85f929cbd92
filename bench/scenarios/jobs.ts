/**
 * Jobs per second with /bin/true: the machine and task of `machines/jobs` through a node and its
 * worker, against the same shim in a bare loop of spawn and wait with as many at a time.
 */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { jobs as jobsApp } from '../../machines/jobs/index.ts'
import { JOB_DEFAULTS, type JobInput } from '../../machines/jobs/job-input.ts'
import type { TroupeNode } from '../../src/index.ts'
import { cleanEnvironment } from '../../src/worker/index.ts'
import { bootId } from '../../src/worker/process/identity.ts'
import { DEFAULT_PROCESS_LIMITS } from '../../src/worker/process/limits.ts'
import { shimArguments } from '../../src/worker/process/shim.ts'
import { CpuProfile, type Frame, type ProfileShare, sharesOf } from '../cpu-profile.ts'
import { closedLoop, type Load, rssAnonMb, spreadOf } from '../measure.ts'
import { openNode } from '../nodes.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Breakdown, figureOf, number, type Report, ratiosOf, spread } from '../report.ts'

/** The slots of a worker by default. */
const SLOTS = 8
const ROUNDS = 4
const SETSID = '/usr/bin/setsid'
const COMMAND = ['/bin/true']
const SHOWN_FROM_US = 15

interface Params {
  data: string
  roundMs: number
}

interface Result {
  jobs: Load[]
  one: Load[]
  bare: Load[]
  bareOne: Load[]
  spawns: Load[]
  rssAnonMb: number
  /** µs of the main thread per job. */
  parts: ProfileShare[]
  functions: ProfileShare[]
}

export async function jobsPart({ data, roundMs }: Params): Promise<Result> {
  const node = await openNode({ directory: join(data, 'node'), apps: [jobsApp], slots: SLOTS })
  const ends = new JobEnds(node)
  const result: Result = {
    jobs: [],
    one: [],
    bare: [],
    bareOne: [],
    spawns: [],
    rssAnonMb: 0,
    parts: [],
    functions: [],
  }
  const run = () => ends.run()
  const bare = bareRunner(join(data, 'bare'))
  await closedLoop(SLOTS * 2, roundMs, run)
  for (let round = 0; round < ROUNDS; round++) {
    result.spawns.push(await closedLoop(SLOTS, roundMs / 2, spawnTrue))
    result.bare.push(await closedLoop(SLOTS, roundMs, bare))
    // Twice as many under way as slots: a slot that is free finds the next job waiting.
    result.jobs.push(await closedLoop(SLOTS * 2, roundMs, run))
    result.bareOne.push(await closedLoop(1, roundMs / 2, bare))
    result.one.push(await closedLoop(1, roundMs / 2, run))
  }
  result.rssAnonMb = rssAnonMb()
  await profileJobs(run, roundMs, result)
  ends.stop()
  await node.stop()
  return result
}

/** Whose time on the main thread a job takes: Node's own frames count for whoever of ours called. */
async function profileJobs(run: () => Promise<void>, roundMs: number, result: Result) {
  const profile = new CpuProfile()
  await profile.start()
  let count = 0
  await closedLoop(SLOTS * 2, roundMs, () => {
    count += 1
    return run()
  })
  const { parts, functions } = sharesOf(await profile.stop(), partOf)
  const perJob = ({ name, amount }: ProfileShare) => ({ name, amount: amount / count })
  result.parts = parts.map(perJob).filter(({ amount }) => amount >= SHOWN_FROM_US)
  result.functions = functions.map(perJob).filter(({ amount }) => amount >= SHOWN_FROM_US)
}

function partOf({ path, functionName }: Frame): string | undefined {
  if (path === '' && functionName.startsWith('(')) return functionName
  if (path.startsWith('src/worker/')) return `${path} ${functionName}`
  return /^(?:src|machines|bench)\/[^/]+/.exec(path)?.[0]
}

const ENDS = ['success', 'failed', 'killed']

/** Starts jobs and learns of their ends as any program could: by watching. */
class JobEnds {
  readonly #node: TroupeNode
  readonly #waiting = new Map<string, (state: string) => void>()
  readonly #stop = new AbortController()
  #next = 1

  constructor(node: TroupeNode) {
    this.#node = node
    void this.#watch()
  }

  stop(): void {
    this.#stop.abort()
  }

  async run(): Promise<void> {
    const address = `job/${this.#next++}`
    const end = new Promise<string>((resolve) => this.#waiting.set(address, resolve))
    await this.#node.client.start(address, inputOf(address))
    const state = await end
    this.#waiting.delete(address)
    if (state !== 'success') throw new Error(`${address} ended as ${state}`)
  }

  async #watch(): Promise<void> {
    for await (const event of this.#node.client.watch({ machine: 'job' }, this.#stop.signal)) {
      if (event.kind !== 'transition' || !ENDS.includes(event.to)) continue
      this.#waiting.get(event.address)?.(event.to)
    }
  }
}

function inputOf(address: string): JobInput {
  return {
    ...JOB_DEFAULTS,
    jobName: address,
    appName: 'bench',
    executor: 'bench',
    jobType: 'true',
    content: 'nothing',
    submittedAt: Date.now(),
    groupId: 1,
    template: COMMAND,
  }
}

/** A directory, the shim and its end: what a run costs when nobody keeps book. */
function bareRunner(parent: string): () => Promise<void> {
  const environment = cleanEnvironment(process.env)
  const { groupGraceMs } = DEFAULT_PROCESS_LIMITS
  let next = 0
  return () => {
    const dir = join(parent, String(next++))
    mkdirSync(dir, { recursive: true })
    const words = shimArguments(
      {
        dir,
        startedAt: Date.now(),
        bootId: bootId(),
        groupGraceMs,
        watchdog: undefined,
        setsidPath: SETSID,
      },
      COMMAND,
    )
    return ended('/bin/sh', words, dir, { ...environment, TROUPE_RUN: dir })
  }
}

function spawnTrue(): Promise<void> {
  return ended('/bin/true', [], '/', {})
}

function ended(file: string, words: string[], cwd: string, env: Record<string, string>) {
  return new Promise<void>((resolve, reject) => {
    const child = spawn(file, words, { cwd, env, detached: true, stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))))
  })
}

export async function jobs(bench: Bench): Promise<Report> {
  const params: Params = { data: folderOf(bench, 'jobs'), roundMs: bench.quick ? 500 : 3_000 }
  const result = await runPart<Result>(bench, 'jobs', params)
  const ratio = ratiosOf(
    result.jobs.map((one) => one.perSecond),
    result.bare.map((one) => one.perSecond),
  )
  const rate = (rounds: Load[]) => spread(spreadOf(rounds.map((one) => one.perSecond)))
  return {
    scenario: `jobs: /bin/true, ${SLOTS} at a time`,
    figures: [
      figureOf('jobs, 16 under way, 8 slots', result.jobs, result.rssAnonMb),
      figureOf('one job at a time', result.one),
      figureOf('limit: bare shim, 8 at a time', result.bare),
      figureOf('bare shim, one at a time', result.bareOne),
      figureOf('spawn without a shim, 8 at a time', result.spawns),
    ],
    demands: [
      {
        what: 'jobs/s with /bin/true',
        measured: `${rate(result.jobs)} /s`,
        limit: `${rate(result.bare)} /s (bare shim)`,
        ratio,
        demanded: '>= 0.5',
        pass: ratio.median >= 0.5,
      },
    ],
    breakdowns: [
      tableOf('µs of the main thread per job, by part (Node counts for its caller)', result.parts),
      tableOf('the same by function', result.functions),
    ],
    notes: ['CPU figures are those of the node process; launcher and commands have their own'],
  }
}

function tableOf(title: string, shares: ProfileShare[]): Breakdown {
  return {
    title,
    columns: ['', 'µs'],
    rows: shares.map(({ name, amount }) => [name, number(amount, 0)]),
  }
}
