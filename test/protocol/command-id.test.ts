/** Command ids carry the time at which they were issued. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatCommandId, issuedAtOf, TroupeError } from '../../src/protocol/index.ts'

/** From September 2001 (ten digits are too few for times before) to beyond the year 30,000. */
const times = fc.integer({ min: 1_000_000_000, max: 999_999_999_999_999 })
const uniques = fc.stringMatching(/^[\x21-\x7e]{1,128}$/)

it('gives back the time, whatever makes the id unique', () => {
  fc.assert(
    fc.property(times, uniques, (issuedAtMs, unique) => {
      const id = formatCommandId(issuedAtMs, unique)
      expect(issuedAtOf(id)).toBe(issuedAtMs)
    }),
  )
})

it('has the form that callers are told', () => {
  expect(formatCommandId(1_767_225_600_000, 'order-17')).toBe('1767225600000-order-17')
})

it.each([
  ['', 'nothing'],
  ['order-17', 'no time'],
  ['1767225600000', 'nothing unique'],
  ['1767225600000-', 'an empty unique part'],
  ['123456789-a', 'a time of nine digits, which is in seconds or worse'],
  ['1234567890123456-a', 'a time of sixteen digits'],
  ['-1767225600000-a', 'a time before 1970'],
  ['1767225600000.5-a', 'half a millisecond'],
  [' 1767225600000-a', 'a space before'],
  ['1767225600000-a b', 'a space within'],
  ['1767225600000-a\n', 'a line break after'],
  ['1767225600000-é', 'a letter beyond ASCII'],
  [`1767225600000-${'x'.repeat(129)}`, 'more than 128 characters'],
])('%j is none: %s', (id) => {
  expect(() => issuedAtOf(id)).toThrow(TroupeError)
  expect(() => issuedAtOf(id)).toThrow(expect.objectContaining({ code: 'malformed', retry: false }))
})

it('says what form is wanted without repeating a long input', () => {
  const refused = () => issuedAtOf('x'.repeat(10_000))
  expect(refused).toThrow('as in 1767225600000-order-17')
  expect(refused).toThrow(/^.{0,400}$/)
})
