/**
 * The clock of the operating system.
 *
 * Decides: what "after what is happening now" means. Deferred calls run in the check phase of the
 * event loop (setImmediate), once all I/O callbacks of this turn have run: Node runs microtasks and
 * `nextTick` after each single callback, so those would split the commands of one turn into as many
 * batches as there were socket reads. Calls deferred by deferred calls follow in the same turn, so that a
 * request costs one turn of the loop and not one for each of its hops; after a slice of time the rest
 * waits for the next turn, so that no chain of them can starve I/O.
 * Also: a timer is never early (Node's may fire up to a millisecond before its time).
 * Leaves to others: what is deferred or timed.
 */
import type { Clock } from '../../ports/index.ts'

/**
 * Deferred calls give way to the event loop after this long. A disk can then work on what the first
 * of them wrote while the others are still running, and sockets are not kept waiting.
 */
const SLICE_MS = 3

/** Node clamps longer delays to 1 ms. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1

export interface SystemClockOptions {
  /** Timers do not keep the process alive. Off by default: a pending timer is pending work. */
  unrefTimers?: boolean
}

export class SystemClock implements Clock {
  private readonly unrefTimers: boolean
  private deferred: (() => void)[] = []
  private armed = false
  private readonly drain = (): void => this.runDeferred()

  constructor(options: SystemClockOptions = {}) {
    this.unrefTimers = options.unrefTimers ?? false
  }

  now(): number {
    return Date.now()
  }

  monotonic(): number {
    return performance.now()
  }

  after(delayMs: number, call: () => void): () => void {
    const dueMs = performance.now() + Math.max(0, delayMs)
    let timer: NodeJS.Timeout
    const arm = (): void => {
      const leftMs = Math.ceil(dueMs - performance.now())
      timer = setTimeout(fire, Math.min(leftMs, TIMEOUT_MAX_MS))
      if (this.unrefTimers) timer.unref()
    }
    const fire = (): void => {
      if (performance.now() < dueMs) arm()
      else call()
    }
    arm()
    return () => clearTimeout(timer)
  }

  defer(call: () => void): void {
    this.deferred.push(call)
    this.arm()
  }

  private arm(): void {
    if (this.armed) return
    this.armed = true
    setImmediate(this.drain)
  }

  private runDeferred(): void {
    const yieldAt = performance.now() + SLICE_MS
    try {
      while (this.deferred.length > 0 && performance.now() < yieldAt) this.runRound(yieldAt)
    } finally {
      this.armed = false
      // A call that threw must not take those behind it along; its error goes on to the process.
      if (this.deferred.length > 0) this.arm()
    }
  }

  private runRound(yieldAt: number): void {
    const calls = this.deferred
    this.deferred = []
    let next = 0
    try {
      do calls[next++]!()
      while (next < calls.length && performance.now() < yieldAt)
    } finally {
      if (next < calls.length) this.deferred = [...calls.slice(next), ...this.deferred]
    }
  }
}
