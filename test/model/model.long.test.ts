/** The model of the slot journal at all quick sizes, and with every rule taken away once. */
import { expect, it } from 'vitest'
import { allQuickResults } from './run.ts'
import { missingTools } from './spin.ts'

const missing = missingTools()

it('the slot journal holds at every quick size, and no rule is idle', (context) => {
  if (missing !== undefined) return context.skip(missing)
  const problems = [...allQuickResults()]
    .filter((result) => result.problem !== undefined)
    .map(({ name, size, problem }) => `${name} (${size}): ${problem}`)
  expect(problems).toEqual([])
})
