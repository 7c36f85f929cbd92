/**
 * The machine `sealing-numbers`: the numbers of one miner's sectors. Decides: that a number is handed out
 * once, and that a task which asks again, because its worker died with the answer, gets the same. Leaves
 * to others: who may have one, and what becomes of it.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, reply } from '../../../src/index.ts'

/** For repeats before the record of a sector is there; later ones are known by it. */
const TASKS_REMEMBERED_MAX = 1_000

const numbersContext = z.object({
  next: z.int().min(0),
  /** Tasks that got a number last, by a hash of their ids, the newest at the end. */
  tasks: z.array(z.tuple([z.string(), z.int()])),
})
type Numbers = z.infer<typeof numbersContext>

const take = z.object({
  /** Null for callers that cannot repeat themselves. */
  task: z.string().max(64).nullable(),
  /** Numbers below are never used. */
  atLeast: z.int().min(0),
  /** The one that this task got before is taken already: give it another. */
  not: z.int().min(0).nullable(),
})
type Take = z.infer<typeof take>

export const numbers = defineMachine({
  machine: setup({
    types: { context: {} as Numbers, events: {} as { type: 'TAKE' } & Take },
  }).createMachine({
    id: 'sealing-numbers',
    context: { next: 0, tasks: [] },
    initial: 'serving',
    states: {
      serving: {
        on: {
          TAKE: {
            actions: [
              reply(({ context, event }) => ({ number: numberFor(context, event) })),
              assign(({ context, event }) => taken(context, event)),
            ],
          },
        },
      },
    },
  }),
  context: numbersContext,
  events: { TAKE: take },
  // By hand `next` only goes up: set back, numbers are tried again that sectors have already.
  index: ({ next }) => ({ next }),
  retention: { historyCount: 10 },
})

export function numbersAddress(miner: number): string {
  return formatAddress('sealing-numbers', String(miner))
}

function numberFor({ next, tasks }: Numbers, { task, atLeast, not }: Take): number {
  const known = tasks.findLast(([id]) => id === task)?.[1]
  return known === undefined || known === not ? Math.max(next, atLeast) : known
}

function taken(context: Numbers, event: Take): Numbers {
  const number = numberFor(context, event)
  const next = Math.max(context.next, number + 1)
  if (event.task === null || next === context.next) return { ...context, next }
  const others = context.tasks.filter(([id]) => id !== event.task)
  return {
    next,
    tasks: [...others, [event.task, number] as [string, number]].slice(-TASKS_REMEMBERED_MAX),
  }
}
