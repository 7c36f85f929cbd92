/**
 * The machine `balance-planner`: keeps the disks of each idc equally full. There is one of it, so that the moves it
 * has under way are all there are.
 *
 * Decides: when it looks, and that each step of starting a move is written down before the next. Leaves to others:
 * how even is even enough (`levels.ts`), what moves (`choice.ts`), the move itself (moves).
 *
 * ```
 * closed ◄──SWITCH──► waiting ──5 s, or a move has ended──► releasing, if chunks were made for nothing
 *                        ▲                                     ▼
 *                        ├────────── nothing to do ─────── choosing
 *                        │                                     ▼
 *                        └──────── starting ◄─────────────  placing
 * ```
 */
import { setup } from 'xstate'
import { addressOf, defineMachine, tell } from '../../../../src/index.ts'
import { failureOf, outputOf } from '../../plane/task-ends.ts'
import { clippedWhy } from '../../plane/why.ts'
import { isUnheardSubscription, subscriptionTo } from '../../switches/index.ts'
import { chooseTask } from './choose-task.ts'
import { placeTask, releaseTask, startTask } from './move-tasks.ts'
import {
  NEW_PLANNER,
  type PlannerEvent,
  type PlannerRecord,
  plannerContext,
  plannerEvents,
} from './planner-record.ts'
import {
  afterChoosing,
  afterPlacing,
  afterReleasing,
  afterStarting,
  type Chosen,
  giveUp,
  moveEnded,
  type Placed,
  type Released,
  type Started,
} from './planner-rules.ts'

const SUBSCRIBE_AGAIN_MS = 2_000
/** After a task was given up. */
const AGAIN_MS = 5_000
const HISTORY_COUNT = 50
const CLOSED = { why: 'the switch balance is closed', until: null } as const

const chart = setup({
  types: { context: {} as PlannerRecord, events: {} as PlannerEvent },
  actors: { choose: chooseTask, place: placeTask, start: startTask, release: releaseTask },
  delays: { collect: ({ context }) => context.collectMs, subscribeAgain: SUBSCRIBE_AGAIN_MS },
  guards: {
    isOn: ({ context }) => context.isOn === true,
    isClosed: ({ context }) => context.isOn !== true,
    hasSpare: ({ context }) => context.spare.length > 0,
    hasChosen: ({ context }) => context.isOn === true && context.chosen.length > 0,
    hasPlaced: ({ context }) => context.placed.length > 0,
    isUnsubscribed: ({ event }) => isUnheardSubscription(event),
  },
  actions: {
    subscribe: tell(({ self }) => subscriptionTo(['balance'], addressOf(self))),
  },
})

const hear = chart.assign(({ context, event }) => {
  if (event.type === 'SWITCH') return event.name === 'balance' ? { isOn: event.isOn } : {}
  return event.type === 'MOVE_ENDED' ? moveEnded(context, event.taskId, event.end) : {}
})

/** The types of events name no ends of tasks. */
function keep<TOutput>(to: (now: PlannerRecord, output: TOutput) => PlannerRecord): never {
  return chart.assign(({ context, event }) => to(context, outputOf<TOutput>(event))) as never
}

const keepFailure = chart.assign(({ event }) => {
  const why = clippedWhy(failureOf(event))
  // A move may have begun: the chunk that was made for it stays, and goes in time where none has.
  return { chosen: [], placed: [], early: [], collectMs: AGAIN_MS, wait: { why, until: null } }
}) as never

const failed = { target: 'waiting', actions: keepFailure } as const

const machine = chart.createMachine({
  id: 'balance-planner',
  context: NEW_PLANNER,
  type: 'parallel',
  on: { SWITCH: { actions: hear }, MOVE_ENDED: { actions: hear } },
  states: {
    subscription: {
      initial: 'asking',
      states: {
        asking: {
          entry: 'subscribe',
          on: { 'troupe.deadLetter': { guard: 'isUnsubscribed', target: 'alone' } },
        },
        /** The switches are younger than the planner. */
        alone: { after: { subscribeAgain: 'asking' } },
      },
    },
    planning: {
      initial: 'closed',
      states: {
        closed: {
          entry: chart.assign({ wait: CLOSED, levels: [] }),
          always: { guard: 'isOn', target: 'tidying' },
        },
        waiting: {
          always: { guard: 'isClosed', target: 'closed' },
          after: { collect: 'tidying' },
          on: {
            PLAN: 'tidying',
            MOVE_ENDED: { target: 'tidying', actions: hear },
          },
        },
        tidying: { always: [{ guard: 'hasSpare', target: 'releasing' }, { target: 'choosing' }] },
        releasing: {
          invoke: {
            id: 'release',
            src: 'release',
            input: ({ context: { spare } }) => ({ spare }),
            onDone: { target: 'choosing', actions: keep<Released>(afterReleasing) },
            onError: 'choosing',
          },
        },
        choosing: {
          invoke: {
            id: 'choose',
            src: 'choose',
            input: ({ context: { live, leaving } }) => ({ live, leaving }),
            onDone: { target: 'judging', actions: keep<Chosen>(afterChoosing) },
            onError: failed,
          },
        },
        judging: { always: [{ guard: 'hasChosen', target: 'placing' }, { target: 'waiting' }] },
        placing: {
          invoke: {
            id: 'place',
            src: 'place',
            input: ({ context: { chosen } }) => ({ chosen }),
            onDone: { target: 'placed', actions: keep<Placed>(afterPlacing) },
            onError: failed,
          },
        },
        placed: {
          always: [
            {
              guard: 'isClosed',
              target: 'waiting',
              actions: chart.assign(({ context }) => giveUp(context)),
            },
            { guard: 'hasPlaced', target: 'starting' },
            { target: 'waiting' },
          ],
        },
        starting: {
          invoke: {
            id: 'start',
            src: 'start',
            input: ({ context: { placed } }) => ({ placed }),
            onDone: { target: 'waiting', actions: keep<Started>(afterStarting) },
            onError: failed,
          },
        },
      },
    },
  },
})

export const balancePlanner = defineMachine({
  machine,
  context: plannerContext,
  events: plannerEvents,
  index: ({ isOn, live, moved, wait }) => ({
    ...{ isOn: isOn === true, moving: live.length, moved },
    ...{ why: wait?.why ?? null, until: wait?.until ?? null },
  }),
  retention: { historyCount: HISTORY_COUNT },
})

export const balanceSingleton = { machine: 'balance-planner', id: 'main' } as const
