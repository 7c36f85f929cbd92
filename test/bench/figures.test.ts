/** The figures of the benchmark: what is a median, what is a miss, whose a sample of a profile is. */
import type { Profiler } from 'node:inspector'
import { expect, it } from 'vitest'
import { sharesOf } from '../../bench/cpu-profile.ts'
import { closedLoop, each, quantile, spreadOf } from '../../bench/measure.ts'
import { printReport, ratiosOf } from '../../bench/report.ts'

it('takes the median of rounds with the smallest and the largest', () => {
  expect(spreadOf([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 })
  expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 })
})

it('takes quantiles by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, n) => 99 - n)
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)]).toEqual([50, 99, 99])
})

it('compares round by round', () => {
  expect(ratiosOf([10, 30, 20], [20, 30, 80])).toEqual({ median: 0.5, min: 0.25, max: 1 })
})

it('keeps so many calls under way, and no more', async () => {
  let underWay = 0
  let most = 0
  const call = async () => {
    most = Math.max(most, ++underWay)
    await Promise.resolve()
    underWay -= 1
  }
  await each(100, 8, call)
  expect(most).toBe(8)
  const load = await closedLoop(4, 20, async (n) => {
    if (n % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  })
  expect(load.perSecond).toBeGreaterThan(0)
  expect(load.p99Ms).toBeGreaterThanOrEqual(load.p50Ms)
})

it('counts frames of libraries for their caller', () => {
  const frame = (id: number, url: string, functionName: string, children: number[]) => ({
    id,
    callFrame: { functionName, scriptId: '1', url, lineNumber: 0, columnNumber: 0 },
    children,
  })
  const profile: Profiler.Profile = {
    nodes: [
      frame(1, '', '(root)', [2]),
      frame(2, 'file:///x/dist/bench-1/src/client/router.js', 'send', [3]),
      frame(3, 'file:///x/node_modules/msgpackr/pack.js', 'pack', []),
    ],
    startTime: 0,
    endTime: 60,
    samples: [2, 3, 3],
    timeDeltas: [0, 10, 20],
  }
  const { parts } = sharesOf(profile, ({ path }) =>
    path.startsWith('src/client/') ? 'client' : undefined,
  )
  expect(parts.map(({ name }) => name)).toEqual(['client'])
})

it('says what missed its demand', () => {
  const demand = { what: 'speed', measured: '1 /s', limit: '4 /s', demanded: '>= 0.5' }
  const text = printReport({
    scenario: 'a walk',
    figures: [{ name: 'steps', perSecond: spreadOf([1_234, 1_000, 2_000]) }],
    demands: [{ ...demand, ratio: spreadOf([0.25]), pass: false }],
    notes: ['uphill'],
  })
  expect(text).toContain('1,234 (1,000–2,000)')
  expect(text).toMatch(/speed .*0\.25 \(0\.25–0\.25\) +>= 0\.5 +MISS/)
})
