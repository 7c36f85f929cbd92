/** What `losses.test.ts` shows with one seed, and more often. */
import { describe, it } from 'vitest'
import { loseEndsUnderLoad } from './lost-ends.ts'

describe('a journal that lost its end', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'a living owner takes its shard again, and nothing is lost: seed %i',
    (seed) => loseEndsUnderLoad(seed, 10),
  )
})
