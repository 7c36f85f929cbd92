/**
 * The standbys of this node that have much to read, as after the death of another node: all at once they
 * would take the time that the shards need which nobody serves.
 *
 * Decides: how many read at the same time, the others in the order in which they asked; and that none begins while
 * this node takes a shard, which lasts for so long at most: a take may wait for the records of
 * somebody who is away. Leaves to others: what is much, and what is read (standby.ts).
 */
import type { Clock } from '../ports/index.ts'
import type { ClusterLimits } from './limits.ts'

export interface CatchUpsDeps {
  clock: Clock
  limits: ClusterLimits
}

export class CatchUps {
  readonly #deps: CatchUpsDeps
  /** In the order in which they asked. */
  readonly #waiting = new Set<() => void>()
  #running = 0
  #holds = 0

  constructor(deps: CatchUpsDeps) {
    this.#deps = deps
  }

  /** `begin` is called once, but not before this returns. @returns gives the turn back, whether it has begun or not */
  enter(begin: () => void): () => void {
    let state: 'waits' | 'runs' | 'ended' = 'waits'
    const run = () => {
      state = 'runs'
      this.#running += 1
      begin()
    }
    this.#waiting.add(run)
    this.#deps.clock.defer(() => this.#goOn())
    return () => {
      if (state === 'waits') this.#waiting.delete(run)
      const hasRun = state === 'runs'
      state = 'ended'
      if (!hasRun) return
      this.#running -= 1
      this.#goOn()
    }
  }

  /** None begins until it is told to go on, and a rest longer; or the time is up. @returns lets them go on */
  hold(): () => void {
    const { clock, limits } = this.#deps
    this.#holds += 1
    const end = () => {
      this.#holds -= 1
      this.#goOn()
    }
    const isOverAtMs = clock.monotonic() + limits.catchUpHoldMs
    const cancel = clock.after(limits.catchUpHoldMs, end)
    let isTold = false
    return () => {
      if (isTold || clock.monotonic() + limits.catchUpRestMs >= isOverAtMs) return
      isTold = true
      cancel()
      clock.after(limits.catchUpRestMs, end)
    }
  }

  #goOn(): void {
    for (const run of this.#waiting) {
      if (this.#holds > 0 || this.#running >= this.#deps.limits.catchUpsAtOnce) return
      this.#waiting.delete(run)
      run()
    }
  }
}
