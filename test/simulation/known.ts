/**
 * Defects that are known and not mended yet: a seed that shows one of them is told apart from a new
 * failure. Decides: the list. Each entry goes with the mending of its defect.
 */
import type { Violation } from './events.ts'

interface Known {
  checker: string
  text: RegExp
  why: string
}

const KNOWN: readonly Known[] = [
  {
    checker: 'liveness',
    text: /nobody serves shard \d+; \S+ has seen a view that is gone/,
    why: 'src/cluster/leader.ts: a view that its leader took for itself and could not write is remembered by that node for ever; the next leader finds nothing to change and writes no newer one',
  },
]

/** What follows from a known defect is not told apart: such a seed says nothing else. */
export function whyKnown(violations: readonly Violation[]): string | undefined {
  for (const { checker, what } of violations) {
    const known = KNOWN.find((one) => one.checker === checker && one.text.test(what))
    if (known) return known.why
  }
  return undefined
}
