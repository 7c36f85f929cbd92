/** Machines for nodes of a cluster: one that keeps what it was told, and one whose task runs on a worker. */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineApp, defineMachine, task } from '../../src/index.ts'

const counter = defineMachine({
  machine: setup({
    types: { context: {} as { seen: string[] }, events: {} as { type: 'NOTE'; text: string } },
  }).createMachine({
    id: 'counter',
    context: { seen: [] },
    on: {
      NOTE: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.text] }) },
    },
  }),
  events: { NOTE: z.object({ text: z.string() }) },
})

const add = task<{ n: number }, number>({ name: 'add', run: async ({ input }) => input.n + 1 })

const adder = defineMachine({
  machine: setup({
    types: { context: {} as { n: number } },
    actors: { add },
  }).createMachine({
    id: 'adder',
    context: { n: 1 },
    initial: 'adding',
    states: {
      adding: {
        invoke: {
          src: 'add',
          input: ({ context }) => ({ n: context.n }),
          onDone: { target: 'end', actions: assign({ n: ({ event }) => event.output }) },
        },
      },
      end: { type: 'final' },
    },
  }),
  events: {},
})

export const counters = defineApp({
  name: 'counters',
  machines: [counter, adder],
  singletons: [{ machine: 'counter', id: 'only' }],
})
