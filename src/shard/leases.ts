/**
 * What the owner remembers of running tasks beside their rows: heartbeats and progress. Lost with the
 * owner on purpose: a new one grants every running task a full lease first.
 */
import type { Clock } from '../ports/index.ts'

export class Leases {
  readonly #clock: Clock
  readonly #beats = new Map<string, { at: number; progress: unknown }>()
  readonly #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  beat(taskId: string, progress: unknown): void {
    const known = this.#beats.get(taskId)
    const at = this.#clock.monotonic()
    this.#beats.set(taskId, { at, progress: progress === undefined ? known?.progress : progress })
  }

  /** Milliseconds since the task's worker was heard, or since this owner began. */
  silenceMs(taskId: string): number {
    return this.#clock.monotonic() - (this.#beats.get(taskId)?.at ?? this.#since)
  }

  progress(taskId: string): unknown {
    return this.#beats.get(taskId)?.progress
  }

  forget(taskId: string): void {
    this.#beats.delete(taskId)
  }
}
