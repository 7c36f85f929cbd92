/**
 * The timers of a shard that fall due soon, in memory; the rest waits in the store.
 *
 * Decides: which part of the timer table is in memory: everything before a boundary. It moves ahead of
 * the clock when nothing is left before it, and comes nearer when too much is. An entry is only a hint:
 * whether a timer still stands is asked of the actor.
 */
import type { Store } from '../ports/index.ts'
import type { Limits } from '../protocol/index.ts'
import { parseTimerKey, TABLE, tableRange, timerBound } from './keys.ts'

export interface DueTimer {
  dueAt: number
  effectId: string
}

export class TimerQueue {
  readonly #shard: number
  readonly #store: Store
  readonly #limits: Pick<Limits, 'timerHorizonMs' | 'timerLoadCountMax'>
  #heap: DueTimer[] = []
  /** More than this in memory are too many. */
  #heldMax: number
  /** Rows that are due before this are in memory. */
  #boundaryMs = 0

  constructor(
    shard: number,
    store: Store,
    limits: Pick<Limits, 'timerHorizonMs' | 'timerLoadCountMax'>,
  ) {
    this.#shard = shard
    this.#store = store
    this.#limits = limits
    this.#heldMax = 2 * limits.timerLoadCountMax
  }

  get count(): number {
    return this.#heap.length
  }

  /** A timer was committed. */
  add(timer: DueTimer): void {
    if (timer.dueAt >= this.#boundaryMs) return
    this.#push(timer)
    if (this.#heap.length > this.#heldMax) this.#shrink()
  }

  /** Everything due at `now`, at most `countMax`, in order. */
  takeDue(now: number, countMax: number): DueTimer[] {
    const due: DueTimer[] = []
    while (due.length < countMax) {
      this.#load(now)
      const first = this.#heap[0]
      if (!first || first.dueAt > now) break
      due.push(first)
      this.#pop()
    }
    return due
  }

  /** When to look again, in unix ms; within half of the horizon, also for a clock that jumps. */
  nextWakeAt(now: number): number {
    this.#load(now)
    const next = this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY
    return Math.min(next, now + this.#limits.timerHorizonMs / 2)
  }

  /**
   * Moves the boundary when nothing is left before it, and it less than half of the horizon away: what
   * lies behind it is later than all that is in memory.
   */
  #load(now: number): void {
    const { timerHorizonMs, timerLoadCountMax } = this.#limits
    if (this.#heap.length > 0 || this.#boundaryMs - now > timerHorizonMs / 2) return
    const until = now + timerHorizonMs
    const from =
      this.#boundaryMs === 0
        ? tableRange(this.#shard, TABLE.timer).from
        : timerBound(this.#shard, this.#boundaryMs)
    let loaded = 0
    let last = 0
    for (const { key } of this.#store.range({ from, to: timerBound(this.#shard, until) })) {
      const timer = parseTimerKey(key)
      // A crowd due in one and the same millisecond is never split.
      if (loaded >= timerLoadCountMax && timer.dueAtMs > last) {
        this.#boundaryMs = timer.dueAtMs
        return
      }
      this.#push({ dueAt: timer.dueAtMs, effectId: timer.effectId })
      last = timer.dueAtMs
      loaded += 1
    }
    this.#boundaryMs = until
  }

  /** Many are set for soon: the later ones wait in the store after all. */
  #shrink(): void {
    const { timerLoadCountMax } = this.#limits
    // What is in order is a heap.
    const sorted = this.#heap.sort((a, b) => a.dueAt - b.dueAt)
    const boundary = sorted[timerLoadCountMax]?.dueAt ?? 0
    // A crowd due in one and the same millisecond is never split.
    if (boundary > (sorted[0]?.dueAt ?? 0)) {
      this.#heap = sorted.filter(({ dueAt }) => dueAt < boundary)
      this.#boundaryMs = boundary
    }
    this.#heldMax = Math.max(2 * timerLoadCountMax, 2 * this.#heap.length)
  }

  #push(timer: DueTimer): void {
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (!above || above.dueAt <= timer.dueAt) break
      heap[at] = above
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const left = heap[child]
      if (!left) break
      const right = heap[child + 1]
      if (right && right.dueAt < left.dueAt) child += 1
      const smaller = heap[child]
      if (!smaller || smaller.dueAt >= last.dueAt) break
      heap[at] = smaller
      at = child
    }
    heap[at] = last
  }
}
