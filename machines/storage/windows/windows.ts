/**
 * What happened in each of the last twenty minutes, as a value that an actor keeps: so it survives restarts.
 *
 * Decides: which minute counts where, what is too old to count, and how a window is printed (as the reference
 * prints it). Leaves to others: what is counted, and what time it is.
 */
import { z } from 'zod'

export const SLOTS = 20
const MINUTE_MS = 60_000
/** A slot that is so far ahead was written by a clock that was wrong: it counts for nothing. */
const LATE_MINUTES_MAX = 60

const slots = z.array(z.number().min(0)).length(SLOTS)
/** A slot holds the minute that it counts for: one that is older is simply taken over. */
export const windowSchema = z.object({ minutes: slots, counts: slots })
export type Window = z.output<typeof windowSchema>

export const NO_WINDOW: Window = {
  minutes: new Array<number>(SLOTS).fill(0),
  counts: new Array<number>(SLOTS).fill(0),
}

/** @param at unix ms: when it happened */
export function addTo(window: Window, at: number, n: number): Window {
  if (n === 0) return window
  const minute = minuteOf(at)
  const slot = minute % SLOTS
  const stamp = window.minutes[slot] ?? 0
  // What comes so late that its slot counts for another minute by now is in no window any more.
  if (stamp > minute && stamp - minute <= LATE_MINUTES_MAX) return window
  const before = stamp === minute ? (window.counts[slot] ?? 0) : 0
  return {
    minutes: window.minutes.with(slot, minute),
    counts: window.counts.with(slot, before + n),
  }
}

/** Twenty numbers, the oldest first; the last is of the minute of `at`, which is not over. */
export function shown(window: Window, at: number): number[] {
  const last = minuteOf(at)
  return Array.from({ length: SLOTS }, (_, n) => {
    const minute = last - SLOTS + 1 + n
    const slot = ((minute % SLOTS) + SLOTS) % SLOTS
    return window.minutes[slot] === minute ? (window.counts[slot] ?? 0) : 0
  })
}

/** `[0 0 … 12]` */
export function printed(numbers: readonly number[]): string {
  return `[${numbers.join(' ')}]`
}

/** `[0.000B 1.500KB … 3.000MB]` */
export function printedBytes(numbers: readonly number[]): string {
  return `[${numbers.map(bytesText).join(' ')}]`
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const

function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value.toFixed(3)}${UNITS[unit]}`
}

function minuteOf(at: number): number {
  return Math.floor(at / MINUTE_MS)
}
