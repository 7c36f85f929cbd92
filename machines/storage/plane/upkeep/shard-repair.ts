/**
 * The machine `shard-repair`: a blob of which shards are missing or corrupt, until they are whole again.
 *
 * Decides: that the same message again is one, also while it is worked on; that what fails is tried for ever,
 * with longer and longer waits, and says why and until when; that a blob of which too little is left is an
 * orphan, which a person finds in a list. Leaves to others: the repair itself (`repair-task.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { type RepairMessage, repairAsk, repairMessage, united } from './messages.ts'
import { failedOnceMore, isPunished, NOT_TRIED, type Tries, triesFields } from './pace.ts'
import { type Repaired, shardRepairTask } from './repair-task.ts'

/** For who wonders, a day later, why a disk was busy. */
const FINISHED_KEPT_MS = 86_400_000
const HISTORY_COUNT = 20

const repairContext = z.object({
  vid: repairMessage.shape.vid,
  bid: bidSchema,
  badIndexes: z.array(z.int()),
  reason: z.string(),
  /** Asked for while it was worked on: that work may have looked at them before they went bad. */
  askedMeanwhile: z.array(z.int()),
  /** Put, and not yet known to be of a blob that is not deleted. */
  inDoubt: z.array(z.int()),
  /** All that were put, since it began. */
  repaired: z.array(z.int()),
  end: z.enum(['repaired', 'whole', 'deleted']).nullable(),
  /** The mapping may be old. */
  isMoved: z.boolean(),
  ...triesFields,
})
export type ShardRepairContext = z.output<typeof repairContext>

type RepairEvent =
  | ({ type: 'ASK' } & z.output<typeof repairAsk>)
  /** Now, whatever it waits for. */
  | { type: 'RETRY' }

const chart = setup({
  types: {
    context: {} as ShardRepairContext,
    events: {} as RepairEvent,
    input: {} as RepairMessage,
  },
  actors: { 'shard-repair': shardRepairTask },
  actions: {
    merge: assign(({ context, event }) =>
      event.type === 'ASK'
        ? { badIndexes: united(context.badIndexes, event.badIndexes), reason: event.reason }
        : {},
    ),
    mergeMeanwhile: assign(({ context, event }) =>
      event.type === 'ASK'
        ? { askedMeanwhile: united(context.askedMeanwhile, event.badIndexes), reason: event.reason }
        : {},
    ),
    begin: assign({ waitMs: 0, retryAt: null }),
    renew: assign({ ...NOT_TRIED, end: null, repaired: [] }),
  },
  delays: { wait: ({ context }) => context.waitMs, whileItIsKept: FINISHED_KEPT_MS },
})

const resting = {
  after: { wait: 'repairing' },
  on: { ASK: { actions: 'merge' }, RETRY: 'repairing' },
} as const

const machine = chart.createMachine({
  id: 'shard-repair',
  context: ({ input: { vid, bid, badIndexes, reason } }) => ({
    ...{ vid, bid, badIndexes: united(badIndexes, []), reason },
    ...{ askedMeanwhile: [], inDoubt: [], repaired: [], end: null, isMoved: false },
    ...NOT_TRIED,
  }),
  initial: 'repairing',
  states: {
    repairing: {
      entry: 'begin',
      on: { ASK: { actions: 'mergeMeanwhile' } },
      invoke: {
        id: 'repair',
        src: 'shard-repair',
        input: ({ context: { vid, bid, badIndexes, inDoubt, isMoved } }) => ({
          ...{ vid, bid, badIndexes, inDoubt, isMoved },
        }),
        onDone: [
          {
            guard: ({ event: { output } }) => output.end === 'orphan',
            target: 'orphan',
            actions: assign(({ context, event }) => failed(context, event.output)),
          },
          {
            guard: ({ context, event: { output } }) =>
              output.end === 'failed' && isPunished(context.tries + 1),
            target: 'punished',
            actions: assign(({ context, event }) => failed(context, event.output)),
          },
          {
            guard: ({ event: { output } }) => output.end === 'failed',
            target: 'waiting',
            actions: assign(({ context, event }) => failed(context, event.output)),
          },
          {
            guard: ({ context }) => context.askedMeanwhile.length > 0,
            target: 'repairing',
            reenter: true,
            actions: assign(({ context, event }) => ({
              ...ended(context, event.output),
              badIndexes: context.askedMeanwhile,
            })),
          },
          { target: 'done', actions: assign(({ context, event }) => ended(context, event.output)) },
        ],
        // Of the platform, such as a node that died too often: the task itself always has an outcome.
        onError: {
          target: 'punished',
          actions: assign(({ context, event }) => broken(context, event.error)),
        },
      },
    },
    waiting: resting,
    punished: resting,
    orphan: resting,
    done: {
      after: { whileItIsKept: 'gone' },
      // A shard may go bad again.
      on: { ASK: { target: 'repairing', actions: ['renew', 'merge'] } },
    },
    gone: { type: 'final' },
  },
})

function failed(context: ShardRepairContext, output: Repaired): Partial<ShardRepairContext> {
  const { at, why, inDoubt, isMoved } = output
  return {
    badIndexes: united(output.badIndexes, context.askedMeanwhile),
    repaired: united(context.repaired, output.repaired),
    ...{ askedMeanwhile: [], inDoubt, isMoved },
    ...failedOnceMore(context, { why: why ?? '', at, isOrphan: output.end === 'orphan' }),
  }
}

function ended(context: ShardRepairContext, output: Repaired): Partial<ShardRepairContext> {
  const { end } = output
  return {
    ...{ badIndexes: [], askedMeanwhile: [], inDoubt: [], isMoved: false },
    repaired: united(context.repaired, output.repaired),
    end: end === 'repaired' || end === 'deleted' ? end : 'whole',
    ...NOT_TRIED,
  }
}

function broken(context: ShardRepairContext, error: unknown): Partial<ShardRepairContext> & Tries {
  const why = (error as { message?: string }).message ?? 'the task failed'
  return {
    badIndexes: united(context.badIndexes, context.askedMeanwhile),
    askedMeanwhile: [],
    ...failedOnceMore(context, { why, at: null, isPunished: true }),
  }
}

export const shardRepair = defineMachine({
  machine,
  input: repairMessage,
  context: repairContext,
  events: { ASK: repairAsk, RETRY: z.object({}) },
  index: ({ vid, badIndexes, tries }) => ({ vid, bad: badIndexes.length, tries }),
  retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
})
