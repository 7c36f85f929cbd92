/**
 * The children of one stage, and the requests that wait for a place in one.
 *
 * Decides: who is next (first come, first served over all children; who wants one certain child does not
 * hold up those behind), which child (the least loaded; for one that is down, any that needs the same locks,
 * since the pool has granted those), and when waiting is in vain because every child that could take it is
 * down. Leaves to others: the children (`lane.ts`).
 */
import type { Clock } from '../../../src/index.ts'
import { ProcessorError, type ProcessorErrorKind } from './errors.ts'
import type { Job } from './job.ts'
import type { Lane } from './lane.ts'

interface Waiter {
  job: Job
  /** The one to take while it is up. */
  wanted: Lane | undefined
  lanes: readonly Lane[]
  /** Set while all of `lanes` are down. */
  cancelTimer: (() => void) | undefined
}

export class StageLine {
  readonly stage: string
  readonly lanes: readonly Lane[]
  readonly #clock: Clock
  readonly #unhealthyWaitMs: number
  readonly #waiters = new Set<Waiter>()
  #taken = 0

  constructor(
    stage: string,
    lanes: readonly Lane[],
    { clock, unhealthyWaitMs }: { clock: Clock; unhealthyWaitMs: number },
  ) {
    this.stage = stage
    this.lanes = lanes
    this.#clock = clock
    this.#unhealthyWaitMs = unhealthyWaitMs
  }

  get waiting(): number {
    return this.#waiters.size
  }

  submit(job: Job): void {
    const { lane: name } = job.options
    const wanted = this.lanes.find((lane) => lane.name === name)
    if (name !== undefined && wanted === undefined) {
      return job.reject(this.#error('unhealthy', `${name} is not configured any more`))
    }
    const lanes = this.lanes.filter(({ locks }) => wanted === undefined || locks === wanted.locks)
    const waiter: Waiter = { job, wanted, lanes, cancelTimer: undefined }
    job.heldBy(() => this.#forget(waiter))
    this.#waiters.add(waiter)
    this.serve()
  }

  /** To be called whenever a lane has changed. */
  serve(): void {
    for (const waiter of this.#waiters) {
      const { wanted, lanes } = waiter
      const lane = leastLoaded(wanted?.isUp ? [wanted] : lanes)
      if (lane === undefined) {
        this.#watch(waiter)
        continue
      }
      this.#forget(waiter)
      this.#taken += 1
      lane.takenAt = this.#taken
      lane.take(waiter.job)
    }
  }

  /** Nothing is served any more. */
  stop(): void {
    for (const waiter of this.#waiters) {
      this.#forget(waiter)
      waiter.job.reject(this.#error('unhealthy', 'the daemon stops'))
    }
  }

  #watch(waiter: Waiter): void {
    if (waiter.lanes.some(({ isUp }) => isUp)) {
      waiter.cancelTimer?.()
      waiter.cancelTimer = undefined
      return
    }
    waiter.cancelTimer ??= this.#clock.after(this.#unhealthyWaitMs, () => {
      this.#forget(waiter)
      waiter.job.reject(this.#error('unhealthy', this.#whyDown(waiter.lanes)))
    })
  }

  #whyDown(lanes: readonly Lane[]): string {
    const whys = lanes.map(({ name, state, lastError }) => {
      return lastError === null
        ? `${name} is ${state}`
        : `${name} is ${state}: ${lastError.message}`
    })
    return `no child of ${this.stage} was up for ${this.#unhealthyWaitMs} ms: ${whys.join('; ')}`
  }

  #forget(waiter: Waiter): void {
    waiter.cancelTimer?.()
    this.#waiters.delete(waiter)
  }

  #error(kind: ProcessorErrorKind, message: string): ProcessorError {
    return new ProcessorError(kind, message, { stage: this.stage })
  }
}

/** By the part of its places that is free, so that children of different sizes fill alike. */
function leastLoaded(lanes: readonly Lane[]): Lane | undefined {
  const free = lanes.filter(({ room }) => room > 0)
  return free.reduce<Lane | undefined>((best, lane) => {
    if (best === undefined) return lane
    const by = lane.room / lane.concurrent - best.room / best.concurrent
    if (by !== 0) return by > 0 ? lane : best
    return lane.takenAt < best.takenAt ? lane : best
  }, undefined)
}
