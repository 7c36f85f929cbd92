/** Random runs of the journaled path (journaled-random.ts), and the same work by both commit paths. */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { REAL } from './journaled-nodes.ts'
import { judgeChain, judgeRun, losses, twoNodes } from './journaled-random.ts'

const RUNS = 300

describe('whatever happens', () => {
  it('two nodes never both commit, and nothing acknowledged is lost or doubled', async () => {
    await fc.assert(
      fc.asyncProperty(twoNodes, fc.nat(), (steps, seed) =>
        judgeRun(REAL, steps, { nodes: 2, seed }),
      ),
      { numRuns: RUNS },
    )
  })

  it('two nodes whose journal loses its end never mix two chains', async () => {
    await fc.assert(
      fc.asyncProperty(losses, fc.nat(), (steps, seed) => judgeChain(REAL, steps, seed)),
      { numRuns: RUNS },
    )
  })

  it('a node gives its journal back what that lost', async () => {
    await fc.assert(
      fc.asyncProperty(losses, fc.nat(), (steps, seed) =>
        judgeRun(REAL, steps, { nodes: 1, seed }),
      ),
      { numRuns: RUNS },
    )
  })
})
