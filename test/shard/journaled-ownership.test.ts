/** Claims, fencing, unknown outcomes and reads of the journaled path (scenarios beside this file). */
import { describe, it } from 'vitest'
import { REAL } from './journaled-nodes.ts'
import { ownership } from './journaled-ownership.ts'

describe('who owns a shard', () => {
  it.each(Object.entries(ownership))('%s', (_name, scenario) => scenario(REAL))
})
