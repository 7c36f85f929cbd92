/**
 * Heartbeats of window proofs under way. Decides: that the manager hears of a job from its allocation to its
 * end, also while its thread waits for a place. A thread that nobody hears of any more lets its job go.
 */
import type { Clock, Log } from '../../../src/index.ts'
import type { ManagerCalls } from '../venus/index.ts'
import { causeChain } from './failures.ts'

/** A fifth of what the manager waits for one. */
const BEAT_MS = 3_000
/** Without a step of the thread for so long it is paused, or gone: others may have the job. */
const QUIET_MS_MAX = 10 * 60_000

interface Beating {
  jobId: string
  /** By the monotonic clock. */
  untilMs: number
}

export interface HeartbeatsDeps {
  manager: ManagerCalls
  workerName: string
  clock: Clock
  log: Log
}

export class Heartbeats {
  readonly #deps: HeartbeatsDeps
  /** By thread. */
  readonly #beating = new Map<string, Beating>()
  #cancel: (() => void) | undefined

  constructor(deps: HeartbeatsDeps) {
    this.#deps = deps
  }

  /** Begins, or goes on for another while. */
  keep(thread: string, jobId: string, forMs = QUIET_MS_MAX): void {
    this.#beating.set(thread, { jobId, untilMs: this.#deps.clock.monotonic() + forMs })
    if (this.#cancel) return
    this.#beat()
  }

  end(thread: string): void {
    this.#beating.delete(thread)
    if (this.#beating.size === 0) this.stop()
  }

  stop(): void {
    this.#beating.clear()
    this.#cancel?.()
    this.#cancel = undefined
  }

  #beat(): void {
    const { manager, workerName, clock, log } = this.#deps
    const now = clock.monotonic()
    for (const [thread, { untilMs }] of this.#beating) {
      if (untilMs <= now) this.#beating.delete(thread)
    }
    if (this.#beating.size === 0) return this.stop()
    const ids = [...this.#beating.values()].map(({ jobId }) => jobId)
    // A beat that is lost is followed by another one.
    manager.call('WdPoStHeartbeatJobs', [ids, workerName]).catch((thrown: unknown) => {
      log.debug({ error: causeChain(thrown) }, 'a heartbeat of window proofs was lost')
    })
    this.#cancel = clock.after(BEAT_MS, () => this.#beat())
  }
}
