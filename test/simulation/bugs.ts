/**
 * Would anybody notice? Deliberate bugs, each of which some checker has to catch within some seeds.
 *
 * Decides: what counts as caught. Leaves to others: the bugs (bug-list.ts), the table of who caught
 * what (bug-table.ts), making a copy of the sources with a bug in it (mutants.ts).
 */

import { BUGS, type Bug } from './bug-list.ts'
import { type Caught, writeBugTable } from './bug-table.ts'
import { mutated } from './mutants.ts'
import type { SimOptions } from './options.ts'
import { type Parts, REAL } from './parts.ts'
import { runSeed } from './run.ts'

export async function partsOf({ replacements, parts }: Bug): Promise<Parts> {
  const base = replacements ? await mutated(replacements) : REAL
  return { ...base, ...parts }
}

/** The first seed at which any checker says no, and said nothing of the real parts. */
export async function hunt(bug: Bug, seeds: [number, number], virtualMs: number): Promise<Caught> {
  const parts = await partsOf(bug)
  const [from, to] = seeds
  const tune = bug.tune === undefined ? {} : { tune: bug.tune }
  // Only bugs that need them have drawn charts: the others are found in a smaller world.
  const given = { charts: false }
  for (let seed = from; seed <= to; seed++) {
    const { violations } = runSeed({ seed, given, virtualMs, parts, ...tune })
    const [first] = violations
    if (!first) continue
    // A seed on which the real parts fail as well says nothing of the bug.
    if (runSeed({ seed, given, virtualMs, parts: REAL, ...tune }).violations.length > 0) continue
    return { bug: bug.name, seeds: seed - from + 1, checker: first.checker }
  }
  return { bug: bug.name, seeds: to - from + 1, checker: undefined }
}

export async function runBugs(options: SimOptions, print: (text: string) => void): Promise<number> {
  const seeds = options.seeds ?? [1, 200]
  const { only } = options
  const chosen = BUGS.filter(({ name }) => only === undefined || name.includes(only))
  const all: Caught[] = []
  let missed = 0
  print(`${'bug'.padEnd(58)} ${'checker'.padEnd(24)} seeds`)
  for (const bug of chosen) {
    try {
      const caught = await hunt(bug, seeds, options.minutes * 60_000)
      all.push(caught)
      if (caught.checker === undefined) missed += 1
      const checker = caught.checker ?? 'NOT CAUGHT'
      print(`${bug.name.padEnd(58)} ${checker.padEnd(24)} ${caught.seeds}`)
    } catch (error) {
      // The sources have moved on: the bug has to be written anew.
      missed += 1
      print(`${bug.name.padEnd(58)} ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (options.write) {
    const names = BUGS.map(({ name }) => name)
    writeBugTable(names, all)
  }
  return missed > 0 ? 1 : 0
}
