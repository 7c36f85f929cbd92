/**
 * Everything that a worker has under way for its attempts, each from its delivery to the owner's last
 * answer. Decides: that what fails unforeseen is logged and keeps nobody else, and how its end is waited
 * for. Leaves to others: what is done.
 */
import type { Clock, Log } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'

export class WorkUnderWay {
  readonly #clock: Clock
  readonly #log: Log
  readonly #work = new Set<Promise<void>>()

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  get size(): number {
    return this.#work.size
  }

  add(work: Promise<void>): void {
    const tracked = work
      .catch((cause: unknown) => {
        const error = toErrorRecord(cause)
        this.#log.error({ error }, 'an attempt waits for a restart of the worker')
      })
      .finally(() => {
        this.#work.delete(tracked)
      })
    this.#work.add(tracked)
  }

  /** Resolves when there is none, also of what came meanwhile. */
  async ended(): Promise<void> {
    while (this.size > 0) await Promise.all(this.#work)
  }

  /** Looks at each end whether it is `enough`, for at most `withinMs`. */
  async settled(withinMs: number, enough: () => boolean): Promise<void> {
    let over = false
    let cancel = () => {}
    const limit = new Promise<void>((resolve) => {
      cancel = this.#clock.after(withinMs, () => {
        over = true
        resolve()
      })
    })
    while (!over && !enough()) await Promise.race([limit, ...this.#work])
    cancel()
  }
}
