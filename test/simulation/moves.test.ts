/**
 * Moves of the store in simulated clusters: a node dies in each gap between two steps, and some seeds in which
 * anything may happen. More of both in moves.long.test.ts.
 */
import { describe, expect, inject, it } from 'vitest'
import { lateCalls } from './checkers/moves.ts'
import {
  endsOf,
  expectEndedByItself,
  expectSettled,
  expectSprung,
  textOf,
} from './moves/expecting.ts'
import type { Habit } from './moves/move-worker.ts'
import { MOMENTS, STEPS } from './moves/traps.ts'
import { runCancelledMove, runMoves, runQuietMove } from './moves/worlds.ts'

const VIRTUAL_MS = 10_000
/** Fresh ones; the long tier has more of them. */
const SEEDS = 2

/** Twice in each step: before anybody has heard of its task, and when its work is done and not yet known. */
it.each(STEPS)(
  'the node that leads a move dies in its %s, and it goes on where it was',
  async (step) => {
    const traps = MOMENTS.map((moment) => ({ step, moment, victim: 'leader' as const }))
    const result = await runQuietMove(traps)
    expectSettled(result)
    for (const trap of traps) expectSprung(result, trap)
    expectEndedByItself(result)
    expect(endsOf(result)).toEqual(['finished'])
  },
)

it.each([
  ['was not swapped is cancelled', false, 'cancelled'],
  ['was swapped goes on to its end', true, 'finished'],
] as const)(
  'a move that is cancelled, and %s, whoever dies meanwhile',
  async (_, isSwapped, end) => {
    const moments = isSwapped ? (['asked'] as const) : MOMENTS
    const traps = moments.map((moment) => ({ step: 'withdraw', moment, victim: 'leader' }) as const)
    const result = await runCancelledMove(traps, { isSwapped })
    expectSettled(result)
    for (const trap of traps) expectSprung(result, trap)
    expectEndedByItself(result)
    expect(endsOf(result)).toEqual([end])
  },
)

it('a worker that comes late is refused, and another does its work', async () => {
  const result = await runQuietMove([], { plan: { habits: ['late'], workers: 2 } })
  expectSettled(result)
  expect(endsOf(result)).toEqual(['finished'])
  const late = lateCalls(result.events).filter(({ call }) => call.call === 'COMPLETE')
  expect(late.map(({ call }) => call.answer)).toContain('stale-token')
})

it('moves come to their ends in worlds of faults', async () => {
  const base = inject('seed')
  for (let seed = base; seed < base + SEEDS; seed++) {
    expectSettled(await runMoves(seed, VIRTUAL_MS))
  }
})

it('the same world gives the same trace twice', async () => {
  const traps = [{ step: 'alloc', moment: 'asked', victim: 'leader' }] as const
  const first = textOf(await runQuietMove(traps))
  expect(first).toContain('"kind":"move-call"')
  expect(textOf(await runQuietMove(traps)) === first).toBe(true)
})

/** Of each, one rule is taken away from the code of a task. */
describe('it would be noticed', () => {
  const done = async () => ({ end: 'done', at: 0 })
  const released = async ({ input }: { input: { chunks: unknown } }) => ({
    ...{ type: 'RELEASED', released: input.chunks, failed: [] },
  })
  const bugs: Record<string, readonly [task: string, run: never, habit: Habit, wrong: string]> = {
    'that a copy is not compared': ['move-compare', done as never, 'skips', 'has 2 of 3 blobs'],
    'that a unit is not swapped': ['move-update', done as never, 'works', 'has not moved'],
    'that a chunk is not released': ['volume-release', released as never, 'works', 'is nobody’s'],
  }
  it('that nobody asks whether a swap was done', async () => {
    const instead = new Map([['move-withdraw', done]])
    const plan = { drainMaxMs: 1_000 }
    const { violations } = await runCancelledMove([], { isSwapped: true, instead, plan })
    const found = violations.map(({ checker, what }) => `${checker}: ${what}`).join('; ')
    expect(found).toMatch(/moves-are-settled: .* is cancelled, and unit \d of volume 1 has moved/)
  })

  it.each(Object.entries(bugs))('%s', async (_what, [task, run, habit, wrong]) => {
    const instead = new Map([[task, run]])
    const plan = { habits: [habit], drainMaxMs: 1_000 }
    const { violations } = await runQuietMove([], { instead, plan })
    const found = violations.filter(({ checker }) => checker === 'moves-are-settled')
    expect(found.map(({ what }) => what).join('; ')).toContain(wrong)
  })
})
