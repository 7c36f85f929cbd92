/**
 * The test command: build, style, types, then vitest; last a closing line with the totals.
 *
 * Decides: what a tier runs, what runs beside what, and what counts as a failure. A step that fails does not stop
 * the others, so that one run shows everything; the closing line is printed in every case but for a wrong option.
 *
 *   tsx test/run.ts            the short tier (npm test)
 *   tsx test/run.ts --long     the files named *.long.test.ts (npm run test:long)
 *   tsx test/run.ts --only …   vitest alone, with its own filters and options
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missingNatsServer } from './nats-server.ts'
import { readSeed } from './seed.ts'
import {
  closingLine,
  slowestTests,
  type Tally,
  tally,
  type VitestReport,
  type VitestRun,
} from './tally.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SLOWEST_COUNT = 8
/** What only this file says to vitest: left over in a shell, it would have yesterday's build tested. */
const OWN_VARIABLES = ['TROUPE_TEST_BUILT', 'TROUPE_TEST_PART', 'TROUPE_TEST_MODULES']

const [mode, ...rest] = process.argv.slice(2)
if (mode !== undefined && mode !== '--long' && mode !== '--only') {
  print(`unknown option ${mode}: use npm test, npm run test:long or npm run test:only -- <filter>`)
  process.exit(2)
}

/** Where the runs of vitest leave their reports. */
let reportFolder = ''

interface Step {
  name: string
  succeeded: boolean
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** @param output `kept`: what it prints comes in one piece when it has ended, not between the lines of others */
function run(
  command: string,
  args: readonly string[],
  { env = {}, output }: { env?: NodeJS.ProcessEnv; output: 'kept' | 'live' },
): Promise<boolean> {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: output === 'live' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  return new Promise((resolve) => {
    const end = (succeeded: boolean) => {
      if (printed !== '') print(`> ${[command, ...args].join(' ')}\n${printed.trimEnd()}`)
      resolve(succeeded)
    }
    child.once('error', (error) => {
      print(`${command} could not be started: ${error.message}`)
      end(false)
    })
    child.once('close', (code) => end(code === 0))
  })
}

/** An npm script that comes before vitest, or runs beside it. */
async function step(name: string): Promise<Step> {
  print(`> npm run ${name}`)
  return { name, succeeded: await run('npm', ['run', '--silent', name], { output: 'kept' }) }
}

async function runVitest(
  name: string,
  options: readonly string[],
  how: { env: NodeJS.ProcessEnv; output: 'kept' | 'live' },
): Promise<VitestRun> {
  const reportFile = join(reportFolder, `${name}.json`)
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config=test/vitest.config.ts']
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
  const succeeded = await run(process.execPath, [...vitest, ...reporters, ...options], how)
  return { name, succeeded, report: readReport(reportFile) }
}

function readReport(file: string): VitestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as VitestReport
  } catch {
    return undefined
  }
}

/** The type tests, and with them the types of everything: vitest has tsc judge the whole project. */
function checkTypes(): Promise<VitestRun> {
  print('> the types, with the type tests')
  const options = ['--typecheck.only', '--typecheck.ignoreSourceErrors=false']
  return runVitest('types', options, { env: {}, output: 'kept' })
}

/** What computes runs beside the build and the checks. The rest needs the build, and keeps time: it runs alone. */
async function shortTier(): Promise<Tally> {
  const building = Promise.all([step('build'), step('build:processes')])
  const checking = Promise.all([step('check:style'), checkTypes()])
  const computing = await shortTests('computing')
  const built = await building
  const [style, types] = await checking
  const serving = await shortTests('serving')
  const alone = await shortTests('alone')
  return total([...built, style], [computing, serving, alone, types])
}

/** @param part of the files, see vitest.config.ts */
function shortTests(part: 'computing' | 'serving' | 'alone'): Promise<VitestRun> {
  const built = part === 'computing' ? {} : { TROUPE_TEST_BUILT: '1' }
  // What one part has translated, the next ones need not.
  const modules = join(reportFolder, 'modules')
  const env = {
    TROUPE_TIER: 'short',
    TROUPE_TEST_PART: part,
    TROUPE_TEST_MODULES: modules,
    ...built,
  }
  return runVitest(`tests, ${part}`, ['--typecheck.enabled=false'], { env, output: 'live' })
}

async function longTier(): Promise<Tally> {
  const built = await Promise.all([step('build'), step('build:processes')])
  const env = { TROUPE_TIER: 'long', TROUPE_TEST_BUILT: '1' }
  return total(built, [await runVitest('tests', rest, { env, output: 'live' })])
}

async function onlyVitest(): Promise<Tally> {
  const env = { TROUPE_TIER: 'short' }
  return total([], [await runVitest('tests', rest, { env, output: 'live' })])
}

function total(steps: readonly Step[], runs: readonly VitestRun[]): Tally {
  const failedSteps = steps.filter(({ succeeded }) => !succeeded).map(({ name }) => name)
  const totals = tally({ runs, failedSteps })
  const slow = slowestTests(runs, SLOWEST_COUNT)
  if (slow.length > 0) print(['slowest tests:', ...slow].join('\n  '))
  if (missingNatsServer !== undefined)
    print(`tests with a NATS server were skipped: ${missingNatsServer}`)
  return close(totals)
}

function close(totals: Tally): Tally {
  for (const complaint of totals.complaints) print(`failed: ${complaint}`)
  print('')
  print(closingLine(totals))
  return totals
}

/** What fails here fails before anything was started. */
async function runTier(tier: () => Promise<Tally>): Promise<Tally> {
  for (const name of OWN_VARIABLES) delete process.env[name]
  try {
    // One seed for all runs of vitest, which print it.
    process.env['TROUPE_SEED'] = String(readSeed(process.env['TROUPE_SEED'], Math.random()))
    reportFolder = mkdtempSync(join(tmpdir(), 'troupe-test-'))
  } catch (thrown) {
    const complaints = [thrown instanceof Error ? thrown.message : String(thrown)]
    return close({ passed: 0, failed: 1, skipped: 0, complaints })
  }
  try {
    return await tier()
  } finally {
    rmSync(reportFolder, { recursive: true, force: true })
  }
}

const TIERS = { '--long': longTier, '--only': onlyVitest }
const { failed } = await runTier(mode === undefined ? shortTier : TIERS[mode])
process.exitCode = failed > 0 ? 1 : 0
