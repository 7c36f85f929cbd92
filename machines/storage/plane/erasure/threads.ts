/**
 * The threads that compute. Decides: which of them gets a job (the one with the fewest bytes to do), what
 * happens to the jobs of a thread that dies: another one does them from the start, once, since nothing that
 * a job reads is changed by it. A dead thread is replaced when there is something to do.
 */
import { startThread, TroupeError } from '../../../../src/index.ts'
import type { ThreadAnswer, ThreadJob } from './thread.ts'

/** Of a job that ends one thread after the other, the job is the reason. */
const ATTEMPTS_MAX = 2

interface Job extends ThreadJob {
  attempts: number
  resolve: (checksums: number[]) => void
  reject: (error: unknown) => void
}

export class Threads {
  readonly #count: number
  readonly #lanes = new Set<Lane>()
  #lastId = 0
  #isClosed = false

  private constructor(count: number) {
    this.#count = count
  }

  /** They begin with the first job: a node that stores nothing has none. */
  static onDemand(count: number): Threads {
    return new Threads(count)
  }

  /** @throws TroupeError `unavailable` when they cannot begin */
  static async open(count: number): Promise<Threads> {
    const threads = new Threads(count)
    try {
      await Promise.all(Array.from({ length: count }, () => threads.#begin().ready))
    } catch (thrown) {
      await threads.close()
      throw thrown
    }
    return threads
  }

  /** The checksums that the job asks for. @throws TroupeError `unavailable` */
  run(job: Omit<ThreadJob, 'id'>): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#lastId += 1
      this.#give({ ...job, id: this.#lastId, attempts: 0, resolve, reject })
    })
  }

  /** Cuts what runs. Resolves when no thread is left. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#lanes].map((lane) => lane.end()))
  }

  #give(job: Job): void {
    if (this.#isClosed) {
      job.reject(new TroupeError('unavailable', 'the erasure code is closed'))
      return
    }
    while (this.#lanes.size < this.#count) {
      this.#begin().ready.catch(() => {
        // Its jobs tell.
      })
    }
    const [first, ...others] = this.#lanes
    others.reduce((least, lane) => (lane.bytes < least.bytes ? lane : least), first!).take(job)
  }

  #begin(): Lane {
    const lane = new Lane((jobs, why) => {
      this.#lanes.delete(lane)
      for (const job of jobs) this.#again(job, why)
    })
    this.#lanes.add(lane)
    return lane
  }

  #again(job: Job, why: string): void {
    if (this.#isClosed || job.attempts < ATTEMPTS_MAX) {
      this.#give(job)
      return
    }
    const what = `a job of the erasure code ended ${job.attempts} threads`
    job.reject(new TroupeError('unavailable', `${what}: ${why}`))
  }
}

/** One thread and the jobs that it has. */
class Lane {
  readonly #worker = startThread(import.meta.url, 'thread')
  readonly #jobs = new Map<number, Job>()
  /** Rejects when the thread ends before it could begin. */
  readonly ready: Promise<void>
  bytes = 0

  constructor(onGone: (jobs: Job[], why: string) => void) {
    let why = 'it ended'
    this.#worker.on('error', (error) => {
      why = error.message
    })
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: ThreadAnswer | 'ready') => {
        if (message === 'ready') resolve()
        else this.#answered(message)
      })
      this.#worker.on('exit', () => {
        reject(new TroupeError('unavailable', `a thread of the erasure code died: ${why}`))
        onGone([...this.#jobs.values()], why)
      })
    })
    // A thread that has nothing to do keeps no process alive; until it is ready, somebody waits for it.
    this.ready.then(
      () => this.#jobs.size === 0 && this.#worker.unref(),
      () => undefined,
    )
  }

  take(job: Job): void {
    job.attempts += 1
    this.#jobs.set(job.id, job)
    this.bytes += job.memory.byteLength
    this.#worker.ref()
    const { id, memory, shardBytes, steps, checksums } = job
    this.#worker.postMessage({ id, memory, shardBytes, steps, checksums } satisfies ThreadJob)
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  #answered({ id, checksums }: ThreadAnswer): void {
    const job = this.#jobs.get(id)
    if (!job) return
    this.#jobs.delete(id)
    this.bytes -= job.memory.byteLength
    if (this.#jobs.size === 0) this.#worker.unref()
    job.resolve(checksums)
  }
}
