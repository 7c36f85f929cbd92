/**
 * When bytes of deleted blobs may go on this node. Decides: the hours, and the rate. Nobody waits here:
 * whoever comes too early, or when others are before it, is told a time that is its own, and comes again
 * then, on a timer of its actor.
 */
import type { Clock } from '../../../../src/index.ts'
import type { DeleteHours } from './limits.ts'

/** So much of a second goes at once where nothing went before: a timer for each would cost more than it. */
const BURST_MS = 100

export interface Turn {
  /** Unix ms; null: now. */
  until: number | null
  /** Why not now. */
  why: string | null
}

const NOW: Turn = { until: null, why: null }

export class DeletePace {
  readonly #clock: Pick<Clock, 'now'>
  readonly #hours: DeleteHours
  readonly #gapMs: number
  /** The first time that nobody was told yet. */
  #nextFree = 0
  /** What went last, and a gap: whoever was told a time by another node, or before a restart, counts, too. */
  #nextGo = 0

  constructor({
    clock,
    hours,
    perSecond,
  }: {
    clock: Pick<Clock, 'now'>
    hours: DeleteHours
    perSecond: number
  }) {
    this.#clock = clock
    this.#hours = hours
    this.#gapMs = 1_000 / perSecond
  }

  /** @param told the time that it was told before, or null */
  ask(told: number | null): Turn {
    const now = this.#clock.now()
    const opensAt = openingOf(this.#hours, now)
    if (opensAt > now) return this.#later(opensAt, hoursText(this.#hours))
    const isItsTime = told !== null && told <= now
    const isFree = isItsTime || this.#nextFree <= now + BURST_MS
    if (!isFree || this.#nextGo > now + BURST_MS) return this.#later(now, this.#rateText())
    if (!isItsTime) this.#nextFree = Math.max(this.#nextFree, now) + this.#gapMs
    this.#nextGo = Math.max(this.#nextGo, now) + this.#gapMs
    return NOW
  }

  #later(from: number, why: string): Turn {
    const at = openingOf(this.#hours, Math.max(from, this.#nextFree, this.#nextGo))
    this.#nextFree = at + this.#gapMs
    return { until: Math.ceil(at), why }
  }

  #rateText(): string {
    return `others are before it: ${Math.round(1_000 / this.#gapMs)} deletions a second (deletesPerSecond)`
  }
}

/** The first moment from `at` on at which the hours are open; `at` itself where they are. */
export function openingOf({ from, to }: DeleteHours, at: number): number {
  const here = new Date(at)
  const hour = here.getHours()
  const isOpen = from < to ? from <= hour && hour < to : hour >= from || hour < to
  if (isOpen) return at
  here.setHours(from, 0, 0, 0)
  if (here.getTime() <= at) here.setDate(here.getDate() + 1)
  return here.getTime()
}

function hoursText({ from, to }: DeleteHours): string {
  return `bytes are deleted from ${from} to ${to} o'clock only (deleteHours)`
}
