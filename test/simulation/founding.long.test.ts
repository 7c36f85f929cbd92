/**
 * A cluster that begins with what its first node had alone: many seeds, and that node ends between any two
 * steps of bringing it in, once or several times.
 */
import { expect, inject, it } from 'vitest'
import { endsIn, expectFounded, runFounding, runQuietFounding } from './founding-worlds.ts'
import type { FoundingEnd } from './parameters.ts'
import { SimRandom } from './random.ts'

const VIRTUAL_MS = 30_000
const SEEDS = 40
/** Deposed leaders of the journal told of slots that were not there, and the founder took its journals for others'. */
const SEEDS_THAT_FAILED = [35, 41, 58]
const TIMEOUT_MS = 300_000
const STORIES = 100
const STEPS_MAX = 120

it('a founding keeps every promise', { timeout: TIMEOUT_MS }, async () => {
  const base = inject('seed')
  const fresh = Array.from({ length: SEEDS }, (_, index) => base + index)
  for (const seed of [...SEEDS_THAT_FAILED, ...fresh]) {
    expectFounded(await runFounding(seed, VIRTUAL_MS))
  }
})

it.each(['kill', 'power'] as const)(
  'goes on wherever it was cut off by %s',
  { timeout: TIMEOUT_MS },
  async (how) => {
    let afterSteps = 1
    for (; ; afterSteps++) {
      const result = await runQuietFounding([{ afterSteps, how }])
      expectFounded(result)
      if (endsIn(result) === 0) break
    }
    expect(afterSteps).toBeGreaterThan(40)
  },
)

it('goes on however often it was cut off', { timeout: TIMEOUT_MS }, async () => {
  const random = new SimRandom(inject('seed'))
  for (let story = 0; story < STORIES; story++) {
    const ends = Array.from(
      { length: random.between(2, 4) },
      (): FoundingEnd => ({
        afterSteps: random.between(1, STEPS_MAX),
        how: random.pick(['kill', 'power']),
      }),
    )
    expectFounded(await runQuietFounding(ends))
  }
})
