/** As much of the machine `volume` as the planner speaks to: it hears that a mover is gone. */
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply } from '../../../../../src/machine/index.ts'
import type { StoreWorld } from '../store-world.ts'

const input = z.object({ vid: z.int() })
type Facts = z.output<typeof input>

export function fakeVolume(world: StoreWorld) {
  const chart = setup({
    types: {
      context: {} as Facts,
      events: {} as { type: 'END_MOVE'; mover: string },
      input: {} as Facts,
    },
    actions: {
      end: ({ context: { vid }, event: { mover } }) => {
        const moves = Object.entries(world.record(vid).moves)
        const left = moves.filter(([, one]) => one.mover !== mover)
        world.change(vid, { moves: Object.fromEntries(left) })
      },
      answer: reply(() => ({ ok: true, standing: 'idle' })),
    },
  })
  return defineMachine({
    machine: chart.createMachine({
      id: 'volume',
      context: ({ input: facts }) => facts,
      on: { END_MOVE: { actions: ['end', 'answer'] } },
    }),
    input,
    events: { END_MOVE: z.object({ mover: z.string() }) },
  })
}
