/**
 * Moves of the store in simulated clusters: whichever node dies in whichever gap between two steps, and many seeds
 * in which anything may happen.
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
import { MOMENTS, STEPS, VICTIMS } from './moves/traps.ts'
import { runCancelledMove, runMoves, runQuietMove } from './moves/worlds.ts'

const VIRTUAL_MS = 30_000
const SEEDS = 60
const TIMEOUT_MS = 600_000
/** Once a chunk was left in each of them, or the name of a move that never began, or a copy that was not whole. */
const FAILED = [
  ...[
    [21_175_827, 'oracle'] as const,
    [21_175_857, 'oracle'] as const,
    [31_052, 'oracle'] as const,
  ],
  ...[[21_175_821, 'cluster'] as const, [21_175_854, 'cluster'] as const],
]

it('a seed gives the same trace twice', async () => {
  for (const seed of [1, 2, 3]) {
    const first = textOf(await runMoves(seed, 20_000))
    expect(textOf(await runMoves(seed, 20_000)) === first, `seed ${seed}`).toBe(true)
  }
})

describe.each(VICTIMS)('the %s dies, and the move goes on where it was', (victim) => {
  const traps = STEPS.flatMap((step) => MOMENTS.map((moment) => ({ step, moment, victim })))
  // Until its task has begun, nobody runs it.
  const able = traps.filter(({ moment }) => victim !== 'runner' || moment === 'done')
  it.each(able)('$step is $moment', async (trap) => {
    const result = await runQuietMove([trap])
    expectSettled(result)
    expectSprung(result, trap)
    expectEndedByItself(result)
    expect(endsOf(result)).toEqual(['finished'])
  })

  // Of one that was swapped nothing shows that its volume has said so: there is no moment when that is done.
  const cancelled = [
    { moment: 'asked', isSwapped: true },
    ...MOMENTS.map((moment) => ({ moment, isSwapped: false })),
  ] as const
  it.each(cancelled.filter(({ moment }) => victim !== 'runner' || moment === 'done'))(
    'withdraw is $moment (swapped: $isSwapped)',
    async ({ moment, isSwapped }) => {
      const trap = { step: 'withdraw', moment, victim } as const
      const result = await runCancelledMove([trap], { isSwapped })
      expectSettled(result)
      expectSprung(result, trap)
      expectEndedByItself(result)
      expect(endsOf(result)).toEqual([isSwapped ? 'finished' : 'cancelled'])
    },
  )
})

it.each(FAILED)('seed %i, which once failed under the %s', async (seed, logic) => {
  expectSettled(await runMoves(seed, VIRTUAL_MS, { logic }))
})

it.each(['oracle', 'cluster'] as const)(
  'moves come to their ends under the %s',
  { timeout: TIMEOUT_MS },
  async (logic) => {
    const base = inject('seed')
    let late = 0
    for (let seed = base; seed < base + SEEDS; seed++) {
      const result = await runMoves(seed, VIRTUAL_MS, { logic })
      expectSettled(result)
      late += lateCalls(result.events).length
    }
    expect(late).toBeGreaterThan(0)
  },
)
