/**
 * The machine `blob-delete`: a blob whose units are marked as deleted, or have to be, until its bytes are gone.
 *
 * Decides: that all units are marked before any shard is deleted, since a mark is what tells who finds one
 * shard that the blob is deleted; that bytes stay for the protection delay; that what each unit has done is
 * kept; that every wait is a timer with a reason; that the same message again is one, after which all units
 * are looked at once more, since some may have moved. Leaves to others: marking and deleting, and whether it may be done now (`delete-task.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, tell } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { failureOf, outputOf } from '../task-ends.ts'
import { failureTold, heldTold, successTold } from './counting.ts'
import { blobDeleteAgainTask, blobDeleteTask, type Deleted } from './delete-task.ts'
import { heldIndex } from './kinds.ts'
import { type RemoveMessage, removeAsk, removeMessage } from './messages.ts'
import {
  failedOnceMore,
  isPunished,
  NOT_TRIED,
  NOT_WAITING,
  POSTPONED_MS,
  triesFields,
} from './pace.ts'
import { stageSchema, stagesOf } from './stages.ts'

/** A repair that began before the deletion looks here: it lasts minutes at most. */
const FINISHED_KEPT_MS = 3_600_000
const HISTORY_COUNT = 10

const deleteContext = z.object({
  vid: removeMessage.shape.vid,
  bid: bidSchema,
  /** By index of the unit; those behind the end are at 0. */
  stages: z.array(stageSchema),
  /** All units were marked when it was looked at last. */
  isMarked: z.boolean(),
  /** Asked for again while it was worked on: that work may have looked at chunks that are left by now. */
  askedMeanwhile: removeAsk.nullable(),
  /** Unix ms: its bytes stay until then. */
  dueAt: z.number(),
  /** Unix ms: when a node told it to come again. */
  turnAt: z.number().nullable(),
  isHeld: z.boolean(),
  /** The mapping may be old. */
  isMoved: z.boolean(),
  ...triesFields,
})
export type BlobDeleteContext = z.output<typeof deleteContext>

type DeleteEvent =
  | ({ type: 'ASK' } & z.output<typeof removeAsk>)
  /** Now, whatever it waits for; but for its protection delay. */
  | { type: 'RETRY' }
  /** Its bytes may go. */
  | { type: 'SKIP_DELAY' }

const chart = setup({
  types: {
    context: {} as BlobDeleteContext,
    events: {} as DeleteEvent,
    input: {} as RemoveMessage,
  },
  actors: { 'blob-delete': blobDeleteTask, 'blob-delete-again': blobDeleteAgainTask },
  actions: {
    merge: assign(({ event }) => (event.type === 'ASK' ? begunAgain(event) : {})),
    mergeMeanwhile: assign(({ event }) => {
      if (event.type !== 'ASK') return {}
      const { unitsMarked, isMarked } = event
      return { askedMeanwhile: { unitsMarked, isMarked } }
    }),
    begin: assign({ ...NOT_WAITING, isHeld: false }),
    keep: assign(({ context: { askedMeanwhile, ...context }, event }) => {
      const { stages, isMarked, isMoved } = outputOf<Deleted>(event)
      const told = { stages, isMarked: isMarked ?? context.isMarked, isMoved, turnAt: null }
      return { ...told, ...(askedMeanwhile === null ? {} : begunAgain(askedMeanwhile)) }
    }),
    /** Until its bytes are due. */
    protect: assign(({ context, event }) => ({
      ...NOT_TRIED,
      ...waitingUntil(context.dueAt, outputOf<Deleted>(event).at, PROTECTION),
    })),
    come: assign(({ event }) => {
      const { until, at, why } = outputOf<Deleted>(event)
      return { turnAt: until, ...waitingUntil(until ?? at, at, why) }
    }),
    hold: assign(({ event }) => ({ isHeld: true, waitsFor: outputOf<Deleted>(event).why })),
    postpone: assign(({ event }) => {
      const { at, why } = outputOf<Deleted>(event)
      return { lastError: why, ...waitingUntil(at + POSTPONED_MS, at, why) }
    }),
    fail: assign(({ context, event }) => {
      const { why, at } = outputOf<Deleted>(event)
      return failedOnceMore(context, { why: why ?? '', at })
    }),
    breakOff: assign(({ context, event }) => ({
      ...(context.askedMeanwhile === null ? {} : begunAgain(context.askedMeanwhile)),
      ...{ turnAt: null },
      ...failedOnceMore(context, { why: failureOf(event), at: null, isPunished: true }),
    })),
    end: assign(NOT_TRIED),
    skipDelay: assign({ dueAt: 0 }),
    tellSuccess: tell(({ event }) => successTold('blob_delete', outputOf<Deleted>(event).at)),
    tellFailure: tell(({ event }) => {
      const { at, why } = outputOf<Deleted>(event)
      return failureTold('blob_delete', at, why ?? '')
    }),
    tellBreak: tell(({ event }) => failureTold('blob_delete', null, failureOf(event))),
    tellHeld: tell(heldTold('blob_delete')),
  },
  guards: {
    isAsked: ({ context, event }) =>
      context.askedMeanwhile !== null &&
      ['deleted', 'marked'].includes(outputOf<Deleted>(event).end),
    isUnmarked: ({ event }) => event.type === 'ASK' && !event.isMarked,
    endedAs: ({ event }, { end }: { end: Deleted['end'] }) => outputOf<Deleted>(event).end === end,
    isPunished: ({ context }) => isPunished(context.tries + 1),
    isProtected: ({ context }) => context.isMarked && context.waitMs > 0,
    hasFailed: ({ context }) => context.tries > 0,
    isMarked: ({ context }) => context.isMarked,
  },
  delays: { wait: ({ context }) => context.waitMs, whileItIsKept: FINISHED_KEPT_MS },
})

