/** A thousand actors, and a real node that is killed in the middle. */
import { it } from 'vitest'
import { countAll } from './bulk-scene.ts'

it('each has exactly one turn of it, and its receipt says so', { timeout: 60_000 }, () =>
  countAll(1_000, 500, [100]),
)
