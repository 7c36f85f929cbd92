/**
 * The machine `shard-repair`: a blob of which shards are missing or corrupt, until they are whole again.
 *
 * Decides: that the same message again is one, also while it is worked on; that what fails is tried for ever,
 * with longer and longer waits, and says why and until when; that a blob of which too little is left is an
 * orphan, which a person finds in a list; that what is switched off is kept until it is switched on. Leaves
 * to others: the repair itself (`repair-task.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, tell } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { failureOf, outputOf } from '../task-ends.ts'
import { failureTold, heldTold, successTold } from './counting.ts'
import { heldIndex } from './kinds.ts'
import { type RepairMessage, repairAsk, repairMessage, united } from './messages.ts'
import { failedOnceMore, isPunished, NOT_TRIED, NOT_WAITING, triesFields } from './pace.ts'
import { type Repaired, shardRepairAgainTask, shardRepairTask } from './repair-task.ts'

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
  isHeld: z.boolean(),
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
  actors: { 'shard-repair': shardRepairTask, 'shard-repair-again': shardRepairAgainTask },
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
    begin: assign({ ...NOT_WAITING, isHeld: false }),
    renew: assign({ ...NOT_TRIED, end: null, repaired: [] }),
    hold: assign(({ context, event }) => {
      const { inDoubt, why } = outputOf<Repaired>(event)
      return {
        badIndexes: united(context.badIndexes, context.askedMeanwhile),
        ...{ askedMeanwhile: [], inDoubt, isHeld: true, waitsFor: why },
      }
    }),
    fail: assign(({ context, event }) => failed(context, outputOf<Repaired>(event))),
    end: assign(({ context, event }) => ended(context, outputOf<Repaired>(event))),
    /** What was asked for meanwhile is the next. */
    turn: assign(({ context, event }) => ({
      ...ended(context, outputOf<Repaired>(event)),
      badIndexes: context.askedMeanwhile,
    })),
    breakOff: assign(({ context, event }) => ({
      badIndexes: united(context.badIndexes, context.askedMeanwhile),
      askedMeanwhile: [],
      ...failedOnceMore(context, { why: failureOf(event), at: null, isPunished: true }),
    })),
    tellSuccess: tell(({ event }) => successTold('shard_repair', outputOf<Repaired>(event).at)),
    tellFailure: tell(({ event }) => {
      const { at, why } = outputOf<Repaired>(event)
      return failureTold('shard_repair', at, why ?? '')
    }),
    tellBreak: tell(({ event }) => failureTold('shard_repair', null, failureOf(event))),
    tellHeld: tell(heldTold('shard_repair')),
  },
  guards: {
    endedAs: ({ event }, { end }: { end: Repaired['end'] }) =>
      outputOf<Repaired>(event).end === end,
    failedOften: ({ context, event }) =>
      outputOf<Repaired>(event).end === 'failed' && isPunished(context.tries + 1),
    isAsked: ({ context }) => context.askedMeanwhile.length > 0,
    hasFailed: ({ context }) => context.tries > 0,
  },
  delays: { wait: ({ context }) => context.waitMs, whileItIsKept: FINISHED_KEPT_MS },
})

function working<const TSource extends 'shard-repair' | 'shard-repair-again'>(src: TSource) {
  return {
    entry: 'begin',
    on: { ASK: { actions: 'mergeMeanwhile' } },
    invoke: {
      ...{ id: 'repair', src },
      input: ({
        context: { vid, bid, badIndexes, inDoubt, isMoved },
      }: {
        context: ShardRepairContext
      }) => ({ vid, bid, badIndexes, inDoubt, isMoved }),
      onDone: [
        { guard: endedAs('held'), target: 'held', actions: ['hold', 'tellHeld'] },
        { guard: endedAs('orphan'), target: 'orphan', actions: ['fail', 'tellFailure'] },
        { guard: 'failedOften', target: 'punished', actions: ['fail', 'tellFailure'] },
        { guard: endedAs('failed'), target: 'waiting', actions: ['fail', 'tellFailure'] },
        { guard: 'isAsked', target: 'repairing', reenter: true, actions: ['turn', 'tellSuccess'] },
        { target: 'done', actions: ['end', 'tellSuccess'] },
      ],
      // Of the platform, such as a node that died too often: the task itself always has an outcome.
      onError: { target: 'punished', actions: ['breakOff', 'tellBreak'] },
    },
  } as const
}

function endedAs<const TEnd extends Repaired['end']>(end: TEnd) {
  return { type: 'endedAs', params: { end } } as const
}

const resting = {
  after: { wait: 'going_on' },
  on: { ASK: { actions: 'merge' }, RETRY: 'going_on' },
} as const

const machine = chart.createMachine({
  id: 'shard-repair',
  context: ({ input: { vid, bid, badIndexes, reason } }) => ({
    ...{ vid, bid, badIndexes: united(badIndexes, []), reason },
    ...{ askedMeanwhile: [], inDoubt: [], repaired: [], end: null, isHeld: false, isMoved: false },
    ...NOT_TRIED,
  }),
  initial: 'repairing',
  states: {
    repairing: working('shard-repair'),
    retrying: working('shard-repair-again'),
    going_on: { always: [{ guard: 'hasFailed', target: 'retrying' }, 'repairing'] },
    held: { on: resting.on },
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

export const shardRepair = defineMachine({
  machine,
  input: repairMessage,
  context: repairContext,
  events: { ASK: repairAsk, RETRY: z.object({}) },
  // What is held is let go with the worst first, and is found by that without a look at all others.
  index: ({ vid, badIndexes, tries, isHeld }) => ({
    ...{ vid, bad: badIndexes.length, tries },
    ...heldIndex({ isHeld, tries }, badIndexes.length),
  }),
  retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
})
