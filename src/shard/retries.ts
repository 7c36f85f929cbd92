/**
 * Asking again what has no certain answer yet. Decides: how long the rests between tries are, and that
 * nobody is called any more after a stop. Leaves to others: what is asked, and what is certain.
 */
import type { Clock } from '../ports/index.ts'

/** The rest after the first try; it doubles with each further one. */
export interface Rests {
  firstMs: number
  maxMs: number
}

/** Doublings that count: beyond them every rest is the longest. */
const DOUBLINGS_MAX = 10

export class Retries {
  readonly #clock: Clock
  readonly #rests: Rests
  readonly #cancels = new Set<() => void>()
  #stopped = false

  constructor(clock: Clock, rests: Rests) {
    this.#clock = clock
    this.#rests = rests
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** From now on nothing is called. */
  stop(): void {
    this.#stopped = true
    for (const cancel of this.#cancels) cancel()
    this.#cancels.clear()
  }

  /** @param tries that were made before the one that is over */
  again(tries: number, call: () => void): void {
    const { firstMs, maxMs } = this.#rests
    const waitMs = Math.min(maxMs, firstMs * 2 ** Math.min(tries, DOUBLINGS_MAX))
    const cancel = this.#clock.after(waitMs, () => {
      this.#cancels.delete(cancel)
      if (!this.#stopped) call()
    })
    this.#cancels.add(cancel)
  }
}
