/**
 * What the owner remembers of running tasks beside their rows: heartbeats and progress. Lost with the
 * owner on purpose: a new one grants every running task a full lease first.
 *
 * Decides: that a worker is heard when its command arrives. A commit may take longer than a lease, and
 * a worker whose commands wait behind it is not silent.
 */
import type { Clock } from '../ports/index.ts'

export class Leases {
  readonly #clock: Clock
  readonly #beats = new Map<string, { at: number; progress: unknown }>()
  /** Commands of a running attempt that arrived and were not looked at yet, by task. */
  readonly #arrived = new Map<string, number>()
  #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  /** The shard was taken: all running tasks have a full lease from now on. */
  begin(): void {
    this.#since = this.#clock.monotonic()
  }

  /** A command of the present attempt waits to be looked at. */
  arrived(taskId: string): void {
    this.#arrived.set(taskId, (this.#arrived.get(taskId) ?? 0) + 1)
  }

  /** It is looked at now. */
  taken(taskId: string): void {
    const left = (this.#arrived.get(taskId) ?? 0) - 1
    if (left > 0) this.#arrived.set(taskId, left)
    else this.#arrived.delete(taskId)
  }

  beat(taskId: string, progress: unknown): void {
    const known = this.#beats.get(taskId)
    const at = this.#clock.monotonic()
    this.#beats.set(taskId, { at, progress: progress === undefined ? known?.progress : progress })
  }

  /** Milliseconds since the task's worker was heard, or since this owner began. */
  silenceMs(taskId: string): number {
    if (this.#arrived.has(taskId)) return 0
    return this.#clock.monotonic() - (this.#beats.get(taskId)?.at ?? this.#since)
  }

  progress(taskId: string): unknown {
    return this.#beats.get(taskId)?.progress
  }

  forget(taskId: string): void {
    this.#beats.delete(taskId)
  }
}
