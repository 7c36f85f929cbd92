/**
 * Runs spin. Decides: how the model becomes a checker, within which memory and time it runs, and
 * what its output means. Leaves to others: which runs there are (rules.ts) and what to make of them.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Configuration, Run } from './rules.ts'

const MODEL = fileURLToPath(new URL('slot-journal.pml', import.meta.url))
const DEPTH_MAX = 100_000
const SHORT_SECONDS = 2

export interface Search {
  configuration: Configuration
  /** Further switches of the model. */
  switches: readonly string[]
  storage: Run['storage']
  minutesMax: number
  memoryMaxMB: number
  /** How long the search is expected to take, which says how much work the compiler is worth. */
  length: SearchLength
}

/** `instant`: a counterexample within seconds; `short`: seconds; `long`: minutes. */
export type SearchLength = 'instant' | 'short' | 'long'

/** An optimizer takes longer over the checker (5 s and more) than the checker over a short search. */
const EFFORTS = { instant: '-O2', short: '-Og', long: '-O2' } as const

export interface Found {
  /** `violated`: a counterexample; `held`: all states were seen; `unfinished`: neither. */
  verdict: 'violated' | 'held' | 'unfinished'
  /** The assertion that does not hold, or why the run did not finish. */
  what: string
  states: number
  /** Of the counterexample; without one the greatest depth that was reached. */
  depth: number
  memoryMB: number
  seconds: number
}

/** Undefined when everything is there; otherwise one line that says what to install. */
export function missingTools(): string | undefined {
  const tools = [
    ['spin', '-V'],
    ['gcc', '--version'],
  ] as const
  const missing = tools
    .filter(([tool, ...args]) => spawnSync(tool, args).status !== 0)
    .map(([tool]) => tool)
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} not found: apt-get install -y spin gcc libc6-dev`
}

export function check(search: Search): Found {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-model-'))
  try {
    spin(folder, search)
    if (search.length === 'instant') {
      // Most counterexamples are found sooner than an optimizer is done.
      compile(folder, search, '-O0')
      const found = explore(folder, SHORT_SECONDS)
      if (found.verdict === 'violated') return found
    }
    compile(folder, search, EFFORTS[search.length])
    return explore(folder, search.minutesMax * 60)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function spin(cwd: string, { configuration, switches }: Search): void {
  const { nodes = 2, slots, crashes, losses, parts = [] } = configuration
  const sizes = { NODES: nodes, SLOTS: slots, CRASHES: crashes, LOSSES: losses }
  const values = Object.entries(sizes).map(([name, value]) => `-D${name}=${value}`)
  const names = [...parts, ...switches].map((name) => `-D${name}`)
  run('spin', ['-a', ...values, ...names, MODEL], cwd)
}

function compile(
  cwd: string,
  { storage, memoryMaxMB }: Search,
  effort: '-O0' | '-Og' | '-O2',
): void {
  const states = storage === 'compact' ? ['-DHC4'] : ['-DCOLLAPSE']
  const limit = `-DMEMLIM=${memoryMaxMB}`
  run('gcc', [effort, '-w', '-DSAFETY', limit, ...states, '-o', 'pan', 'pan.c'], cwd)
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status === 0) return
  throw new Error(`${command} failed: ${error?.message ?? `${stdout}${stderr}`.slice(0, 2_000)}`)
}

function explore(cwd: string, secondsMax: number): Found {
  const startedAt = performance.now()
  // Without -E a full journal would count as a deadlock.
  const args = ['-n', '19', join(cwd, 'pan'), '-E', `-m${DEPTH_MAX}`]
  const { stdout, error } = spawnSync('nice', args, {
    cwd,
    encoding: 'utf8',
    timeout: secondsMax * 1_000,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 26,
  })
  const seconds = (performance.now() - startedAt) / 1_000
  return { ...read(stdout, error?.message), seconds }
}

/** What pan prints, read. */
export function read(output: string, failure: string | undefined): Omit<Found, 'seconds'> {
  const number = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? 0)
  const numbers = {
    states: number(/([\d.e+]+) states, stored/),
    depth: number(/depth reached (\d+)/),
    memoryMB: number(/([\d.]+)\s+total actual memory usage/),
  }
  const violated = /assertion violated (.+) \(at depth (\d+)\)/.exec(output)
  if (violated?.[1] !== undefined) {
    return { ...numbers, verdict: 'violated', what: violated[1], depth: Number(violated[2]) }
  }
  const reason = /pan: reached -DMEMLIM bound|max search depth too small/.exec(output)?.[0]
  const isWhole = /errors: 0/.test(output) && reason === undefined && failure === undefined
  if (isWhole) return { ...numbers, verdict: 'held', what: '' }
  const problem = failure ?? reason ?? /^pan:.*$/m.exec(output)?.[0] ?? 'pan said nothing'
  return { ...numbers, verdict: 'unfinished', what: problem }
}
