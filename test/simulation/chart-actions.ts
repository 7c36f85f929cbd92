/**
 * What the actions of drawn charts do, and the machines that are made of plans.
 *
 * Decides: that each of them writes down what it was told, in the order in which it took effect, so
 * that a checker can hold the list against plain XState. Leaves to others: the shapes (charts.ts).
 */
import { type AnyStateMachine, assign, createMachine, type EventObject, sendParent } from 'xstate'
import { z } from 'zod'
import {
  defineMachine,
  type MachineDefinition,
  reply,
  task,
  tell,
} from '../../src/machine/index.ts'
import { type ChartPlan, EVENTS, renamedIn, rootOf } from './charts.ts'

/** Words kept: more than what one batch adds to one actor, as a rule. */
export const WORDS_MAX = 60
export const KID_OUTPUT = 7
/** What every worker gives back. */
export const WORK_OUTPUT = 1

export interface ChartContext {
  /** The command that started this life: an actor that is made again is told from the one before. */
  life: string
  count: number
  words: readonly string[]
  heard: number
  wrong: number
  migrated: number
  /** By sender, the number of its last message. */
  told: Readonly<Record<string, number>>
  sent: Readonly<Record<string, number>>
}

interface Args {
  context: ChartContext
  event: EventObject & { mark?: string; to: string; from: string; n: number }
  self: { id: string }
}

type Change = (args: Args, params?: { word: string }) => Partial<ChartContext>

const change = (changes: Change) => assign(changes as never)

function noted({ count, words }: ChartContext, word: string) {
  return { count: count + 1, words: [...words, word].slice(-WORDS_MAX) }
}

const actions = {
  note: change(({ context, event }, params) => noted(context, params?.word ?? event.type)),
  hear: change(({ context, event: { from, n } }) => {
    const { told, heard, wrong } = context
    const words = noted(context, `from ${from} ${n}`)
    if (n <= (told[from] ?? 0)) return { ...words, wrong: wrong + 1 }
    return { ...words, heard: heard + 1, told: { ...told, [from]: n } }
  }),
  countSent: change(({ context, event: { to } }) => ({
    ...noted(context, `to ${to}`),
    sent: { ...context.sent, [to]: (context.sent[to] ?? 0) + 1 },
  })),
  pass: tell((({ context, event: { to }, self }: Args) => {
    const from = `${self.id}@${context.life}`
    return { to, event: { type: 'TOLD', from, n: context.sent[to] } }
  }) as never),
  answer: reply((({ context }: Args) => context.count) as never),
  spoil: change(() => {
    throw new Error('the assign broke')
  }),
}

const guards = {
  third: ({ context }: Args) => context.count % 3 === 0,
  marked: ({ event }: Args) =>
    (event.mark ?? '').charCodeAt((event.mark ?? '').length - 1) % 2 === 0,
}

const delays = { soon: 120, late: 2_500 }

/** Tells its parent that it lives, and ends. */
const kid = createMachine({
  id: 'kid',
  initial: 'small',
  output: KID_OUTPUT,
  states: {
    small: { entry: sendParent({ type: 'KID' }), after: { 250: 'grown' } },
    grown: { type: 'final' },
  },
} as never)

/** Whatever the state is: no chart is without these. */
const COMMON = {
  E1: { actions: ['note', 'answer'] },
  TELL: { actions: ['countSent', 'pass'] },
  TOLD: { actions: 'hear' },
  KID: { actions: 'note' },
  SPOIL: { actions: 'spoil' },
}

const mark = z.string()
const schemas = {
  ...Object.fromEntries(EVENTS.map((type) => [type, z.object({ mark })])),
  TELL: z.object({ to: z.string(), mark }),
  TOLD: z.object({ from: z.string(), n: z.int() }),
  SPOIL: z.object({}),
}

export function machineOf(plan: ChartPlan, version: 1 | 2): AnyStateMachine {
  const root = rootOf(plan, version)
  const retry = { attemptsMax: plan.attemptsMax, initialMs: 200, backoffMaxMs: 800 }
  const run = async () => WORK_OUTPUT
  const work = task<{ ms: number }, number>({ name: 'work', queue: 'work', retry, run })
  const nothing = { count: 0, words: [], heard: 0, wrong: 0, migrated: 0, told: {}, sent: {} }
  const config = {
    ...root,
    id: plan.name,
    context: ({ input }: { input: { life: string } }) => ({ life: input.life, ...nothing }),
    on: { ...COMMON, ...root.on },
    output: ({ context }: Args) => context.count,
  }
  const implementations = { actions, guards, delays, actors: { work, kid } }
  return createMachine(config as never, implementations as never) as unknown as AnyStateMachine
}

/** What version 2 makes of an actor of version 1. */
export function migratedBy<T>(plan: ChartPlan, state: { value: T; context: ChartContext }) {
  const { value, context } = state
  const migrated = context.migrated + 1
  return { value: renamedIn(plan, value), context: { ...context, migrated } }
}

export function chartMachine(plan: ChartPlan, version: 1 | 2): MachineDefinition {
  const definition = {
    machine: machineOf(plan, version),
    version,
    events: schemas,
    internal: ['KID'],
    input: z.object({ life: z.string() }),
    context: z.looseObject({ count: z.number() }),
    retention: { historyCount: 40, finishedMs: 3_600_000 },
    migrations: version === 1 ? {} : { 1: (state: never) => migratedBy(plan, state) },
  }
  return defineMachine(definition as never) as MachineDefinition
}
