/**
 * A machine `migrate-task` in the hands of a test: it is started as the real one is, tells its owner how it ended
 * as the real one does, and moves nothing itself.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { type MoveInput, moveInput } from '../../../../machines/storage/background/moves/index.ts'
import { defineMachine, tell } from '../../../../src/machine/index.ts'

interface FakeMove extends MoveInput {
  state: number
  stat: { doneSize: number }
}

type FakeEvent =
  | { type: 'END'; end: 'finished' | 'finished_in_advance' | 'cancelled'; bytes: number }
  | { type: 'PARK' }
  | { type: 'RETRY' }

const chart = setup({
  types: { context: {} as FakeMove, events: {} as FakeEvent, input: {} as MoveInput },
  actions: {
    end: assign(({ event }) =>
      event.type === 'END'
        ? { state: event.end === 'finished' ? 4 : 5, stat: { doneSize: event.bytes } }
        : {},
    ),
    tellOwner: tell(({ context: { owner, taskId, sourceVuid }, event }) =>
      owner === null || event.type !== 'END'
        ? []
        : {
            to: owner,
            event: { type: 'MOVE_ENDED', taskId, sourceVuid, end: event.end, why: null },
          },
    ),
  },
})

const ending = { target: 'over', actions: ['end', 'tellOwner'] } as const

export const fakeMigrateTask = defineMachine({
  machine: chart.createMachine({
    id: 'migrate-task',
    context: ({ input }) => ({ ...input, state: 1, stat: { doneSize: 0 } }),
    initial: 'moving',
    states: {
      moving: { on: { END: ending, PARK: 'parked' } },
      parked: { on: { END: ending, RETRY: 'moving' } },
      over: { type: 'final' },
    },
  }),
  input: moveInput,
  events: {
    END: z.object({
      end: z.enum(['finished', 'finished_in_advance', 'cancelled']),
      bytes: z.int(),
    }),
    PARK: z.object({}),
    RETRY: z.object({}),
  },
  retention: { finishedMs: 3 * 86_400_000 },
})
