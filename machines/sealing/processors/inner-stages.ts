/**
 * Stages that run in this process, for which no child is configured. Decides: that they are cancelled and
 * timed like those of children, and count as work on a key until their handler has ended. Leaves to
 * others: the handlers, and how many run at once (the pool).
 */
import type { Clock } from '../../../src/index.ts'
import { ProcessorError, wordsOf } from './errors.ts'
import type { Job } from './job.ts'
import type { KeyedWork } from './keyed-work.ts'
import type { LaneReport } from './lane.ts'

export interface InnerCall {
  signal: AbortSignal
  key: string
  onProgress: (progress: unknown) => void
}

/** Rejects when the input is wrong, or with a `ProcessorError` when it means something else. */
export type InnerHandler = (task: unknown, call: InnerCall) => Promise<unknown>

export class InnerStages {
  readonly #clock: Clock
  readonly #work: KeyedWork
  readonly #handlers = new Map<string, InnerHandler>()
  readonly #running = new Map<Job, number>()

  constructor(clock: Clock, work: KeyedWork) {
    this.#clock = clock
    this.#work = work
  }

  register(stage: string, handler: InnerHandler): void {
    this.#handlers.set(stage, handler)
  }

  has(stage: string): boolean {
    return this.#handlers.has(stage)
  }

  run(job: Job): void {
    const { key, timeoutMs } = job.options
    const stopping = new AbortController()
    const release = this.#work.begin(key)
    const cancelTimer =
      timeoutMs === undefined
        ? undefined
        : this.#clock.after(timeoutMs, () => job.timeOut(timeoutMs))
    this.#running.set(job, this.#clock.now())
    job.heldBy((error) => stopping.abort(error))
    void this.#call(job, stopping.signal).finally(() => {
      cancelTimer?.()
      this.#running.delete(job)
      release()
    })
  }

  stop(): void {
    for (const job of this.#running.keys()) job.giveUp('unhealthy', 'the daemon stops')
  }

  reports(): LaneReport[] {
    return [...this.#handlers.keys()].map((stage) => ({
      stage,
      lane: innerLane(stage),
      pid: null,
      state: 'ready',
      restartsAt: null,
      running: [...this.#running].flatMap(([job, startedAt]) =>
        job.stage === stage
          ? [{ key: job.options.key, startedAt, isAbandoned: job.isSettled }]
          : [],
      ),
      concurrent: null,
      waiting: 0,
      restarts: 0,
      lastError: null,
      rssBytes: null,
    }))
  }

  async #call(job: Job, signal: AbortSignal): Promise<void> {
    const { stage, task, options } = job
    try {
      job.started({ lane: innerLane(stage), pid: null })
      const handler = this.#handlers.get(stage)
      const onProgress = (progress: unknown) => job.progress(progress)
      job.resolve(await handler?.(task, { signal, key: options.key, onProgress }))
    } catch (thrown) {
      const isKnown = thrown instanceof ProcessorError
      const refused = { stage, lane: innerLane(stage), cause: thrown }
      job.reject(isKnown ? thrown : new ProcessorError('refused', wordsOf(thrown), refused))
    }
  }
}

function innerLane(stage: string): string {
  return `inner.${stage}`
}
