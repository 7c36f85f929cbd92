/**
 * The stages on threads of this process. Decides: how many threads (one per core, begun when they are
 * needed, kept for the next job), the order of jobs (as they come), what a cancel does: the thread ends,
 * and only then the job does, so that nothing writes any more when its caller goes on.
 */
import { availableParallelism } from 'node:os'
import { startThread, TroupeError } from '../../../src/index.ts'
import { type ProverStage, parseTask } from './tasks.ts'
import type { Progress, ThreadAnswer, ThreadJob } from './thread.ts'

export interface ProverRunOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: Progress) => void) | undefined
}

interface Job extends ThreadJob {
  onProgress: (progress: Progress) => void
  resolve: (output: unknown) => void
  reject: (error: unknown) => void
}

export class ProverThreads {
  readonly #threadsMax: number
  readonly #lanes = new Set<Lane>()
  readonly #waiting: Job[] = []
  #isStopped = false

  constructor({ threadsMax = availableParallelism() }: { threadsMax?: number } = {}) {
    this.#threadsMax = threadsMax
  }

  /**
   * @throws TroupeError `malformed`, `conflict`, `not-found`, `forbidden` for what a repeat cannot mend,
   * `unavailable` for disks, servers and threads that fail; whatever `signal` was aborted with
   */
  async run(
    stage: string,
    task: unknown,
    { signal, onProgress = () => undefined }: ProverRunOptions = {},
  ): Promise<unknown> {
    const parsed = parseTask(stage, task)
    signal?.throwIfAborted()
    if (this.#isStopped) throw stopped()
    const { promise, ...settle } = settleable()
    const job: Job = { stage: stage as ProverStage, task: parsed, onProgress, ...settle }
    const cancel = () => this.#cancel(job, signal?.reason)
    signal?.addEventListener('abort', cancel, { once: true })
    this.#waiting.push(job)
    this.#next()
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Cuts what runs. Resolves when no thread is left. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const job of this.#waiting.splice(0)) job.reject(stopped())
    await Promise.all([...this.#lanes].map((lane) => lane.end(stopped())))
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const lane = [...this.#lanes].find((one) => one.isFree) ?? this.#begin()
      if (!lane) return
      lane.take(this.#waiting.shift()!)
    }
  }

  #begin(): Lane | undefined {
    if (this.#lanes.size >= this.#threadsMax) return undefined
    const lane = new Lane({
      onFree: () => this.#next(),
      onGone: () => {
        this.#lanes.delete(lane)
        this.#next()
      },
    })
    this.#lanes.add(lane)
    return lane
  }

  #cancel(job: Job, reason: unknown): void {
    const at = this.#waiting.indexOf(job)
    if (at >= 0) {
      this.#waiting.splice(at, 1)
      job.reject(reason)
      return
    }
    const lane = [...this.#lanes].find((one) => one.does(job))
    lane?.end(reason).catch(() => undefined)
  }
}

/** One thread and the job that it does. */
class Lane {
  readonly #worker = startThread(import.meta.url, 'thread')
  readonly #onFree: () => void
  #job: Job | undefined
  #endedBy: { reason: unknown } | undefined

  constructor({ onFree, onGone }: { onFree: () => void; onGone: () => void }) {
    this.#onFree = onFree
    let why = 'it ended'
    this.#worker.on('message', (answer: ThreadAnswer) => this.#answered(answer))
    this.#worker.on('error', (error) => {
      why = error.message
    })
    this.#worker.on('exit', () => {
      const died = new TroupeError('unavailable', `a thread of the prover died: ${why}`)
      this.#job?.reject(this.#endedBy ? this.#endedBy.reason : died)
      this.#job = undefined
      onGone()
    })
    // A thread that has nothing to do keeps no process alive.
    this.#worker.unref()
  }

  get isFree(): boolean {
    return this.#job === undefined && this.#endedBy === undefined
  }

  does(job: Job): boolean {
    return this.#job === job
  }

  take(job: Job): void {
    this.#job = job
    this.#worker.ref()
    const { stage, task } = job
    this.#worker.postMessage({ stage, task } satisfies ThreadJob)
  }

  async end(reason: unknown): Promise<void> {
    this.#endedBy ??= { reason }
    await this.#worker.terminate()
  }

  #answered(answer: ThreadAnswer): void {
    const job = this.#job
    // What was under way when it was cancelled is not wanted.
    if (!job || this.#endedBy) return
    if (answer.kind === 'progress') {
      job.onProgress(answer.progress)
      return
    }
    this.#job = undefined
    this.#worker.unref()
    if (answer.kind === 'output') job.resolve(answer.output)
    else job.reject(new TroupeError(answer.failure.code, answer.failure.message))
    this.#onFree()
  }
}

function stopped(): TroupeError {
  return new TroupeError('unavailable', 'the prover is stopped')
}

function settleable() {
  let resolve: (output: unknown) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<unknown>((onDone, onFailed) => {
    resolve = onDone
    reject = onFailed
  })
  return { promise, resolve, reject }
}
