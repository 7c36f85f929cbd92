/** P5: every acknowledged timer fired, once, and not before it was due. */
import type { HistoryEntry } from './history-without-gaps.ts'

export interface ArmedTimer {
  ref: string
  dueAt: number
}

/**
 * The n-th `RING` of the history belongs to the n-th reference that fired. An actor's own clock set
 * the timer after the caller had looked at its clock, so the caller's time is a lower bound.
 */
export function timersOnceAndNotEarly(
  address: string,
  armed: readonly ArmedTimer[],
  fired: readonly string[],
  history: readonly HistoryEntry[],
): string[] {
  const found: string[] = []
  const rings = [...history].reverse().filter((entry) => entry.cause === 'RING')
  if (rings.length !== fired.length) {
    found.push(`${address}: ${fired.length} timers took effect, the history has ${rings.length}`)
  }
  for (const { ref, dueAt } of armed) {
    const times = fired.filter((candidate) => candidate === ref).length
    if (times !== 1) found.push(`${address}: timer ${ref} fired ${times} times`)
    const at = rings[fired.indexOf(ref)]?.at
    if (at !== undefined && at < dueAt)
      found.push(`${address}: timer ${ref} fired ${dueAt - at} ms early`)
  }
  return found
}
