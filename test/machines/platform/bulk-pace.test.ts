/** A rate is kept whatever the work costs, and nothing is begun that nobody wants any more. */
import { expect, it } from 'vitest'
import { paced } from '../../../machines/platform/bulk-pace.ts'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'

const clock = new VirtualClock()
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
const later = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve))

async function settled(work: Promise<void>): Promise<unknown> {
  let end: { thrown?: unknown } | undefined
  work.then(
    () => (end = {}),
    (thrown: unknown) => (end = { thrown }),
  )
  while (end === undefined) await clock.settle(5)
  return end.thrown
}

async function timesOf(count: number, perSecond: number, costMs: number, atOnce = 1_000) {
  const { signal } = new AbortController()
  const times: number[] = []
  const from = clock.monotonic()
  let [underWay, most] = [0, 0]
  const run = async () => {
    times.push(clock.monotonic() - from)
    underWay += 1
    most = Math.max(most, underWay)
    if (costMs > 0) await later(costMs)
    underWay -= 1
  }
  await settled(paced(numbers(count), { perSecond, atOnce, clock, signal }, run))
  return { times, most, tookMs: clock.monotonic() - from }
}

it('one after the other, and the last has its time as well', async () => {
  const { times, tookMs } = await timesOf(5, 10, 0)
  expect(times).toEqual([0, 100, 200, 300, 400])
  expect(tookMs).toBe(500)
})

it('a high rate begins together what a timer cannot tell apart, and no more than that', async () => {
  const { times, tookMs } = await timesOf(2_000, 2_000, 0)
  expect(tookMs).toBeGreaterThanOrEqual(990)
  expect(tookMs).toBeLessThan(1_100)
  for (const [index, at] of times.entries()) {
    expect((times[index + 41] ?? Number.POSITIVE_INFINITY) - at).toBeGreaterThan(9)
  }
})

it('slow work overlaps up to a number', async () => {
  const { times, most } = await timesOf(12, 100, 1_000, 4)
  expect(most).toBe(4)
  expect(times.slice(0, 5)).toEqual([0, 10, 20, 30, 1_000])
})

it('time that was lost is not made up for', async () => {
  const { signal } = new AbortController()
  const times: number[] = []
  const from = clock.monotonic()
  const run = async () => {
    const ms = clock.monotonic() - from
    times.push(ms)
    // All that are under way by then end at once.
    if (ms < 1_000) await later(1_000 - ms)
  }
  await settled(paced(numbers(12), { perSecond: 100, atOnce: 4, clock, signal }, run))
  expect(times.slice(0, 6)).toEqual([0, 10, 20, 30, 1_000, 1_010])
  expect(times.at(-1)).toBe(1_070)
})

it('aborted, it begins nothing more; a failure is told once the others have ended', async () => {
  const stop = new AbortController()
  const begun: number[] = []
  const pace = { perSecond: 10, atOnce: 4, clock, signal: stop.signal }
  const work = paced(numbers(10), pace, async (n) => {
    begun.push(n)
    if (n === 2) stop.abort()
  })
  expect(await settled(work)).toBeUndefined()
  expect(begun).toEqual([0, 1, 2])
  const ended: number[] = []
  const { signal } = new AbortController()
  const failing = paced(numbers(10), { ...pace, signal }, async (n) => {
    if (n === 1) throw new Error('broken')
    await later(500)
    ended.push(n)
  })
  expect(await settled(failing)).toMatchObject({ message: 'broken' })
  expect(ended).toEqual([0])
})
