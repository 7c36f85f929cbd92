/**
 * A cluster that begins with what its first node had alone, from a seed and at some of the moments in which
 * that node may end; all of them, and more seeds, in founding.long.test.ts.
 */
import { expect, inject, it } from 'vitest'
import { endsIn, expectFounded, runFounding, runQuietFounding } from './founding-worlds.ts'

const VIRTUAL_MS = 10_000
/** Of the steps of a founding, every so many. */
const STRIDE = 23

it('a founding keeps every promise, and a seed gives the same trace twice', async () => {
  const first = await runFounding(inject('seed'), VIRTUAL_MS)
  expectFounded(first)
  const second = await runFounding(inject('seed'), VIRTUAL_MS)
  expect(JSON.stringify(second.events) === JSON.stringify(first.events)).toBe(true)
})

it('a founding goes on where it was cut off', async () => {
  let ended = 0
  for (let afterSteps = 3; ; afterSteps += STRIDE) {
    const result = await runQuietFounding([{ afterSteps, how: ended % 2 ? 'kill' : 'power' }])
    expectFounded(result)
    if (endsIn(result) === 0) break
    ended += 1
  }
  expect(ended).toBeGreaterThan(2)
})
