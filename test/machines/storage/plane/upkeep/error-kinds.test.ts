/** Errors by what they say: what is one kind, how many there are, how they are printed. */
import { expect, it } from 'vitest'
import {
  type ErrorCounts,
  printedErrors,
  withError,
} from '../../../../../machines/storage/plane/upkeep/error-kinds.ts'

const counted = (...errors: string[]) =>
  errors.reduce<ErrorCounts>((counts, error) => withError(counts, error), {})

it('prints them as the reference does, the most frequent first', () => {
  const counts = counted(
    'unit 2 on disk 7: nobody answers',
    'unit 2 on disk 7: disk is broken',
    'unit 4 on disk 9: disk is broken',
  )
  expect(printedErrors(counts)).toEqual(['disk is broken: 66.67%[2]', 'nobody answers: 33.33%[1]'])
  expect(printedErrors({})).toBeNull()
})

it('takes errors that differ in a number only for one kind', () => {
  expect(counted('a: chunk 5 is full', 'b: chunk 1234 is full')).toEqual({ 'chunk # is full': 2 })
})

it('tells sixty-four kinds apart, and keeps none that is empty or endless', () => {
  const kind = (n: number) => `kind ${String.fromCharCode(97 + (n % 26), 97 + Math.floor(n / 26))}`
  const many = Array.from({ length: 100 }, (_, n) => kind(n))
  const counts = counted(...many, kind(3))
  expect(Object.keys(counts)).toHaveLength(65)
  expect(counts[kind(3)]).toBe(2)
  expect(counts['other errors']).toBe(36)
  expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(101)
  expect(counted('at the end:')).toEqual({ 'other errors': 1 })
  expect(Object.keys(counted('x'.repeat(10_000)))[0]).toHaveLength(120)
})
