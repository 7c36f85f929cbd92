import { expect, inject, test } from 'vitest'
import { crashRun } from './crash-run.ts'

test('a hundred kills at random moments lose nothing and double nothing', {
  timeout: 1_200_000,
}, async () => {
  const { findings } = await crashRun(inject('seed'), 100)
  expect(findings).toEqual([])
})
