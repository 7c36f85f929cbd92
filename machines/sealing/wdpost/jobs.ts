/**
 * Jobs of window proofs, for the manager's calls and for operators. Decides: what is asked of which job, in
 * what order jobs are given out, what of many is shown. Leaves to others: what becomes of a job (`job.ts`).
 */
import { createHash } from 'node:crypto'
import {
  type ActorRow,
  type ActorView,
  type CallOptions,
  type Client,
  type Clock,
  type EventObject,
  parseAddress,
  TroupeError,
} from '../../../src/index.ts'
import { type ParamsOf, sealNumberOf, type WdPoStJob } from '../venus/index.ts'
import {
  ERROR_CHARS_MAX,
  inputAddress,
  type JobAnswer,
  type JobContext,
  jobAddress,
  TRIES_MAX,
} from './job.ts'
import { jobIdOf, type PostInput, packInput, unpackInput } from './packed.ts'

/** What is shown of many: all but what is large. */
export interface WdPoStSummary extends Omit<WdPoStJob, 'Input' | 'Output'> {
  MinerID: number
  ProofType: number
  /** How many. */
  Sectors: number
  TryMax: number
}

export interface WdPoStDetail extends WdPoStSummary {
  Input: PostInput
  Output: unknown
}

export interface WdPoStRequest {
  deadline: number
  partitions: number[]
  input: PostInput
}

/** Short enough for an index. */
const TASK_CHARS = 24
const PAGE_COUNT = 100
/** A paused job would keep the event, a heartbeat each 3 s, and begin when nobody waits any more. */
const ACTIVE = { when: { condition: 'active' } } as const

export class WdPoStJobs {
  readonly #client: Client
  readonly #clock: Clock

