import { expect, inject, test } from 'vitest'
import { crashRun } from './crash-run.ts'

test('six kills at random moments lose nothing and double nothing', {
  timeout: 180_000,
}, async () => {
  const { findings, acknowledged } = await crashRun(inject('seed'), 6)
  expect(findings).toEqual([])
  // A run that did nothing proves nothing.
  expect(acknowledged.adds.length).toBeGreaterThan(60)
  expect(acknowledged.arms.length).toBeGreaterThan(10)
  expect(acknowledged.tells.length).toBeGreaterThan(10)
  expect(acknowledged.runs.length).toBeGreaterThan(5)
})
