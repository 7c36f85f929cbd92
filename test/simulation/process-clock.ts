/**
 * One simulated process as time sees it: its view of the clock, and whether it runs at all.
 *
 * Decides: how a clock drifts and jumps; that everything which reaches a frozen process waits and
 * runs late, in order; that nothing reaches a dead one. Leaves to others: when these things happen.
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Clock } from '../../src/ports/index.ts'

export interface ClockView {
  /** Milliseconds that the wall clock is ahead. */
  skewMs: number
  /** Seconds of this clock per second; 1 is exact. */
  rate: number
}

export class ProcessClock implements Clock {
  readonly #base: VirtualClock
  readonly #view: ClockView
  readonly #startedAt: number
  #held: (() => void)[] | undefined
  #thawing = false
  #dead = false
  /** Steps left until `tripped` is called: between any two of them something may befall a process. */
  #stepsLeft = Number.POSITIVE_INFINITY
  #tripped: () => void = () => {}

  constructor(base: VirtualClock, view: ClockView) {
    this.#base = base
    this.#view = view
    this.#startedAt = base.monotonic()
  }

  get isDead(): boolean {
    return this.#dead
  }

  get isFrozen(): boolean {
    return this.#held !== undefined && !this.#thawing
  }

  now(): number {
    return Math.floor(this.#base.now() + this.#view.skewMs + this.#drift())
  }

  monotonic(): number {
    return this.#base.monotonic() + this.#drift()
  }

  after(delayMs: number, call: () => void): () => void {
    let cancelled = false
    const cancel = this.#base.after(Math.max(0, delayMs) / this.#view.rate, () => {
      this.enter(() => {
        if (!cancelled) call()
      })
    })
    return () => {
      cancelled = true
      cancel()
    }
  }

  defer(call: () => void): void {
    this.#base.defer(() => this.enter(call))
  }

  /** Something reaches the process: now, when it thaws, or never. */
  enter(call: () => void): void {
    if (this.#dead) return
    if (this.#held !== undefined) {
      this.#held.push(call)
      return
    }
    this.#run(call)
  }

  jump(byMs: number): void {
    this.#view.skewMs += byMs
  }

  /** After so many steps more, between two of them. */
  tripAfter(steps: number, tripped: () => void): void {
    this.#stepsLeft = steps
    this.#tripped = tripped
  }

  freeze(): void {
    this.#held ??= []
    this.#thawing = false
  }

  /** What waited comes first, in its order; what arrives meanwhile stands behind it. */
  thaw(): void {
    if (this.#held === undefined || this.#thawing) return
    this.#thawing = true
    this.#base.defer(() => this.#drain())
  }

  die(): void {
    this.#dead = true
    this.#held = undefined
  }

  #drain(): void {
    while (this.#thawing && this.#held !== undefined) {
      const next = this.#held.shift()
      if (next === undefined) {
        this.#held = undefined
        this.#thawing = false
        return
      }
      this.#run(next)
    }
  }

  #run(call: () => void): void {
    call()
    this.#stepsLeft -= 1
    if (this.#stepsLeft > 0 || this.#dead) return
    this.#stepsLeft = Number.POSITIVE_INFINITY
    this.#tripped()
  }

  #drift(): number {
    return (this.#base.monotonic() - this.#startedAt) * (this.#view.rate - 1)
  }
}
