/**
 * The machine `upkeep-counters`: one for each kind of upkeep. It counts how tries end, and lets go of what
 * was held when its kind is switched on.
 *
 * Decides: that each try is counted once and over restarts; that what is held goes on by itself, a few at a
 * time; that what failed is tried again now when a person says so. Leaves to others: finding them and the
 * pace (`wake-task.ts`), the switch (`storage-switches`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { addressOf, defineMachine, reply, tell } from '../../../../src/index.ts'
import { subscriptionTo, switchTold } from '../../switches/index.ts'
import { addTo, NO_WINDOW, shown, windowSchema } from '../../windows/index.ts'
import { outputOf } from '../task-ends.ts'
import { toldEvents } from './counting.ts'
import { type ErrorCounts, printedErrors, withError } from './error-kinds.ts'
import { KINDS, UPKEEP_KINDS, type UpkeepKind } from './kinds.ts'
import { type Woken, wakeTask } from './wake-task.ts'

/** Nodes go by a switch as it stood a quarter of a second ago: who is let go sooner is held again. */
const SETTLE_MS = 500
const UNHEARD_MS = 1_000
const BROKEN_MS = 10_000
/** Who was paused while it was held, and heard nothing then, goes on by the next look. */
const LOOK_AGAIN_MS = 10 * 60_000
const LOOKS_MAX = 16
const HISTORY_COUNT = 5

const kindSchema = z.enum(UPKEEP_KINDS)
const look = z.object({
  state: z.string(),
  /** Unix ms: only those that are in it since before; null: all. */
  before: z.number().nullable(),
})
type Look = z.output<typeof look>

const countersContext = z.object({
  kind: kindSchema,
  succeeded: windowSchema,
  failed: windowSchema,
  errors: z.record(z.string(), z.int()),
  successCount: z.int(),
  errorCount: z.int(),
  /** Unix ms: of what was counted last. */
  lastAt: z.number(),
  /** States whose messages are to go on; the first is at work. */
  looks: z.array(look),
  /** So many were let go since it was switched on. */
  wokenCount: z.int(),
})
export type UpkeepCounters = z.output<typeof countersContext>

const events = {
  ...toldEvents,
  SWITCH: switchTold,
  /** @param at unix ms: what fails after it is not tried again by it */
  REPLAY: z.object({ states: z.array(z.string()).min(1), at: z.number() }),
}
type CountersEvent =
  | {
      [TType in keyof typeof events]: { type: TType } & z.output<(typeof events)[TType]>
    }[keyof typeof events]
  | { type: 'troupe.deadLetter'; to: string }

/** What `REPLAY` is answered. */
export type ReplayAnswer = { states: string[] } | { refused: string }

const HELD: Look = { state: 'held', before: null }

const chart = setup({
  types: {
    context: {} as UpkeepCounters,
    events: {} as CountersEvent,
    input: {} as { kind: UpkeepKind },
  },
  actors: { 'upkeep-wake': wakeTask },
  actions: {
    subscribe: tell(({ context: { kind }, self }) => subscriptionTo([kind], addressOf(self))),
    count: assign(({ context, event }) => counted(context, event)),
    lookAtHeld: assign({ looks: [HELD], wokenCount: 0 }),
    lookAgain: assign(({ context: { looks } }) => ({
      looks: looks.slice(1).some(isOfHeld) ? looks : [...looks, HELD],
    })),
    lookAtMore: assign(({ context: { looks }, event }) => {
      const { states, at } = event as Extract<CountersEvent, { type: 'REPLAY' }>
      return { looks: [...looks, ...states.map((state) => ({ state, before: at }))] }
    }),
    endLook: assign(({ context: { looks } }) => ({ looks: looks.slice(1) })),
    noteWoken: assign(({ context, event }) => ({
      wokenCount: context.wokenCount + outputOf<Woken>(event).woken,
    })),
    forgetLooks: assign({ looks: [] }),
    answer: reply((_, { answer }: { answer: ReplayAnswer }) => answer),
  },
  guards: {
    isOn: ({ event }) => event.type === 'SWITCH' && event.isOn,
    isMore: ({ event }) => !outputOf<Woken>(event).isDone,
    hasLooks: ({ context }) => context.looks.length > 0,
    isPossible: ({ context: { kind, looks }, event }) =>
      event.type === 'REPLAY' &&
      event.states.every((state) => KINDS[kind].failed.includes(state)) &&
      looks.length + event.states.length <= LOOKS_MAX,
  },
})

