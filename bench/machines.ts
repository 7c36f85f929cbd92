/**
 * The machines that are measured: small, with the size and shape of context that real ones have.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineApp, defineMachine } from '../src/index.ts'

export interface OrderContext {
  customer: string
  items: { sku: string; quantity: number; cents: number }[]
  totalCents: number
  steps: number
  lastBy: string
}

type OrderEvent = { type: 'NEXT'; by: string }

const STATES = ['cart', 'placed', 'paid', 'shipped', 'delivered'] as const

const advance = {
  guard: 'hasItems',
  actions: 'noteStep',
} as const

/** Five states in a circle: every event is a transition with a guard and an assign. */
export const order = defineMachine({
  machine: setup({
    types: { context: {} as OrderContext, events: {} as OrderEvent, input: {} as { n: number } },
    guards: { hasItems: ({ context }) => context.items.length > 0 },
    actions: {
      noteStep: assign({
        steps: ({ context }) => context.steps + 1,
        lastBy: ({ event }) => event.by,
      }),
    },
  }).createMachine({
    id: 'order',
    context: ({ input }) => ({
      customer: `customer-${input.n % 1_000}`,
      items: [
        { sku: `sku-${input.n % 97}`, quantity: 2, cents: 1_999 },
        { sku: `sku-${input.n % 89}`, quantity: 1, cents: 4_950 },
      ],
      totalCents: 8_948,
      steps: 0,
      lastBy: '',
    }),
    initial: 'cart',
    states: {
      cart: { on: { NEXT: { target: 'placed', ...advance } } },
      placed: { on: { NEXT: { target: 'paid', ...advance } } },
      paid: { on: { NEXT: { target: 'shipped', ...advance } } },
      shipped: { on: { NEXT: { target: 'delivered', ...advance } } },
      delivered: { on: { NEXT: { target: 'cart', ...advance } } },
    },
  }),
  input: z.object({ n: z.int() }),
  events: { NEXT: z.object({ by: z.string().max(64) }) },
})

export const ORDER_STATES: readonly string[] = STATES

interface ReminderContext {
  text: string
  delayMs: number
}

/** Waits for one computed delay. */
export const reminder = defineMachine({
  machine: setup({
    types: { context: {} as ReminderContext, input: {} as { delayMs: number } },
    delays: { due: ({ context }) => context.delayMs },
  }).createMachine({
    id: 'reminder',
    context: ({ input }) => ({ text: 'call back', delayMs: input.delayMs }),
    initial: 'waiting',
    states: { waiting: { after: { due: 'rung' } }, rung: {} },
  }),
  input: z.object({ delayMs: z.int() }),
  events: {},
})

export const benchApp = defineApp({ name: 'bench', machines: [order, reminder] })
