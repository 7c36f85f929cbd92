/**
 * A position in a chart as text. Decides: that it is the sorted list of its leaves, joined by `|`. Leaves to others:
 * which positions a chart has (chart.ts).
 */
import type { StateValue } from '../protocol/index.ts'

/** The leaves of a position as paths, sorted: `['running.build', 'watch.on']`. */
export function leavesOf(value: StateValue): string[] {
  if (typeof value === 'string') return [value]
  const leaves: string[] = []
  for (const [key, below] of Object.entries(value)) {
    const inner = leavesOf(below)
    if (inner.length === 0) leaves.push(key)
    for (const leaf of inner) leaves.push(`${key}.${leaf}`)
  }
  return leaves.sort()
}

/** A position as one text, for indexes and people. */
export function stateText(value: StateValue): string {
  return typeof value === 'string' ? value : leavesOf(value).join('|')
}

/** True when a position (as text) lies in the state at `path`. */
export function isInState(text: string, path: string): boolean {
  return text.split('|').some((leaf) => leaf === path || leaf.startsWith(`${path}.`))
}
