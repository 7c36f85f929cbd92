/**
 * What a simulated world hosts, in two versions: flat, nested and parallel charts with timers,
 * tasks, children and tells. Contexts stay small and hold counts, so that a checker can see from the
 * committed state alone what took effect, how often and in which order.
 */
import {
  type AnyStateMachine,
  assign,
  createMachine,
  fromCallback,
  fromTransition,
  raise,
  sendTo,
} from 'xstate'
import { z } from 'zod'
import {
  defineMachine,
  type MachineDefinition,
  reply,
  task,
  tell,
} from '../../src/machine/index.ts'

interface Args {
  context: Record<string, number> & Record<'told' | 'sent', Record<string, number>>
  event: { type: string; by: number; n: number; live: string; run: string } & Told
}

interface Told {
  from: string
  to: string
  delayMs: number
}

const change = (changes: (args: Args) => object) => assign(changes as never)
const count = (field: string) => change(({ context }) => ({ [field]: (context[field] ?? 0) + 1 }))

const work = task<{ ms: number }, number>({
  name: 'work',
  queue: 'work',
  retry: { attemptsMax: 4, initialMs: 300, backoffMaxMs: 1_000 },
  run: () => Promise.reject(new Error('nobody runs it: its results are reported by hand')),
})

const START = { adds: 0, rings: 0, ends: 0, heard: 0, wrong: 0, migrated: 0, told: {}, sent: {} }

/** Messages of one sender are numbered: one that is not newer than the last came twice or late. */
const hear = change(({ context, event }) => {
  const last = context.told[event.from] ?? 0
  if (event.n <= last) return { wrong: (context['wrong'] ?? 0) + 1 }
  const heard = (context['heard'] ?? 0) + 1
  return { heard, told: { ...context.told, [event.from]: event.n } }
})

/** Of one run of a callback none comes twice or late; some may be dropped. */
const hearPulse = change(({ context, event: { live, run, n } }) => {
  const isSame = String(context['live']) === live && String(context['run']) === run
  const isLate = isSame && n <= (context['pulse'] ?? 0)
  return { live, run, pulse: n, ...(isLate ? { wrong: (context['wrong'] ?? 0) + 1 } : {}) }
})

const numbered = (({ context }: Args) => ({ type: 'POKE', n: context['poked'] })) as never

const actions = {
  hearPulse,
  begin: change(() => ({ poked: 0 })),
  countPoke: count('poked'),
  pokeTally: sendTo('tally', numbered),
  pokePulse: sendTo('pulse', numbered),
  add: count('adds'),
  ring: count('rings'),
  end: count('ends'),
  hear,
  answer: reply((({ context }: Args) => context['adds']) as never),
  arm: raise({ type: 'RING' }, { delay: (({ event }: Args) => event.delayMs) as never }),
  countSent: change(({ context, event }) => ({
    sent: { ...context.sent, [event.to]: (context.sent[event.to] ?? 0) + 1 },
  })),
  pass: tell((({ context, event, self }: Args & { self: { id: string } }) => ({
    to: event.to,
    event: { type: 'TOLD', from: String(self.id), n: context.sent[event.to] },
  })) as never),
  spoil: change(() => {
    throw new Error('the assign broke')
  }),
}

const common = {
  ADD: { actions: ['add', 'answer'] },
  ARM: { actions: 'arm' },
  RING: { actions: 'ring' },
  TOLD: { actions: 'hear' },
  SPOIL: { actions: 'spoil' },
}

const schemas = {
  ADD: z.object({ by: z.int() }),
  ARM: z.object({ delayMs: z.number().min(0).max(60_000) }),
  SPOIL: z.object({}),
  TOLD: z.object({ from: z.string(), n: z.int() }),
}

/** Everything in one state: the load of most commands. */
const flat = createMachine(
  {
    id: 'flat',
    context: START as never,
    initial: 'on',
    on: { ...common, TELL: { actions: ['countSent', 'pass'] } },
    states: {
      on: { on: { TURN: 'off' } },
      off: { after: { 700: 'on' }, on: { TURN: 'on' } },
    },
  } as never,
  { actions } as never,
)

/** A task inside a nested state, with a way out, and a timer beside it. */
const nested = createMachine(
  {
    id: 'nested',
    context: START as never,
    initial: 'idle',
    on: common,
    states: {
      idle: { on: { WORK: 'busy' } },
      busy: {
        initial: 'working',
        on: { TURN: 'idle' },
        states: {
          working: {
            invoke: {
              src: 'work',
              id: 'job',
              input: { ms: 200 },
              onDone: { target: 'resting', actions: 'end' },
            },
          },
          resting: { after: { 300: '#nested.idle' } },
        },
      },
    },
  } as never,
  { actions, actors: { work } } as never,
)