  constructor(client: Client, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** The same input again is the job that is there. */
  async create(request: WdPoStRequest, author = 'wdpost'): Promise<WdPoStSummary> {
    const { deadline, partitions, input } = request
    const id = jobIdOf(input)
    const { MinerID: miner, ProofType: proofType, Sectors } = input
    const facts = { deadline, partitions, miner, proofType, sectors: Sectors.length }
    const start = { ...facts, packed: packInput(input), at: this.#now() }
    await this.#client.as(author).ensure(jobAddress(id), start)
    return this.#summary(id)
  }

  /**
   * The oldest first. The same task again has the jobs that it was given, as long as they are its own.
   */
  async allocate(
    spec: ParamsOf<'WdPoStAllocateJobs'>[0],
    count: number,
    worker: string,
    taskId?: string,
  ): Promise<WdPoStJob[]> {
    const task = taskId === undefined ? null : shortOf(taskId)
    const jobs: WdPoStJob[] = []
    const event = { type: 'ALLOCATE', worker, task, at: this.#now() }
    for await (const row of this.#candidates(task)) {
      if (jobs.length >= count) break
      if (!isWanted(spec, row)) continue
      const id = parseAddress(row.address).id
      // Whoever was sooner has it; one that was removed or paused meanwhile is nobody's.
      const answer = await this.#ask(id, event, ACTIVE).catch(unlessGone)
      if (answer?.taken) jobs.push(wireJob(await this.job(id)))
    }
    return jobs
  }

  /** Which of them are this worker's; the others were lost, removed, or given to somebody else. */
  async heartbeat(
    ids: readonly string[],
    worker: string,
  ): Promise<{ held: string[]; lost: string[] }> {
    const event = { type: 'HEARTBEAT', worker, at: this.#now() }
    const answers = await Promise.all(
      ids.map(async (id) => ({ id, answer: await this.#ask(id, event, ACTIVE).catch(unlessGone) })),
    )
    const held = answers.filter(({ answer }) => answer?.taken).map(({ id }) => id)
    return { held, lost: ids.filter((id) => !held.includes(id)) }
  }

  /**
   * A result, or an error, after which the job is tried again unless it was the last time.
   * @param taskId makes a repeat of the call known, after another try has begun as well
   * @throws TroupeError `not-found` for a job that was removed
   */
  async finish(id: string, output: unknown, error: string, taskId?: string): Promise<null> {
    const task = taskId === undefined ? null : shortOf(taskId)
    const told = { output: output ?? null, error: error.slice(0, ERROR_CHARS_MAX), task }
    await this.#ask(id, { type: 'FINISH', ...told, at: this.#now() })
    return null
  }

  /** Oldest first; without `all` those that have not succeeded. */
  async list({ all = false } = {}): Promise<WdPoStSummary[]> {
    const jobs: WdPoStSummary[] = []
    let page: Promise<WdPoStSummary | undefined>[] = []
    const collect = async () => {
      for (const job of await Promise.all(page)) if (job) jobs.push(job)
      page = []
    }
    for await (const { address, value, index } of this.#rows({})) {
      if (!all && value === 'Finished' && index['isFailed'] !== true) continue
      page.push(this.#summary(parseAddress(address).id).catch(unlessGone))
      if (page.length >= PAGE_COUNT) await collect()
    }
    await collect()
    return jobs.sort((a, b) => a.CreatedAt - b.CreatedAt || (a.ID < b.ID ? -1 : 1))
  }

  /** @throws TroupeError `not-found` */
  async job(id: string): Promise<WdPoStDetail> {
    const [view, held] = await Promise.all([
      known(id, () => this.#client.get(jobAddress(id))),
      known(id, () => this.#client.get(inputAddress(id))),
    ])
    const { packed } = held.context as { packed: string }
    const { output } = view.context as JobContext
    return { ...summaryOf(view), Input: unpackInput(packed), Output: output }
  }

  /** As if it was never tried. @throws TroupeError `not-found` */
  async reset(id: string, author: string): Promise<WdPoStSummary> {
    const event = { type: 'RESET', at: this.#now() }
    await known(id, () => this.#client.as(author).ask(jobAddress(id), event))
    return this.#summary(id)
  }

  /** Who waits for it is told that it was removed. @throws TroupeError `not-found` */
  async remove(id: string, author: string): Promise<void> {
    await known(id, () => this.#client.as(author).delete(jobAddress(id)))
  }

  async removeAll(author: string): Promise<number> {
    const ids: string[] = []
    for await (const { address } of this.#rows({})) ids.push(parseAddress(address).id)
    let count = 0
    for (const id of ids) {
      const removed = this.remove(id, author).then(() => true as const)
      if (await removed.catch(unlessGone)) count += 1
    }
    return count
  }

  async *#candidates(task: string | null): AsyncGenerator<ActorRow> {
    if (task !== null) yield* this.#rows({ where: { task } })
    yield* this.#rows({ state: 'ReadyToRun' })
  }

  #rows(filter: { state?: string; where?: Record<string, string> }): AsyncGenerator<ActorRow> {
    return this.#client.rows({ filter: { machine: 'wdpost-job', ...filter }, limit: PAGE_COUNT })
  }

  async #ask(
    id: string,
    event: EventObject,
    options: CallOptions = {},
  ): Promise<JobAnswer | undefined> {
    const asked = () => this.#client.ask(jobAddress(id), event, options)
    return (await known(id, asked)) as JobAnswer | undefined
  }

  async #summary(id: string): Promise<WdPoStSummary> {
    return summaryOf(await known(id, () => this.#client.get(jobAddress(id))))
  }

  #now(): number {
    return Math.floor(this.#clock.now() / 1_000)
  }
}

function summaryOf({ address, value, context }: ActorView): WdPoStSummary {
  const job = context as JobContext
  return {
    ID: parseAddress(address).id,
    State: value as WdPoStJob['State'],
    DeadlineIdx: job.deadline,
    Partitions: job.partitions,
    ...{ MinerID: job.miner, ProofType: job.proofType, Sectors: job.sectors },
    ...{ TryNum: job.tries, TryMax: TRIES_MAX, ErrorReason: job.error, WorkerName: job.worker },
    ...{ StartedAt: job.startedAt, HeartbeatAt: job.heartbeatAt, FinishedAt: job.finishedAt },
    ...{ CreatedAt: job.createdAt, UpdatedAt: job.updatedAt },
  }
}

/** As the Venus interface has it. */
function wireJob({ MinerID: _miner, ProofType: _proof, Sectors: _sectors, ...job }: WdPoStDetail) {
  const { TryMax: _tryMax, ...wire } = job
  return wire
}

function isWanted(
  { AllowedMiners, AllowedProofTypes }: ParamsOf<'WdPoStAllocateJobs'>[0],
  { index }: ActorRow,
): boolean {
  const [miner, proof] = [Number(index['miner']), Number(index['proofType'])]
  if (AllowedMiners.length > 0 && !AllowedMiners.includes(miner)) return false
  if (AllowedProofTypes.length === 0 || AllowedProofTypes.includes(proof)) return true
  return AllowedProofTypes.includes(sealNumberOf(proof))
}

function shortOf(taskId: string): string {
  return createHash('sha256').update(taskId).digest('hex').slice(0, TASK_CHARS)
}

async function known<T>(id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    const isGone = thrown instanceof TroupeError && GONE.includes(thrown.code)
    if (!isGone) throw thrown
    const why = `job ${id.slice(0, 64)} is not there: it was removed manually, or its 25 h are over`
    throw new TroupeError('not-found', why)
  }
}

const GONE: readonly string[] = ['unknown-actor', 'finished', 'invalid-address']

function unlessGone(thrown: unknown): undefined {
  const codes: readonly string[] = ['not-found', 'conflict']
  if (thrown instanceof TroupeError && codes.includes(thrown.code)) return undefined
  throw thrown
}
