/** Every seed that ever failed; the short tier has a third of them. */
import { expect, it } from 'vitest'
import { account } from './account.ts'
import { runKept, seedsThatFailed } from './kept-seeds.ts'

const VIRTUAL_MS = 60_000

it.each(seedsThatFailed())('finds nothing wrong with %s', (line) => {
  const result = runKept(line, VIRTUAL_MS)
  expect(result.violations.length === 0 ? '' : account(result)).toBe('')
})
