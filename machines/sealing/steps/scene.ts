/**
 * What the code of one step sees: its input, and the few things it can do. Decides: how a processor is
 * called and its answer read, and how what is missing is said. Leaves to others: the work.
 */
import type { z } from 'zod'
import type { LocalStore, SectorPaths } from '../stores/index.ts'
import {
  type Held,
  type SealingSettings,
  type SectorRecord,
  type StepInput,
  stepError,
} from '../thread/index.ts'
import {
  type ParamsOf,
  type ResultOf,
  type SealProof,
  type SectorId,
  sealProofOf,
  type VenusCall,
} from '../venus/index.ts'
import { follow } from './following.ts'
import type { KeptResults } from './kept-results.ts'
import type { StepAttempt, StepDeps } from './ports.ts'
import type { Reports } from './reports.ts'
import { proverId } from './task-bytes.ts'

/** `<address>#<birth>:<turn>:<index>` */
const TASK_ID = /^(.+#[^:]+):\d+:\d+$/

export interface SceneParts {
  deps: StepDeps
  input: StepInput
  attempt: StepAttempt
  /** Aborted when the attempt is, or another run of the thread takes over. */
  signal: AbortSignal
  store: LocalStore | null
  kept: KeptResults | null
  reports: Reports
  /** Of everything that works for this thread. */
  key: string
}

export class Scene {
  readonly deps: StepDeps
  readonly input: StepInput
  readonly signal: AbortSignal
  readonly key: string
  readonly #parts: SceneParts
  #isDear = false

  constructor(parts: SceneParts) {
    this.deps = parts.deps
    this.input = parts.input
    this.signal = parts.signal
    this.key = parts.key
    this.#parts = parts
  }

  /** Whether what the step came to so far is worth keeping: to do it again costs hours, or does harm. */
  get isDear(): boolean {
    return this.#isDear
  }

  get settings(): SealingSettings {
    return this.input.settings
  }

  get taskId(): string {
    return this.#parts.attempt.taskId
  }

  get store(): LocalStore {
    if (this.#parts.store) return this.#parts.store
    throw stepError(
      'critical',
      `the plan ${this.input.plan} works in a local store: give the thread ${this.input.thread} a location`,
    )
  }

  /** @throws stepError `permanent` when an earlier step has not written it */
  need<TKey extends keyof SectorRecord>(key: TKey): NonNullable<SectorRecord[TKey]> {
    const value = this.input.record[key]
    if (value !== undefined && value !== null) return value
    const { thread, state } = this.input
    throw stepError(
      'permanent',
      `${thread} has no "${key}", which ${state} needs: resume it at a state that makes it`,
    )
  }

  get sectorId(): SectorId {
    return this.need('sector').ID
  }

  get proof(): SealProof {
    return sealProofOf(this.need('sector').ProofType)
  }

  /** Of every task of a processor that deals with the sector itself. */
  get sectorFields() {
    return {
      registered_proof: this.proof.name,
      prover_id: proverId(this.sectorId),
      sector_id: this.sectorId.Number,
    }
  }

  get hasDeals(): boolean {
    return (this.input.record.deals ?? []).some(({ ID }) => ID !== 0)
  }

  pathsOf(part = ''): SectorPaths {
    return this.store.pathsOf(this.sectorId, part)
  }

  async call<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
  ): Promise<ResultOf<TCall>> {
    return await this.#ask(name, params, this.taskId)
  }

  /** For what must not come about twice; its outcome is kept. */
  async callOnce<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
  ): Promise<ResultOf<TCall>> {
    const answer = await this.call(name, params)
    this.#isDear = true
    return answer
  }

  /**
   * For work, which must not be given twice to one thread: whoever asks again, as another task, because no
   * answer came (the manager was killed) asks under the same key, and is given the same. A thread that lost
   * all that it knew asks under another one: the sector of its former life may be sealed.
   */
  async allocate<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
  ): Promise<ResultOf<TCall>> {
    const answer = await this.#ask(name, params, this.#allocationKey(name))
    this.#isDear = true
    return answer
  }

  /** Once for this task, also when it is repeated behind a crash. */
  async once<T>(part: string, work: () => Promise<T>): Promise<T> {
    const { kept } = this.#parts
    return kept ? await kept.once(this.taskId, part, work) : await work()
  }

  async put(name: string, value: unknown): Promise<Held> {
    return this.#parts.store ? await this.store.put(name, value) : { inline: value }
  }

  async take(key: 'pc1out' | 'c1out' | 'c2out' | 'snapProveOut'): Promise<unknown> {
    return await this.open(this.need(key))
  }

  async open(held: Held): Promise<unknown> {
    return 'inline' in held ? held.inline : await this.store.take(held)
  }

  /**
   * Has a processor work; meanwhile the manager is asked whether the sector is still wanted.
   * @throws what the processor fails with; stepError `permanent` when its answer cannot be read, `abort`
   * when the manager ended the sector
   */
  async run<TOutput>(
    stage: string,
    task: object,
    output: z.ZodType<TOutput>,
  ): Promise<{ output: TOutput; process: string | null }> {
    const { reports, attempt, deps, key } = this.#parts
    const granted = this.input.granted.find((name) => name.startsWith(`child.${stage}.`))
    const stop = new AbortController()
    const unfollow = follow(this.signal, stop)
    let ended: { reason: unknown } | undefined
    const stopAsking = reports.watch((reason) => {
      ended = { reason }
      stop.abort(reason)
    })
    let process: string | null = null
    try {
      const answer = await deps.processors.run(stage, task, {
        ...(granted === undefined ? {} : { lane: granted }),
        key,
        signal: stop.signal,
        onStarted: ({ lane, pid }) => {
          process = pid === null ? lane : `${lane} (pid ${pid})`
          attempt.progress({ stage, process })
        },
        onProgress: (progress) => attempt.progress({ stage, process, progress }),
      })
      this.#isDear = true
      return { output: readOutput(stage, output, answer), process }
    } catch (thrown) {
      throw ended === undefined ? thrown : ended.reason
    } finally {
      stopAsking()
      unfollow()
    }
  }

  /** Of a task id only the thread and its birth last longer than one run. */
  #allocationKey(name: VenusCall): string {
    const thread = TASK_ID.exec(this.taskId)?.[1] ?? this.taskId
    return `${this.deps.lifeOfThreads}:${thread}:cycle:${this.input.cycle}:${name}`
  }

  async #ask<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
    taskId: string,
  ): Promise<ResultOf<TCall>> {
    return await this.deps.manager.call(name, params, { taskId, signal: this.signal })
  }
}

function readOutput<TOutput>(stage: string, output: z.ZodType<TOutput>, answer: unknown): TOutput {
  const read = output.safeParse(answer)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = `${issue?.path.join('.')} ${issue?.message}`.trim()
  throw stepError('permanent', `the processor of ${stage} answers in another form: ${where}`)
}
