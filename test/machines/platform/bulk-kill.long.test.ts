/** Ten thousand actors, and a real node that is killed in the middle, three times. */
import { it } from 'vitest'
import { countAll } from './bulk-scene.ts'

it('each has exactly one turn of it, and its receipt says so', () =>
  countAll(10_000, 2_000, [500, 3_000, 6_000]))
