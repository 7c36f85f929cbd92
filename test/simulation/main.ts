/**
 * The command `npm run sim`: runs seeds and tells of them. Decides: what is printed, and the exit
 * code: 1 when any seed fails. Leaves to others: the run (run.ts), the account (account.ts).
 */
import { account, lineOf } from './account.ts'
import { runBugs } from './bugs.ts'
import { briefOf, drawCharts } from './charts.ts'
import { runMoves } from './moves/worlds.ts'
import { readOptions, type SimOptions, USAGE } from './options.ts'
import { drawParameters, type Given } from './parameters.ts'
import { runSeedWithWorkers } from './production-worker.ts'
import { SimRandom } from './random.ts'
import { type RunOptions, runSeed, runSeedWithPromises, type SeedResult } from './run.ts'

const SEED_MAX = 0x7fff_ffff

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function givenOf({ nodes, logic, busy, losses, charts }: SimOptions): Given {
  return {
    ...(nodes !== undefined && { nodes }),
    ...(logic !== undefined && { logic }),
    ...(busy && { busy }),
    ...(losses && { losses }),
    ...(charts && { charts }),
  }
}

function parametersText(seed: number, given: Given): string {
  const { limits, ...parameters } = drawParameters(new SimRandom(seed).fork('parameters'), given)
  const { batchCountMax, stepsPerBatchMax, mailboxCountMax, residentBytesMax } = limits
  const text = JSON.stringify({
    ...parameters,
    limits: { batchCountMax, stepsPerBatchMax, mailboxCountMax, residentBytesMax },
  })
  const charts = drawCharts(new SimRandom(seed).fork('charts'), parameters.charts)
  return [text, ...charts.map(briefOf)].join('\n')
}

function optionsText(options: SimOptions): string {
  const { nodes, logic, busy, losses, charts, workers, moves } = options
  const more = `${busy ? ' --busy' : ''}${losses ? ' --losses' : ''}${charts ? ' --charts' : ''}${workers ? ' --workers' : ''}${moves ? ' --moves' : ''}`
  return `${nodes === undefined ? '' : ` --nodes ${nodes}`}${logic === undefined ? '' : ` --logic ${logic}`}${more}`
}

function summaryOf(result: SeedResult, realMs: number) {
  const { seed, events, commits, virtualMs, violations } = result
  const count = (kind: string) => events.filter((event) => event.kind === kind).length
  return {
    seed,
    events: events.length,
    commits,
    takeovers: count('taken'),
    crashes: count('node-down'),
    virtualSeconds: Math.round(virtualMs / 1_000),
    realMs: Math.round(realMs),
    speed: Math.round(virtualMs / realMs),
    violations: violations.length,
  }
}

async function resultOf(
  asked: RunOptions,
  { workers, logic, moves }: SimOptions,
): Promise<SeedResult> {
  if (moves) return runMoves(asked.seed, asked.virtualMs, asked.given)
  if (workers) return runSeedWithWorkers(asked)
  return logic === 'founding' ? runSeedWithPromises(asked) : runSeed(asked)
}

async function runOne(seed: number, options: SimOptions) {
  const { minutes, json, trace } = options
  const given = givenOf(options)
  const isAlone = options.seeds?.[0] === options.seeds?.[1]
  if (!json && isAlone) print(`seed ${seed}\n${parametersText(seed, given)}`)
  const began = performance.now()
  const asked = { seed, given, virtualMs: minutes * 60_000 }
  const result = await resultOf(asked, options)
  const realMs = performance.now() - began
  const summary = summaryOf(result, realMs)
  if (trace) {
    for (const event of result.events) print(json ? JSON.stringify(event) : lineOf(event))
  }
  const failed = result.violations.length > 0
  if (json) print(JSON.stringify(failed ? { ...summary, found: result.violations } : summary))
  else if (isAlone || failed) {
    print(
      `seed ${seed}: ${summary.events} events, ${summary.commits} commits, ${summary.takeovers} takeovers, ${summary.crashes} crashes, ${summary.virtualSeconds} s in ${summary.realMs} ms (${summary.speed} x real time)`,
    )
  }
  if (failed && !json)
    print(`${account(result)}\nagain: npm run sim -- --seed ${seed}${optionsText(options)}`)
  return { failed, virtualMs: result.virtualMs, realMs }
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if ('problem' in options) {
    print(`${options.problem}\n${USAGE}`)
    return 2
  }
  if (options.bugs) return runBugs(options, print)
  if (!options.seeds) {
    // The one place where chance comes in; from here on the seed decides.
    const seed = Math.floor(Math.random() * SEED_MAX)
    options.seeds = [seed, seed]
  }
  const [from, to] = options.seeds
  const failed: number[] = []
  let virtualMs = 0
  let realMs = 0
  for (let seed = from; seed <= to; seed++) {
    const one = await runOne(seed, options)
    if (one.failed) failed.push(seed)
    virtualMs += one.virtualMs
    realMs += one.realMs
  }
  if (to > from && !options.json) {
    print(
      `${to - from + 1} seeds, ${failed.length} failed${failed.length > 0 ? ` (${failed.join(', ')})` : ''}; ${Math.round(virtualMs / realMs)} x real time`,
    )
  }
  return failed.length > 0 ? 1 : 0
}

process.exitCode = await main()