const accept = {
  type: 'answer',
  params: ({ event }: { event: CountersEvent }): { answer: ReplayAnswer } => ({
    answer: { states: event.type === 'REPLAY' ? event.states : [] },
  }),
} as const

function refuse(refused: string) {
  return { type: 'answer', params: { answer: { refused } } } as const
}

const machine = chart.createMachine({
  id: 'upkeep-counters',
  context: ({ input: { kind } }) => ({
    ...{ kind, succeeded: NO_WINDOW, failed: NO_WINDOW, errors: {}, successCount: 0 },
    ...{ errorCount: 0, lastAt: 0, looks: [], wokenCount: 0 },
  }),
  initial: 'subscribing',
  on: {
    SUCCEEDED: { actions: 'count' },
    FAILED: { actions: 'count' },
    SWITCH: [{ guard: 'isOn', target: '.open' }, '.closed'],
    REPLAY: { actions: refuse('it is switched off: what is tried again would be held') },
  },
  states: {
    subscribing: { entry: 'subscribe', on: { 'troupe.deadLetter': 'unheard' } },
    /** The switches are not there yet. */
    unheard: { after: { [UNHEARD_MS]: 'subscribing' } },
    closed: { entry: 'forgetLooks' },
    open: {
      entry: 'lookAtHeld',
      initial: 'settling',
      on: {
        HELD: { actions: 'lookAgain' },
        REPLAY: [
          { guard: 'isPossible', actions: ['lookAtMore', accept] },
          { actions: refuse('no such states of failed messages, or too many asked for already') },
        ],
      },
      states: {
        settling: { after: { [SETTLE_MS]: 'waking' } },
        waking: {
          invoke: {
            ...{ id: 'wake', src: 'upkeep-wake' },
            input: ({ context: { kind, looks } }) => ({ kind, ...(looks[0] ?? HELD) }),
            onDone: [
              { guard: 'isMore', target: 'waking', reenter: true, actions: 'noteWoken' },
              { target: 'looked', actions: ['noteWoken', 'endLook'] },
            ],
            onError: 'broken',
          },
        },
        looked: { always: [{ guard: 'hasLooks', target: 'settling' }, 'idle'] },
        idle: {
          after: { [LOOK_AGAIN_MS]: { target: 'settling', actions: 'lookAgain' } },
          on: {
            HELD: { target: 'settling', actions: 'lookAgain' },
            REPLAY: [
              { guard: 'isPossible', target: 'settling', actions: ['lookAtMore', accept] },
              { actions: refuse('no such states of failed messages') },
            ],
          },
        },
        broken: { after: { [BROKEN_MS]: 'waking' } },
      },
    },
  },
})

export const upkeepCounters = defineMachine({
  machine,
  input: z.object({ kind: kindSchema }),
  context: countersContext,
  events,
  index: ({ kind, successCount, errorCount }) => ({ kind, successCount, errorCount }),
  retention: { historyCount: HISTORY_COUNT },
})

function isOfHeld({ state }: Look): boolean {
  return state === HELD.state
}

function counted(context: UpkeepCounters, event: CountersEvent): Partial<UpkeepCounters> {
  if (event.type === 'SUCCEEDED') {
    const { succeeded, successCount } = context
    const lastAt = event.at
    return {
      succeeded: addTo(succeeded, lastAt, 1),
      ...{ successCount: successCount + 1, lastAt },
    }
  }
  if (event.type !== 'FAILED') return {}
  const lastAt = event.at ?? context.lastAt
  return {
    failed: addTo(context.failed, lastAt, 1),
    errors: withError(context.errors, event.why),
    ...{ errorCount: context.errorCount + 1, lastAt },
  }
}

export interface CountersView {
  /** Of the last twenty minutes, the oldest first. */
  successPerMin: number[]
  failedPerMin: number[]
  successCount: number
  errorCount: number
  errorKinds: ErrorCounts
  /** As the reference prints them. */
  errStats: string[] | null
}

/** @param at unix ms: now */
export function countersView(counters: UpkeepCounters, at: number): CountersView {
  const { succeeded, failed, successCount, errorCount, errors } = counters
  return {
    ...{ successPerMin: shown(succeeded, at), failedPerMin: shown(failed, at) },
    ...{ successCount, errorCount, errorKinds: errors, errStats: printedErrors(errors) },
  }
}