/** What it waits for then. */
const PROTECTION = 'its bytes are kept for the protection delay (safeDelayMs)'

function working<const TSource extends 'blob-delete' | 'blob-delete-again'>(src: TSource) {
  return {
    entry: 'begin',
    on: { ASK: { actions: 'mergeMeanwhile' } },
    invoke: {
      ...{ id: 'delete', src },
      input: ({
        context: { vid, bid, stages, dueAt, turnAt, isMoved },
      }: {
        context: BlobDeleteContext
      }) => ({ vid, bid, stages, dueAt, turnAt, isMoved }),
      onDone: [
        { guard: 'isAsked', target: 'marking', reenter: true, actions: 'keep' },
        { guard: endedAs('deleted'), target: 'done', actions: ['keep', 'end', 'tellSuccess'] },
        { guard: endedAs('marked'), target: 'protected', actions: ['keep', 'protect'] },
        { guard: endedAs('held'), target: 'held', actions: ['keep', 'hold', 'tellHeld'] },
        { guard: endedAs('early'), target: 'early', actions: ['keep', 'come'] },
        {
          guard: endedAs('postponed'),
          target: 'postponed',
          actions: ['keep', 'postpone', 'tellFailure'],
        },
        { guard: 'isPunished', target: 'punished', actions: ['keep', 'fail', 'tellFailure'] },
        { target: 'waiting', actions: ['keep', 'fail', 'tellFailure'] },
      ],
      // Of the platform, such as a node that died too often: the task itself always has an outcome.
      onError: { target: 'punished', actions: ['breakOff', 'tellBreak'] },
    },
  } as const
}

function endedAs<const TEnd extends Deleted['end']>(end: TEnd) {
  return { type: 'endedAs', params: { end } } as const
}

const resting = {
  after: { wait: 'going_on' },
  on: { ASK: { actions: 'merge' }, RETRY: 'going_on' },
} as const

const machine = chart.createMachine({
  id: 'blob-delete',
  context: ({ input: { vid, bid, unitsMarked, isMarked, dueAt, delayMs } }) => ({
    ...{ vid, bid, ...begunAgain({ unitsMarked, isMarked }), dueAt },
    ...{ turnAt: null, isHeld: false, isMoved: false, ...NOT_TRIED },
    ...(isMarked && delayMs > 0 ? { waitMs: delayMs, retryAt: dueAt, waitsFor: PROTECTION } : {}),
  }),
  initial: 'begun',
  states: {
    begun: { always: [{ guard: 'isProtected', target: 'protected' }, 'going_on'] },
    going_on: {
      always: [
        { guard: 'hasFailed', target: 'retrying' },
        { guard: 'isMarked', target: 'deleting' },
        'marking',
      ],
    },
    marking: working('blob-delete'),
    protected: {
      after: { wait: 'deleting' },
      on: {
        ASK: [{ guard: 'isUnmarked', target: 'marking', actions: 'merge' }, { actions: 'merge' }],
        SKIP_DELAY: { target: 'deleting', actions: 'skipDelay' },
      },
    },
    deleting: working('blob-delete'),
    retrying: working('blob-delete-again'),
    held: { on: resting.on },
    early: resting,
    postponed: resting,
    waiting: resting,
    punished: resting,
    done: {
      after: { whileItIsKept: 'gone' },
      // Of a unit that moved a shard may have come back.
      on: { ASK: { target: 'marking', actions: 'merge' } },
    },
    gone: { type: 'final' },
  },
})

/** The mapping is read anew: who asks again may have changed it. */
function begunAgain({ unitsMarked, isMarked }: z.output<typeof removeAsk>) {
  return { stages: stagesOf(unitsMarked), isMarked, isMoved: true, askedMeanwhile: null }
}

function waitingUntil(until: number, now: number, waitsFor: string | null) {
  return { waitMs: Math.max(0, until - now), retryAt: until, waitsFor }
}

export const blobDelete = defineMachine({
  machine,
  input: removeMessage,
  context: deleteContext,
  events: { ASK: removeAsk, RETRY: z.object({}), SKIP_DELAY: z.object({}) },
  // What is held is let go by age, and is found by that without a look at all others.
  index: ({ vid, tries, isHeld, dueAt }) => ({
    vid,
    tries,
    ...heldIndex({ isHeld, tries }, dueAt),
  }),
  retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
})
