/**
 * The slot of an attempt that has ended, which its owner is offered for what the actor wants next.
 *
 * Decides: that nobody waits for it behind an owner that is silent: it is given back at the first try that fails,
 * once, and taken again should something have begun by then. Leaves to others: when one is offered (`worker.ts`).
 */
import type { Intake } from './intake.ts'

export class OfferedSlot {
  readonly #intake: Pick<Intake, 'reserve' | 'release'>
  readonly #worker: string
  #held = true

  constructor(intake: Pick<Intake, 'reserve' | 'release'>, worker: string) {
    this.#intake = intake
    this.#worker = worker
  }

  /** Who offers it; undefined once it was given back. */
  get worker(): string | undefined {
    return this.#held ? this.#worker : undefined
  }

  giveBack(): void {
    if (!this.#held) return
    this.#held = false
    this.#intake.release()
  }

  /** It is for what has begun. */
  take(): void {
    if (this.#held) return
    this.#held = true
    this.#intake.reserve()
  }
}
