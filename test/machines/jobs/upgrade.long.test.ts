/** An upgrade with a thousand jobs, a hundred in each state. */
import { expect, it } from 'vitest'
import { upgraded } from './upgrade.ts'

it('loses none of 1,000 jobs, runs none twice, and delays none by more than it takes', async () => {
  const { delayMs } = await upgraded({ count: 100, intervalS: 60, runS: 40 })
  // A hundred commands fall due together.
  expect(delayMs).toBeLessThan(15_000)
})