/** Two regions: a task that may fail in one, a clock of its own in the other. */
const parallel = createMachine(
  {
    id: 'parallel',
    context: START as never,
    type: 'parallel',
    on: common,
    states: {
      left: {
        initial: 'idle',
        states: {
          idle: { on: { WORK: 'busy' } },
          busy: {
            invoke: {
              src: 'work',
              id: 'job',
              input: { ms: 500 },
              onDone: { target: 'idle', actions: 'end' },
              onError: 'idle',
            },
          },
        },
      },
      right: {
        initial: 'tick',
        states: {
          tick: { on: { TURN: 'tock' } },
          tock: { after: { 400: { target: 'tick', actions: 'ring' } } },
        },
      },
    },
  } as never,
  { actions, actors: { work } } as never,
)

const kid = createMachine({
  id: 'kid',
  initial: 'small',
  states: { small: { after: { 250: 'grown' } }, grown: { type: 'final' } },
} as never)

const sum = fromTransition((state: { n: number }) => ({ n: state.n + 1 }), { n: 0 })

/** It is sent every number from 1 on, each once. */
const tally = fromTransition(
  ({ n, wrong }: { n: number; wrong: number }, event: { type: string; n?: number }) =>
    event.type === 'POKE'
      ? { n: event.n ?? 0, wrong: event.n === n + 1 ? wrong : wrong + 1 }
      : { n, wrong },
  { n: 0, wrong: 0 },
)

/** Whoever runs it decides what it does (sim-live.ts). */
const pulse = fromCallback(() => {})

/** Children that live for a while, one that only counts, and a callback. */
const family = createMachine(
  {
    id: 'family',
    context: START as never,
    initial: 'alone',
    on: common,
    states: {
      alone: { on: { WORK: 'parent', COUNT: 'counting', LISTEN: 'listening' } },
      counting: {
        entry: 'begin',
        on: { TURN: 'alone', POKE: { actions: ['countPoke', 'pokeTally'] } },
        invoke: { src: 'tally', id: 'tally' },
      },
      listening: {
        entry: 'begin',
        on: {
          TURN: 'alone',
          POKE: { actions: ['countPoke', 'pokePulse'] },
          PULSE: { actions: 'hearPulse' },
        },
        invoke: { src: 'pulse', id: 'pulse' },
      },
      parent: {
        on: { TURN: 'alone' },
        invoke: [
          { src: 'kid', id: 'kid', onDone: { target: 'alone', actions: 'end' } },
          { src: 'sum', id: 'sum' },
        ],
      },
    },
  } as never,
  { actions, actors: { kid, sum, tally, pulse } } as never,
)

const MORE: Record<string, Record<string, z.ZodType>> = {
  flat: { TURN: z.object({}), TELL: z.object({ to: z.string() }) },
  nested: { TURN: z.object({}), WORK: z.object({}) },
  parallel: { TURN: z.object({}), WORK: z.object({}) },
  family: {
    TURN: z.object({}),
    WORK: z.object({}),
    COUNT: z.object({}),
    LISTEN: z.object({}),
    POKE: z.object({}),
  },
}

export const MACHINE_NAMES = ['flat', 'nested', 'parallel', 'family'] as const
export type MachineName = (typeof MACHINE_NAMES)[number]

/** Version 2 counts, in each actor, how often it was migrated. */
export function machinesOf(version: 1 | 2): MachineDefinition[] {
  const charts: Record<MachineName, unknown> = { flat, nested, parallel, family }
  return MACHINE_NAMES.map((name) => {
    const definition = {
      machine: charts[name] as AnyStateMachine,
      version,
      events: { ...schemas, ...MORE[name] },
      internal: name === 'family' ? ['RING', 'PULSE'] : ['RING'],
      context: z.looseObject({ adds: z.number() }),
      retention: { historyCount: 40, finishedMs: 3_600_000 },
      migrations:
        version === 1
          ? {}
          : {
              1: (state: { value: unknown; context: { migrated: number } }) => ({
                value: state.value,
                context: { ...state.context, migrated: state.context.migrated + 1 },
              }),
            },
    }
    return defineMachine(definition as never) as MachineDefinition
  })
}
