/**
 * Many deadlines of one length with one timer: because all wait equally long, the first to be added
 * is the first to expire. Adding and removing are O(1) and leave nothing behind.
 */
import type { Clock } from '../../ports/index.ts'

/** What waits; the list links its items itself, one list per item at a time. */
export interface Waiter {
  dueMs: number
  earlier: Waiter | undefined
  later: Waiter | undefined
}

export class Deadlines<T extends Waiter> {
  private readonly clock: Clock
  private readonly waitMs: number
  private readonly expired: (waiter: T) => void
  private first: T | undefined
  private last: T | undefined
  private cancelTimer: (() => void) | undefined

  constructor(clock: Clock, waitMs: number, expired: (waiter: T) => void) {
    this.clock = clock
    this.waitMs = waitMs
    this.expired = expired
  }

  get empty(): boolean {
    return this.first === undefined
  }

  /** The waiter expires `waitMs` from now unless it is removed; adding again starts anew. */
  add(waiter: T): void {
    this.unlink(waiter)
    waiter.dueMs = this.clock.monotonic() + this.waitMs
    waiter.earlier = this.last
    if (this.last === undefined) this.first = waiter
    else this.last.later = waiter
    this.last = waiter
    if (this.cancelTimer === undefined) this.arm(waiter.dueMs)
  }

  remove(waiter: T): void {
    this.unlink(waiter)
    // An armed timer would keep an idle process alive.
    if (this.first === undefined) this.disarm()
  }

  /** Takes all off the list and returns them. */
  clear(): T[] {
    const waiters: T[] = []
    while (this.first !== undefined) {
      waiters.push(this.first)
      this.unlink(this.first)
    }
    this.disarm()
    return waiters
  }

  private disarm(): void {
    this.cancelTimer?.()
    this.cancelTimer = undefined
  }

  private arm(dueMs: number): void {
    this.cancelTimer = this.clock.after(dueMs - this.clock.monotonic(), () => {
      this.cancelTimer = undefined
      try {
        const nowMs = this.clock.monotonic()
        while (this.first !== undefined && this.first.dueMs <= nowMs) {
          const waiter = this.first
          this.unlink(waiter)
          this.expired(waiter)
        }
      } finally {
        if (this.first !== undefined && this.cancelTimer === undefined) this.arm(this.first.dueMs)
      }
    })
  }

  private unlink(waiter: T): void {
    if (waiter.earlier === undefined && waiter !== this.first) return
    if (waiter.earlier === undefined) this.first = waiter.later as T | undefined
    else waiter.earlier.later = waiter.later
    if (waiter.later === undefined) this.last = waiter.earlier as T | undefined
    else waiter.later.earlier = waiter.earlier
    waiter.earlier = undefined
    waiter.later = undefined
  }
}
