/**
 * Adds up what a test run came to. Decides: what counts as a failure.
 *
 * Besides failed tests these are failures, one each: a step before the tests that failed, a test
 * file that could not be loaded or whose hooks failed, a run that executed no test at all, and a
 * vitest that ended badly without naming a test (it crashed, or an error was left unhandled).
 */

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  testResults: {
    name: string
    status: string
    message: string
    assertionResults: { fullName: string; status: string; duration?: number | null }[]
  }[]
}

export interface Tally {
  passed: number
  failed: number
  skipped: number
  /** Failures that are no test's: a reader would not find them in vitest's own output. */
  complaints: string[]
}

/** What one vitest came to. */
export interface VitestRun {
  /** What was tested, in words. */
  name: string
  /** Undefined when vitest left none behind. */
  report: VitestReport | undefined
  /** Whether vitest ended with exit code 0. */
  succeeded: boolean
}

export interface TallyInput {
  runs: readonly VitestRun[]
  failedSteps: readonly string[]
}

export function tally({ runs, failedSteps }: TallyInput): Tally {
  const complaints = failedSteps.map((step) => `npm run ${step}`)
  const sum: Tally = { passed: 0, failed: complaints.length, skipped: 0, complaints }
  for (const run of runs) {
    const one = tallyOne(run)
    sum.passed += one.passed
    sum.failed += one.failed
    sum.skipped += one.skipped
    complaints.push(...one.complaints)
  }
  return sum
}

function tallyOne({ name, report, succeeded }: VitestRun): Tally {
  const complaints: string[] = []
  let passed = 0
  let failedTests = 0
  let skipped = 0
  for (const file of report?.testResults ?? []) {
    const failedHere = file.assertionResults.filter((test) => test.status === 'failed').length
    const passedHere = file.assertionResults.filter((test) => test.status === 'passed').length
    passed += passedHere
    failedTests += failedHere
    skipped += file.assertionResults.length - failedHere - passedHere
    if (file.status === 'failed' && failedHere === 0) {
      complaints.push(`${file.name} did not load or a hook failed: ${firstLine(file.message)}`)
    }
  }
  if (report === undefined) complaints.push(`${name}: vitest left no report`)
  else if (passed + failedTests === 0) complaints.push(`${name}: no test was executed`)
  if (!succeeded && failedTests + complaints.length === 0) {
    complaints.push(`${name}: vitest ended with an error that is no test of its own (see above)`)
  }
  return { passed, failed: failedTests + complaints.length, skipped, complaints }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

/** The last line of the test command, alone on its line: `N passed, N failed[, N skipped]`. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** Lines for the slowest tests, slowest first; tests under 300 ms are not worth a line. */
export function slowestTests(runs: readonly VitestRun[], count: number): string[] {
  const files = runs.flatMap(({ report }) => report?.testResults ?? [])
  const tests = files.flatMap((file) => file.assertionResults)
  return tests
    .map((test) => ({ name: test.fullName, durationMs: Math.round(test.duration ?? 0) }))
    .filter((test) => test.durationMs >= 300)
    .sort((a, b) => b.durationMs - a.durationMs)
    .slice(0, count)
    .map((test) => `${String(test.durationMs).padStart(6)} ms  ${test.name}`)
}
