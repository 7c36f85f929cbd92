/** One alarm on the monotonic clock: the other may jump, and what is planned does not jump with it. */
import type { Clock } from '../ports/index.ts'

export class Wake {
  readonly #clock: Clock
  readonly #call: () => void
  #cancel: (() => void) | undefined
  #atMs = Number.POSITIVE_INFINITY

  constructor(clock: Clock, call: () => void) {
    this.#clock = clock
    this.#call = call
  }

  /** An earlier alarm stays. */
  at(wakeAtMs: number): void {
    if (this.#cancel && wakeAtMs >= this.#atMs) return
    this.#cancel?.()
    this.#atMs = wakeAtMs
    this.#cancel = this.#clock.after(wakeAtMs - this.#clock.monotonic(), () => {
      this.#cancel = undefined
      this.#atMs = Number.POSITIVE_INFINITY
      this.#call()
    })
  }

  stop(): void {
    this.#cancel?.()
  }
}
