/**
 * The machine `blob-delete`: a blob that has to go from units that could not be reached when it was deleted,
 * or that were left with shards of a put that failed.
 *
 * Decides: that all units are marked before any shard is deleted, since a mark is what tells who finds one
 * shard that the blob is deleted; that what each unit has done is kept; that the same message again is one.
 * Leaves to others: marking and deleting (`delete-task.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { blobDeleteTask, type Deleted } from './delete-task.ts'
import { type RemoveMessage, removeAsk, removeMessage, united } from './messages.ts'
import { failedOnceMore, isPunished, NOT_TRIED, type Tries, triesFields } from './pace.ts'
import { stageSchema, withDone } from './stages.ts'

/** A repair that began before the deletion looks here: it lasts minutes at most. */
const FINISHED_KEPT_MS = 3_600_000
const HISTORY_COUNT = 10

const deleteContext = z.object({
  vid: removeMessage.shape.vid,
  bid: bidSchema,
  /** By index of the unit; those behind the end are at 0. */
  stages: z.array(stageSchema),
  doneMeanwhile: z.array(z.int()),
  /** The mapping may be old. */
  isMoved: z.boolean(),
  ...triesFields,
})
export type BlobDeleteContext = z.output<typeof deleteContext>

type DeleteEvent =
  | ({ type: 'ASK' } & z.output<typeof removeAsk>)
  /** Now, whatever it waits for. */
  | { type: 'RETRY' }

const chart = setup({
  types: {
    context: {} as BlobDeleteContext,
    events: {} as DeleteEvent,
    input: {} as RemoveMessage,
  },
  actors: { 'blob-delete': blobDeleteTask },
  actions: {
    merge: assign(({ context, event }) =>
      event.type === 'ASK' ? { stages: withDone(context.stages, event.unitsDone) } : {},
    ),
    mergeMeanwhile: assign(({ context, event }) =>
      event.type === 'ASK' ? { doneMeanwhile: united(context.doneMeanwhile, event.unitsDone) } : {},
    ),
    begin: assign({ waitMs: 0, retryAt: null }),
    keep: assign(({ context, event }) => {
      const { output } = event as unknown as { output: Deleted }
      return {
        stages: withDone(output.stages, context.doneMeanwhile),
        ...{ doneMeanwhile: [], isMoved: output.isMoved },
      }
    }),
  },
  delays: { wait: ({ context }) => context.waitMs, whileItIsKept: FINISHED_KEPT_MS },
})

const resting = {
  after: { wait: 'deleting' },
  on: { ASK: { actions: 'merge' }, RETRY: 'deleting' },
} as const

const machine = chart.createMachine({
  id: 'blob-delete',
  context: ({ input: { vid, bid, unitsDone } }) => ({
    ...{ vid, bid, stages: withDone([], unitsDone), doneMeanwhile: [], isMoved: false },
    ...NOT_TRIED,
  }),
  initial: 'deleting',
  states: {
    deleting: {
      entry: 'begin',
      on: { ASK: { actions: 'mergeMeanwhile' } },
      invoke: {
        id: 'delete',
        src: 'blob-delete',
        input: ({ context: { vid, bid, stages, isMoved } }) => ({ vid, bid, stages, isMoved }),
        onDone: [
          {
            guard: ({ event: { output } }) => output.why === null,
            target: 'done',
            actions: ['keep', assign(NOT_TRIED)],
          },
          {
            guard: ({ context }) => isPunished(context.tries + 1),
            target: 'punished',
            actions: ['keep', assign(({ context, event }) => failed(context, event.output))],
          },
          {
            target: 'waiting',
            actions: ['keep', assign(({ context, event }) => failed(context, event.output))],
          },
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
    done: {
      after: { whileItIsKept: 'gone' },
      // Its ids are never used again: what is deleted stays so.
      on: { ASK: {} },
    },
    gone: { type: 'final' },
  },
})

function failed(context: BlobDeleteContext, { why, at }: Deleted): Tries {
  return failedOnceMore(context, { why: why ?? '', at })
}

function broken(context: BlobDeleteContext, error: unknown): Partial<BlobDeleteContext> {
  const why = (error as { message?: string }).message ?? 'the task failed'
  return {
    stages: withDone(context.stages, context.doneMeanwhile),
    doneMeanwhile: [],
    ...failedOnceMore(context, { why, at: null, isPunished: true }),
  }
}

export const blobDelete = defineMachine({
  machine,
  input: removeMessage,
  context: deleteContext,
  events: { ASK: removeAsk, RETRY: z.object({}) },
  index: ({ vid, tries }) => ({ vid, tries }),
  retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
})
