/**
 * Checks the model of the slot journal, and that each rule is needed.
 *
 * Decides: what counts as a failure: an intact run that does not hold, a state that must be reachable
 * and is not, a rule whose removal finds nothing although it should, or finds the wrong thing.
 *
 *   npx tsx test/model/run.ts           the quick sizes, every rule taken away once
 *   npx tsx test/model/run.ts --full    the large sizes too (minutes and gigabytes)
 *   … --json                                     the results as one JSON document
 */
import { fileURLToPath } from 'node:url'
import { INTACT, MUTANTS, type Run, sizeOf, type Tier, WITNESSES } from './rules.ts'
import { check, type Found, missingTools } from './spin.ts'

export interface Result extends Found {
  kind: 'intact' | 'reachable' | 'without'
  name: string
  size: string
  storage: 'exact' | 'compact'
  /** Undefined when the result is as it should be. */
  problem: string | undefined
}

const QUICK = { minutesMax: 2, memoryMaxMB: 2_000 }
const INSTANT = { ...QUICK, length: 'instant' } as const
const FULL_MEMORY_MB = 6_000
/** Assertions about the model itself: they prove nothing about a rule. */
const OF_THE_MODEL = ['idsSuffice', 'unreachable']

/** One of the sizes at which the intact model must hold, and one state that must be reached. @param turn any number */
export function* oneOfEach(turn: number): Generator<Result> {
  const runs = INTACT.filter((run) => run.tier === 'quick')
  yield* held(runs.filter((_, index) => index === turn % runs.length))
  yield* reachable(WITNESSES.filter((_, index) => index === turn % WITNESSES.length))
}

export function* allQuickResults(): Generator<Result> {
  yield* intact('quick')
  yield* reachable(WITNESSES)
  yield* mutants()
}

function intact(tier: Tier): Generator<Result> {
  return held(INTACT.filter((run) => run.tier === tier))
}

function* held(runs: readonly Run[]): Generator<Result> {
  for (const { name, tier, configuration, storage, minutesMax } of runs) {
    const memoryMaxMB = tier === 'full' ? FULL_MEMORY_MB : QUICK.memoryMaxMB
    const length = tier === 'full' ? 'long' : 'short'
    const found = check({ configuration, switches: [], storage, minutesMax, memoryMaxMB, length })
    const problem = found.verdict === 'held' ? undefined : `${found.verdict}: ${found.what}`
    yield { ...found, kind: 'intact', name, size: sizeOf(configuration), storage, problem }
  }
}

function* reachable(witnesses: typeof WITNESSES): Generator<Result> {
  const storage = 'compact'
  for (const { name, switch: one, configuration } of witnesses) {
    const found = check({ configuration, switches: [one], storage, ...INSTANT })
    const isReached = found.what === 'unreachable'
    const problem = isReached ? undefined : `not reached: ${found.verdict} ${found.what}`
    yield { ...found, kind: 'reachable', name, size: sizeOf(configuration), storage, problem }
  }
}

function* mutants(): Generator<Result> {
  const storage = 'compact'
  for (const { rule, section, without, configuration, redundantBecause } of MUTANTS) {
    // P2 is the rule itself in two of them: what counts is what happens to the other promises.
    const switches = [rule, 'P2_NOT_JUDGED']
    const found = check({ configuration, switches, storage, ...INSTANT })
    const name = `${rule} (section ${section}: ${without})`
    const problem = problemOf(found, redundantBecause)
    yield { ...found, kind: 'without', name, size: sizeOf(configuration), storage, problem }
  }
}

function problemOf(found: Found, redundantBecause: string | undefined): string | undefined {
  if (redundantBecause === undefined) {
    const isProof = found.verdict === 'violated' && !OF_THE_MODEL.includes(found.what)
    return isProof ? undefined : `no counterexample: ${found.verdict} ${found.what}`
  }
  return found.verdict === 'held'
    ? undefined
    : `expected nothing (${redundantBecause}): ${found.verdict} ${found.what}`
}

function row(result: Result): string {
  const { kind, name, size, storage, verdict, what, depth, states, memoryMB, seconds } = result
  const outcome = verdict === 'violated' ? `${verdict}: ${what}` : verdict
  const effort = `${states} | ${Math.round(memoryMB)} | ${seconds.toFixed(1)}`
  return `| ${kind} | ${name} | ${size} | ${storage} | ${outcome} | ${depth} | ${effort} |`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== '--full' && arg !== '--json')
  if (unknown !== undefined) {
    print(`unknown option ${unknown}: use --full or --json`)
    return 2
  }
  const missing = missingTools()
  if (missing !== undefined) {
    print(missing)
    return 2
  }
  const isJson = args.includes('--json')
  const results: Result[] = []
  const take = (result: Result) => {
    results.push(result)
    if (!isJson) print(row(result))
  }
  if (!isJson) {
    print('| kind | what | size | states kept | outcome | depth | states | MB | seconds |')
    print('|---|---|---|---|---|---|---|---|---|')
  }
  for (const result of allQuickResults()) take(result)
  if (args.includes('--full')) for (const result of intact('full')) take(result)
  const problems = results.flatMap(({ name, size, problem }) =>
    problem === undefined ? [] : [`${name} (${size}): ${problem}`],
  )
  if (isJson) print(JSON.stringify({ results, problems }, null, 2))
  else for (const problem of problems) print(`failed: ${problem}`)
  return problems.length > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2))
