/** A failed property test can be repeated: its seed is the seed of the run. */
import fc from 'fast-check'
import { expect, inject, it } from 'vitest'
import { readSeed } from './seed.ts'

it('takes the given seed, or a fresh one', () => {
  expect(readSeed('42', 0.5)).toBe(42)
  expect(readSeed(undefined, 0.5)).toBe(readSeed('', 0.5))
  expect(readSeed(undefined, 0.25)).not.toBe(readSeed(undefined, 0.75))
})

it.each(['x', '1.5', '99999999999'])('refuses %j as a seed', (given) => {
  expect(() => readSeed(given, 0)).toThrow('TROUPE_SEED must be an integer')
})

it('is what property tests draw from', () => {
  expect(Number.isInteger(inject('seed'))).toBe(true)
  expect(fc.readConfigureGlobal().seed).toBe(inject('seed'))
})
