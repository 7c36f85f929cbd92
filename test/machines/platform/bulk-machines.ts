/** Machines that bulks are tried on. */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../../src/index.ts'

interface Order {
  customer: string
  turns: number
}

const machine = setup({
  types: {
    context: {} as Order,
    events: {} as
      | { type: 'PAY'; amount: number }
      | { type: 'SHIP' }
      | { type: 'COUNT' }
      | { type: 'CHECK' },
    input: {} as { customer?: string } | undefined,
  },
  actions: {
    count: assign({ turns: ({ context }) => context.turns + 1 }),
    check: assign(({ context }) => {
      if (context.customer === 'broken') throw new Error('nobody can check this one')
      return {}
    }),
  },
}).createMachine({
  id: 'order',
  context: ({ input }) => ({ customer: input?.customer ?? 'ann', turns: 0 }),
  initial: 'open',
  on: { COUNT: { actions: 'count' }, CHECK: { actions: 'check' } },
  states: {
    open: { on: { PAY: 'paid' } },
    paid: { on: { SHIP: 'shipped' } },
    shipped: { type: 'final' },
  },
})

export const order = defineMachine({
  machine,
  events: {
    PAY: z.object({ amount: z.number() }),
    SHIP: z.object({}),
    COUNT: z.object({}),
    CHECK: z.object({}),
  },
  index: ({ customer }) => ({ customer }),
  secrets: ['card'],
})

export const vault = defineMachine({
  machine: setup({}).createMachine({ id: 'vault', initial: 'shut', states: { shut: {} } }),
  events: {},
  role: 'admin',
})
