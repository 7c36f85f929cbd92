/** A checker that cannot fail proves nothing: each is shown what it must find. */
import { expect, it } from 'vitest'
import { acknowledgedIsThere, nothingTwice } from './checkers/acknowledged-is-there.ts'
import { historyWithoutGaps } from './checkers/history-without-gaps.ts'
import { timersOnceAndNotEarly } from './checkers/timers-once-and-not-early.ts'

const entry = (turn: number, at: number, cause = 'ADD', from = 'open') => ({
  turn,
  at,
  cause,
  from,
  to: 'open',
})

it('finds what was acknowledged and is gone', () => {
  expect(acknowledgedIsThere(['a', 'b'], ['b', 'c'])).toEqual(['a was acknowledged and is gone'])
})

it('finds what was applied twice', () => {
  expect(nothingTwice(['a', 'b', 'a'])).toEqual(['a was applied more than once'])
})

it.each([
  ['a missing turn', [entry(3, 3), entry(1, 1)], 'turn 3 follows 1'],
  ['a last turn that is not the present one', [entry(2, 2), entry(1, 1)], 'ends at 2'],
  [
    'a turn that begins elsewhere',
    [entry(3, 3, 'ADD', 'shut'), entry(2, 2), entry(1, 1)],
    'begins in shut',
  ],
  ['time that goes back', [entry(3, 1), entry(2, 2), entry(1, 1)], 'is older'],
])('finds %s in a history', (_name, history, finding) => {
  expect(historyWithoutGaps('x/1', 3, history).join()).toContain(finding)
})

it('finds timers that are lost, doubled or early', () => {
  const history = [entry(3, 30, 'RING'), entry(2, 20, 'RING'), entry(1, 1)]
  const armed = [
    { ref: 'early', dueAt: 25 },
    { ref: 'lost', dueAt: 5 },
  ]
  expect(timersOnceAndNotEarly('x/1', armed, ['early', 'other'], history)).toEqual([
    'x/1: timer early fired 5 ms early',
    'x/1: timer lost fired 0 times',
  ])
  expect(timersOnceAndNotEarly('x/1', [], ['a', 'a', 'b'], history).join()).toContain(
    '3 timers took effect',
  )
})
