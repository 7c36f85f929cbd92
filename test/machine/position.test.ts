/** Positions as text. */
import { expect, it } from 'vitest'
import { isInState, leavesOf, stateText } from '../../src/machine/position.ts'

it('a position is its sorted leaves', () => {
  expect(stateText('idle')).toBe('idle')
  const value = { run: { b: {}, a: 'x' } }
  expect(leavesOf(value)).toEqual(['run.a.x', 'run.b'])
  expect(stateText(value)).toBe('run.a.x|run.b')
  expect(stateText({})).toBe('')
})

it.each([
  ['run.a.x|run.b', 'run', true],
  ['run.a.x|run.b', 'run.a', true],
  ['run.a.x|run.b', 'run.a.x', true],
  ['run.a.x|run.b', 'run.b', true],
  ['run.a.x|run.b', 'run.a.y', false],
  ['running', 'run', false],
  ['run', 'run.a', false],
])('%s lies in %s: %s', (text, path, expected) => {
  expect(isInState(text, path)).toBe(expected)
})
