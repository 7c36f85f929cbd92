/** The closing line of the test command must never be greener than the run was. */
import { expect, it } from 'vitest'
import { closingLine, slowestTests, tally, type VitestReport } from './tally.ts'

function report(
  status: 'passed' | 'failed',
  tests: Record<string, { status: string; duration?: number }>,
): VitestReport {
  const assertionResults = Object.entries(tests).map(([fullName, test]) => ({ fullName, ...test }))
  return {
    testResults: [{ name: 'a.test.ts', status, message: 'why\nand where', assertionResults }],
  }
}
const GREEN = report('passed', { one: { status: 'passed' } })

it('counts passed, failed and skipped tests', () => {
  const mixed = report('failed', {
    one: { status: 'passed' },
    two: { status: 'failed' },
    three: { status: 'skipped' },
    four: { status: 'todo' },
  })
  const totals = tally({
    runs: [{ name: 'tests', report: mixed, succeeded: false }],
    failedSteps: [],
  })
  expect(totals).toEqual({ passed: 1, failed: 1, skipped: 2, complaints: [] })
  expect(closingLine(totals)).toBe('1 passed, 1 failed, 2 skipped')
})

it('leaves out the skipped when there are none', () => {
  expect(
    closingLine(
      tally({ runs: [{ name: 'tests', report: GREEN, succeeded: true }], failedSteps: [] }),
    ),
  ).toBe('1 passed, 0 failed')
})

it('counts each failed step', () => {
  const totals = tally({
    runs: [{ name: 'tests', report: GREEN, succeeded: true }],
    failedSteps: ['build', 'check:style'],
  })
  expect(totals).toMatchObject({ passed: 1, failed: 2 })
  expect(totals.complaints).toEqual(['npm run build', 'npm run check:style'])
})

it('counts a file that does not load', () => {
  const both = { testResults: [...GREEN.testResults, ...report('failed', {}).testResults] }
  const totals = tally({
    runs: [{ name: 'tests', report: both, succeeded: false }],
    failedSteps: [],
  })
  expect(totals).toMatchObject({ passed: 1, failed: 1 })
  expect(totals.complaints).toEqual(['a.test.ts did not load or a hook failed: why'])
})

it('counts a hook that failed and so skipped the tests', () => {
  const skipped = report('failed', { one: { status: 'skipped' }, two: { status: 'passed' } })
  expect(
    tally({ runs: [{ name: 'tests', report: skipped, succeeded: false }], failedSteps: [] }),
  ).toMatchObject({
    passed: 1,
    failed: 1,
    skipped: 1,
  })
})

it('adds up several runs of vitest, and judges each on its own', () => {
  const green = { name: 'tests', report: GREEN, succeeded: true }
  const types = { name: 'tests', report: GREEN, succeeded: false }
  expect(tally({ runs: [green, green], failedSteps: [] })).toMatchObject({ passed: 2, failed: 0 })
  const broken = report('failed', { one: { status: 'failed' } })
  const runs = [{ name: 'tests', report: broken, succeeded: false }, types]
  expect(tally({ runs, failedSteps: ['build'] })).toMatchObject({ passed: 1, failed: 3 })
  const none = { name: 'tests', report: { testResults: [] }, succeeded: true }
  expect(tally({ runs: [green, none], failedSteps: [] }).failed).toBe(1)
})

it('fails when no test was executed', () => {
  for (const nothing of [{ testResults: [] }, report('passed', { one: { status: 'skipped' } })]) {
    const totals = tally({
      runs: [{ name: 'tests', report: nothing, succeeded: true }],
      failedSteps: [],
    })
    expect(totals.failed).toBe(1)
    expect(totals.complaints).toEqual(['tests: no test was executed'])
  }
})

it('fails when vitest crashed or an error was left unhandled', () => {
  expect(
    tally({ runs: [{ name: 'tests', report: undefined, succeeded: false }], failedSteps: [] })
      .failed,
  ).toBe(1)
  expect(
    tally({ runs: [{ name: 'tests', report: GREEN, succeeded: false }], failedSteps: [] }).failed,
  ).toBe(1)
})

it('lists the slowest tests, slowest first, without the quick ones', () => {
  const timed = report('passed', {
    quick: { status: 'passed', duration: 5 },
    slow: { status: 'passed', duration: 900.4 },
    slower: { status: 'passed', duration: 1200 },
  })
  const timedRun = { name: 'tests', report: timed, succeeded: true }
  expect(slowestTests([timedRun], 5)).toEqual(['  1200 ms  slower', '   900 ms  slow'])
  expect(slowestTests([timedRun], 1)).toEqual(['  1200 ms  slower'])
  expect(slowestTests([], 5)).toEqual([])
})
