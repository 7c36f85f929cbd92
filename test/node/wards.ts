/**
 * A machine with everything that a shard keeps: what an actor was told and by whom, a timer, a task on a
 * worker, kept events. Its task says in a file that it ran, since it may run in any process.
 */
import { appendFileSync } from 'node:fs'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { type App, defineApp, defineMachine, task, tell } from '../../src/index.ts'

interface WardContext {
  seen: string[]
  rang: number
  worked: number
}

type WardEvent =
  | { type: 'NOTE'; text: string }
  | { type: 'PASS'; to: string; text: string }
  | { type: 'SET'; ms: number }
  | { type: 'WORK' }

interface Args {
  context: WardContext
  event: WardEvent
}

const work = task<{ name: string; file: string }, number>({
  name: 'work',
  run: async ({ input, attempt }) => {
    appendFileSync(input.file, `${input.name}\n`)
    return attempt
  },
})

export const WARD = 'ward'

/** @param ranFile where the tasks say that they ran */
export function wards(ranFile: string): App {
  const base = setup({
    types: { context: {} as WardContext, events: {} as WardEvent },
    actors: { work },
    delays: { given: ({ event }) => (event as { ms: number }).ms },
    actions: {
      pass: tell((({ event }: Args) => {
        const { to, text } = event as { to: string; text: string }
        return { to, event: { type: 'NOTE', text } }
      }) as never),
    },
  })
  const ward = base.createMachine({
    id: WARD,
    context: { seen: [], rang: 0, worked: 0 },
    on: {
      NOTE: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.text] }) },
      PASS: { actions: 'pass' },
    },
    initial: 'idle',
    states: {
      idle: { on: { SET: 'set', WORK: 'working' } },
      set: {
        after: {
          given: { target: 'idle', actions: assign({ rang: ({ context }) => context.rang + 1 }) },
        },
      },
      working: {
        invoke: {
          src: 'work',
          input: ({ self }) => ({ name: self.id, file: ranFile }),
          onDone: {
            target: 'idle',
            actions: assign({ worked: ({ context }) => context.worked + 1 }),
          },
        },
      },
    },
  })
  const text = z.string()
  const definition = defineMachine({
    machine: ward,
    events: {
      NOTE: z.object({ text }),
      PASS: z.object({ to: z.string(), text }),
      SET: z.object({ ms: z.number() }),
      WORK: z.object({}),
    },
  })
  return defineApp({ name: 'wards', machines: [definition] })
}
