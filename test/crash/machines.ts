/**
 * What the crash test hosts: a ledger that keeps every reference it was given, with timers and
 * tells, and a runner whose command leaves one line per run.
 */
import { assign, raise, setup } from 'xstate'
import { z } from 'zod'
import { defineApp, defineMachine, reply, runProcess, task, tell } from '../../src/index.ts'

interface Fired {
  ref: string
  armedAt: number
}

interface LedgerContext {
  refs: string[]
  told: string[]
  armed: Fired[]
  fired: string[]
}

type LedgerEvent =
  | { type: 'ADD'; ref: string }
  | { type: 'ARM'; ref: string; delayMs: number; at: number }
  | { type: 'RING'; ref: string }
  | { type: 'TELL'; ref: string; to: string }
  | { type: 'TOLD'; ref: string }

const ledgerMachine = setup({
  types: { context: {} as LedgerContext, events: {} as LedgerEvent },
  actions: {
    answer: reply(({ context }) => context.refs.length),
    passOn: tell(({ event }) => {
      const { to, ref } = event as LedgerEvent & { type: 'TELL' }
      return { to, event: { type: 'TOLD', ref } }
    }),
  },
}).createMachine({
  id: 'ledger',
  context: { refs: [], told: [], armed: [], fired: [] },
  initial: 'open',
  states: {
    open: {
      on: {
        ADD: {
          actions: [
            assign({ refs: ({ context, event }) => [...context.refs, event.ref] }),
            { type: 'answer' },
          ],
        },
        ARM: {
          actions: [
            assign({
              armed: ({ context, event }) => [
                ...context.armed,
                { ref: event.ref, armedAt: event.at },
              ],
            }),
            raise(({ event }) => ({ type: 'RING', ref: event.ref }) as const, {
              delay: ({ event }) => (event as LedgerEvent & { type: 'ARM' }).delayMs,
            }),
          ],
        },
        RING: { actions: assign({ fired: ({ context, event }) => [...context.fired, event.ref] }) },
        TELL: { actions: 'passOn' },
        TOLD: { actions: assign({ told: ({ context, event }) => [...context.told, event.ref] }) },
      },
    },
  },
})

const ref = z.string().max(100)

export const ledger = defineMachine({
  machine: ledgerMachine,
  events: {
    ADD: z.object({ ref }),
    ARM: z.object({ ref, delayMs: z.number().min(0).max(60_000), at: z.number() }),
    TELL: z.object({ ref, to: z.string() }),
    TOLD: z.object({ ref }),
  },
  internal: ['RING'],
  retention: { historyCount: 1_000 },
})

const leaveLine = task<{ ref: string; file: string }, number>({
  name: 'leave-line',
  reattach: true,
  onWorkerLost: 'park',
  run: async (attempt) => {
    const { ref: line, file } = attempt.input
    const script = 'echo "$1" >> "$2"; sleep 0.3; echo "done $1"'
    const run = await runProcess(attempt, {
      command: { argv: ['/bin/sh', '-c', script, 'sh', line, file] },
    })
    return run.code ?? -1
  },
})

export const runner = defineMachine({
  machine: setup({
    types: {
      context: {} as { ref: string; file: string; code: number | null },
      input: {} as { ref: string; file: string },
      events: {} as { type: 'NONE' },
    },
    actors: { leaveLine },
  }).createMachine({
    id: 'runner',
    context: ({ input }) => ({ ...input, code: null }),
    initial: 'running',
    states: {
      running: {
        invoke: {
          src: 'leaveLine',
          id: 'line',
          input: ({ context }) => ({ ref: context.ref, file: context.file }),
          onDone: { target: 'done', actions: assign({ code: ({ event }) => event.output }) },
        },
      },
      done: { type: 'final' },
    },
  }),
  events: { NONE: z.object({}) },
  input: z.object({ ref, file: z.string() }),
})

export const crashApp = defineApp({ name: 'crash', machines: [ledger, runner] })
