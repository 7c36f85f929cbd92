/**
 * The test command: build, style, types, then vitest; last a closing line with the totals.
 *
 * Decides: what a tier runs and what counts as a failure. A step that fails does not stop the ones
 * after it, so that one run shows everything; the closing line is printed in every case.
 *
 *   tsx test/run.ts            the short tier (npm test)
 *   tsx test/run.ts --long     the files named *.long.test.ts (npm run test:long)
 *   tsx test/run.ts --only …   vitest alone, with its own filters and options
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missingNatsServer } from './nats-server.ts'
import { closingLine, slowestTests, type Tally, tally, type VitestReport } from './tally.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SLOWEST_COUNT = 8

const [mode, ...rest] = process.argv.slice(2)
if (mode !== undefined && mode !== '--long' && mode !== '--only') {
  print(`unknown option ${mode}: use npm test, npm run test:long or npm run test:only -- <filter>`)
  process.exit(2)
}

/** npm scripts that come before vitest. Real processes run from dist, so every tier builds. */
const STEPS: Record<string, readonly string[]> = {
  short: ['build', 'check:style', 'check:types'],
  '--long': ['build'],
  '--only': [],
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const child = spawnSync(command, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  if (child.error) print(`${command} could not be started: ${child.error.message}`)
  return child.status === 0
}

function runVitest(filters: readonly string[]): { succeeded: boolean; report: unknown } {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-test-'))
  const reportFile = join(folder, 'report.json')
  try {
    const succeeded = run(
      process.execPath,
      [
        join(ROOT, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--config=test/vitest.config.ts',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${reportFile}`,
        ...filters,
      ],
      { TROUPE_TIER: mode === '--long' ? 'long' : 'short' },
    )
    return { succeeded, report: readReport(reportFile) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

function main(): Tally {
  const failedSteps = (STEPS[mode ?? 'short'] ?? []).filter((step) => {
    print(`> npm run ${step}`)
    return !run('npm', ['run', '--silent', step])
  })
  const { succeeded, report } = runVitest(rest)
  const totals = tally({ report: report as VitestReport | undefined, succeeded, failedSteps })
  const slow = slowestTests(report as VitestReport | undefined, SLOWEST_COUNT)
  if (slow.length > 0) print(['slowest tests:', ...slow].join('\n  '))
  if (missingNatsServer !== undefined)
    print(`tests with a NATS server were skipped: ${missingNatsServer}`)
  for (const complaint of totals.complaints) print(`failed: ${complaint}`)
  print('')
  print(closingLine(totals))
  return totals
}

process.exitCode = main().failed > 0 ? 1 : 0
