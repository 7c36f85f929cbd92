/** What must be true of notes: a judge that cannot say no proves nothing. */
import { expect, it } from 'vitest'
import { judged } from './notes.ts'

it('the judge of notes sees what is lost, doubled and moved', () => {
  expect(judged(['1', '2'], ['1', '2', '3'])).toEqual([])
  expect(judged(['1', '2'], ['1'])).toEqual(['2 was acknowledged and is gone'])
  expect(judged(['1'], ['1', '1'])).toEqual(['1 was applied more than once'])
  expect(judged(['1', '2'], ['2', '1'])).toHaveLength(1)
})
