/**
 * The machine `move-lane`: tasks of one type, one after the other, as many at a time as the work queue holds.
 * There is one per type in the whole cluster, so that what it counts is all there is.
 *
 * Decides: when it looks for the next, and how long it waits when a look fails. Leaves to others: what its
 * events change (`lane-rules.ts`), the looks (`lane-tasks.ts`), the tasks themselves (moves).
 *
 * ```
 * turns   rest ──► picking ──► rest        someone waits, and there is a place
 *                     └──────► pausing ──► rest
 * checks  resting ──► checking ──► resting     each minute: who is gone gives its place back
 * ```
 */
import { setup } from 'xstate'
import type { z } from 'zod'
import {
  addressOf,
  defineMachine,
  type EventObject,
  type MachineDefinition,
  tell,
} from '../../../../src/index.ts'
import { outputOf } from '../../plane/task-ends.ts'
import { isUnheardSubscription, subscriptionTo } from '../../switches/index.ts'
import { MOVE_TYPES, moveAddress } from '../moves/index.ts'
import {
  type Checked,
  type LaneEvent,
  type LaneRecord,
  laneContext,
  laneEvents,
  laneInput,
  type Picked,
} from './lane-record.ts'
import {
  canPick,
  checked,
  freePlaces,
  newLane,
  picked,
  picking,
  stuck,
  told,
} from './lane-rules.ts'
import { checkTask, pickTask } from './lane-tasks.ts'

const CHECK_MS = 60_000
/** As long as it failed often, in seconds; at most half a minute. */
const PAUSE_MS = 1_000
const PAUSES_MAX = 30
const SUBSCRIBE_AGAIN_MS = 1_000
const HISTORY_COUNT = 20

const chart = setup({
  types: {
    context: {} as LaneRecord,
    events: {} as LaneEvent,
    input: {} as z.output<typeof laneInput>,
  },
  actors: { pick: pickTask, check: checkTask },
  delays: {
    aMinute: CHECK_MS,
    aPause: ({ context }) => Math.min(Math.max(1, context.tries), PAUSES_MAX) * PAUSE_MS,
  },
  guards: { canPick: ({ context }) => canPick(context) },
  actions: {
    subscribe: tell(({ context, self }) => {
      const { type } = context
      if (type === 'manual_migrate') return []
      return subscriptionTo([type], addressOf(self))
    }),
    tellTurns: tell((_, { turns }: { turns: string[] }) =>
      turns.map((id) => ({ to: moveAddress(id), event: { type: 'PREPARE' } as EventObject })),
    ),
  },
})

const take = chart.enqueueActions(({ context, event, enqueue }) => {
  if (event.type === 'SUBSCRIBE_AGAIN') return enqueue('subscribe')
  // As a function: of a record XState would go through each field by itself.
  enqueue.assign(() => told(context, event))
  // The switches may be younger than the lane.
  if (isUnheardSubscription(event)) {
    enqueue.raise({ type: 'SUBSCRIBE_AGAIN' }, { id: 'subscribe', delay: SUBSCRIBE_AGAIN_MS })
  }
})

const placePicked = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, turns } = picked(context, outputOf<Picked>(event))
  enqueue.assign(next)
  if (turns.length > 0) enqueue({ type: 'tellTurns', params: { turns } })
}) as never

const keepWhy = chart.assign(({ context, event }) => {
  const { error } = event as unknown as { error: { message?: string } }
  return stuck(context, error.message ?? 'the look was given up')
}) as never

const lookOf = ({ context }: { context: LaneRecord }) => ({
  type: context.type,
  inHand: Object.keys(context.inHand),
  free: freePlaces(context),
})

const machine = chart.createMachine({
  id: 'move-lane',
  context: ({ input }) => newLane(input.type),
  type: 'parallel',
  entry: 'subscribe',
  on: {
    ADDED: { actions: take },
    STATE: { actions: take },
    PLACE_BACK: { actions: take },
    MOVED: { actions: take },
    SWITCH: { actions: take },
    SUBSCRIBE_AGAIN: { actions: take },
    'troupe.deadLetter': { actions: take },
  },
  states: {
    turns: {
      initial: 'rest',
      states: {
        rest: { always: { guard: 'canPick', target: 'picking' } },
        picking: {
          entry: chart.assign(({ context }) => picking(context)),
          invoke: {
            id: 'pick',
            src: 'pick',
            input: lookOf,
            onDone: { target: 'rest', actions: placePicked },
            onError: { target: 'pausing', actions: keepWhy },
          },
        },
        pausing: { after: { aPause: 'rest' } },
      },
    },
    checks: {
      initial: 'resting',
      states: {
        resting: { after: { aMinute: 'checking' } },
        checking: {
          invoke: {
            id: 'check',
            src: 'check',
            input: lookOf,
            onDone: {
              target: 'resting',
              actions: chart.assign(({ context, event }) =>
                checked(context, outputOf<Checked>(event)),
              ) as never,
            },
            // The next minute has another.
            onError: 'resting',
          },
        },
      },
    },
  },
})

export const moveLane: MachineDefinition = defineMachine({
  machine,
  input: laneInput,
  context: laneContext,
  internal: ['SUBSCRIBE_AGAIN'],
  events: laneEvents,
  index: ({ type, inHand, counts, isOn }) => ({
    ...{ type, isOn, inHand: Object.keys(inHand).length },
    ...counts,
  }),
  retention: { historyCount: HISTORY_COUNT },
})

export const laneSingletons = MOVE_TYPES.map((type) => ({
  machine: 'move-lane',
  id: type,
  input: { type },
}))
