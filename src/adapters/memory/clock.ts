/**
 * Time that moves only when a test or the simulator moves it.
 *
 * Decides: the order of things. Deferred calls come first, in order; then timers by due time, those
 * of equal due time by the order in which they were set; deferred calls run after each timer.
 * Leaves to others: promises. `settle` gives them room for code at the rim that uses them.
 */
import type { Clock } from '../../ports/index.ts'
import { Heap } from './heap.ts'

/** Calls without time passing before a loop is suspected. */
const CALLS_MAX = 10_000_000

interface Timer {
  dueMs: number
  order: number
  call: (() => void) | undefined
}

export interface VirtualClockOptions {
  /** Unix ms at the start. */
  startMs?: number
}

export class VirtualClock implements Clock {
  private elapsedMs = 0
  private wallOffsetMs: number
  private deferred: (() => void)[] = []
  private readonly timers = new Heap<Timer>(
    (a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order),
  )
  private timersSet = 0

  constructor(options: VirtualClockOptions = {}) {
    this.wallOffsetMs = options.startMs ?? Date.UTC(2026, 0, 1)
  }

  now(): number {
    return this.wallOffsetMs + this.elapsedMs
  }

  monotonic(): number {
    return this.elapsedMs
  }

  after(delayMs: number, call: () => void): () => void {
    const dueMs = this.elapsedMs + Math.max(0, delayMs)
    const timer: Timer = { dueMs, order: this.timersSet++, call }
    this.timers.push(timer)
    return () => {
      timer.call = undefined
    }
  }

  defer(call: () => void): void {
    this.deferred.push(call)
  }

  /** Lets the wall clock jump; timers and `monotonic` do not notice. */
  jumpWall(byMs: number): void {
    this.wallOffsetMs += byMs
  }

  /** Moves time on by `ms`; everything that is due on the way runs at its own time. */
  advance(ms: number): void {
    const untilMs = this.elapsedMs + ms
    this.runUntilIdle()
    for (let due = this.nextDueMs(); due !== undefined && due <= untilMs; due = this.nextDueMs()) {
      this.elapsedMs = Math.max(this.elapsedMs, due)
      this.runUntilIdle()
    }
    this.elapsedMs = untilMs
  }

  /** Jumps to the next timer and runs what is due then; false when there is none. */
  advanceToNext(): boolean {
    const due = this.nextDueMs()
    if (due === undefined) return false
    this.advance(Math.max(0, due - this.elapsedMs))
    return true
  }

  /** Runs deferred calls and timers that are due now until none is left. Time stands still. */
  runUntilIdle(): void {
    let calls = this.runDeferred()
    for (let due = this.nextDueMs(); due !== undefined && due <= this.elapsedMs; ) {
      const timer = this.timers.pop()!
      const call = timer.call!
      timer.call = undefined
      call()
      calls += 1 + this.runDeferred()
      if (calls > CALLS_MAX) throw new Error('virtual time stands still: a loop of calls')
      due = this.nextDueMs()
    }
  }

  /** As `advance`, with room for promises before, between and after; for code at the rim. */
  async settle(ms = 0): Promise<void> {
    const untilMs = this.elapsedMs + ms
    await this.idle()
    for (let due = this.nextDueMs(); due !== undefined && due <= untilMs; due = this.nextDueMs()) {
      this.elapsedMs = Math.max(this.elapsedMs, due)
      await this.idle()
    }
    this.elapsedMs = Math.max(this.elapsedMs, untilMs)
  }

  private async idle(): Promise<void> {
    do {
      this.runUntilIdle()
      await new Promise<void>((resolve) => setImmediate(resolve))
    } while (this.deferred.length > 0)
  }

  private runDeferred(): number {
    let calls = 0
    while (this.deferred.length > 0) {
      const batch = this.deferred
      this.deferred = []
      let next = 0
      try {
        while (next < batch.length) batch[next++]!()
      } finally {
        if (next < batch.length) this.deferred = [...batch.slice(next), ...this.deferred]
      }
      calls += next
      if (calls > CALLS_MAX) throw new Error('virtual time stands still: a loop of deferred calls')
    }
    return calls
  }

  private nextDueMs(): number | undefined {
    for (;;) {
      const timer = this.timers.peek()
      if (timer === undefined) return undefined
      if (timer.call !== undefined) return timer.dueMs
      this.timers.pop()
    }
  }
}
