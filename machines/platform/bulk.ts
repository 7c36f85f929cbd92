/**
 * The machine `bulk`: one operation on every actor that a filter finds.
 *
 * Decides: that a page of addresses is committed before any of them is asked, and its outcome before the
 * next page is looked for; so a crash at any moment repeats one page under the ids that it had, and whoever
 * changes its state meanwhile is not found twice. Leaves to others: finding and asking (`bulk-tasks.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../src/index.ts'
import {
  bulkFilter,
  bulkOperation,
  payloadOf,
  withoutPayload,
  withPayload,
} from './bulk-operation.ts'
import { noTally, type Tally, tallied, tallyFields } from './bulk-tally.ts'
import { bulkList, bulkPage, bulkRun, bulkTotal } from './bulk-tasks.ts'

/**
 * A hundred seconds for ten thousand actors: a node does far more, but what each of them does next costs
 * others, and a mistake can be stopped before it is everywhere.
 */
const PER_SECOND_DEFAULT = 100
const PER_SECOND_MAX = 10_000
/** A stop waits for the end of a page, and so does a pause. */
const PAGE_SECONDS = 10
const PAGE_COUNT_MAX = 500
const FINISHED_KEPT_MS = 30 * 86_400_000

export const bulkInput = z.strictObject({
  operation: bulkOperation,
  filter: bulkFilter,
  /** Actors a second. */
  perSecond: z.int().min(1).max(PER_SECOND_MAX).optional(),
})
export type BulkInput = z.infer<typeof bulkInput>

const bulkContext = z.object({
  /** An event without its payload. */
  operation: bulkOperation,
  payload: z.record(z.string(), z.unknown()).nullable(),
  filter: bulkFilter,
  perSecond: z.int().min(1).max(PER_SECOND_MAX),
  /** Null until it has looked; so is the total. */
  author: z.string().nullable(),
  total: bulkTotal.nullable(),
  ...tallyFields,
  /** The one under way. */
  page: bulkPage.nullable(),
  /** Where the next page begins; null before the first and behind the last. */
  cursor: z.string().nullable(),
  isStopping: z.boolean(),
})
export type BulkContext = z.infer<typeof bulkContext>

/** What is left of it once it has ended. */
export interface BulkReceipt extends Tally {
  end: 'completed' | 'stopped'
  author: string | null
}

const chart = setup({
  types: {
    context: {} as BulkContext,
    events: {} as { type: 'STOP' },
    input: {} as BulkInput,
    output: {} as BulkReceipt,
  },
  actors: { 'bulk-list': bulkList, 'bulk-run': bulkRun },
  actions: { stop: assign({ isStopping: true }) },
})

const machine = chart.createMachine({
  id: 'bulk',
  context: ({ input }) => ({
    operation: withoutPayload(input.operation),
    payload: payloadOf(input.operation),
    filter: input.filter,
    perSecond: input.perSecond ?? PER_SECOND_DEFAULT,
    author: null,
    total: null,
    ...noTally(),
    page: null,
    cursor: null,
    isStopping: false,
  }),
  output: ({ context }) => receiptOf(context),
  initial: 'listing',
  states: {
    listing: {
      on: { STOP: { target: 'ended', actions: 'stop' } },
      invoke: {
        src: 'bulk-list',
        input: ({ context: { filter, cursor, perSecond, ...context } }) => ({
          ...{ operation: withPayload(context.operation, context.payload), filter, cursor },
          countMax: Math.min(PAGE_COUNT_MAX, perSecond * PAGE_SECONDS),
        }),
        onDone: [
          {
            guard: ({ event }) => event.output.addresses.length > 0,
            target: 'running',
            actions: assign(({ event: { output } }) => ({
              ...output.begun,
              page: { at: output.at, addresses: output.addresses },
              cursor: output.cursor,
            })),
          },
          { target: 'ended', actions: assign(({ event }) => ({ ...event.output.begun })) },
        ],
      },
    },
    running: {
      on: { STOP: { actions: 'stop' } },
      invoke: {
        src: 'bulk-run',
        input: ({ context: { operation, payload, filter, author, perSecond, page } }) => ({
          ...{ operation: withPayload(operation, payload), filter },
          author: author ?? '',
          perSecond,
          page: page ?? { at: 0, addresses: [] },
        }),
        onDone: [
          {
            guard: ({ context, event }) => !context.isStopping && event.output.again.length > 0,
            target: 'running',
            reenter: true,
            actions: assign(({ context, event: { output } }) => ({
              ...tallied(context, output),
              page: { at: output.at, addresses: output.again },
            })),
          },
          {
            guard: ({ context }) => context.isStopping || context.cursor === null,
            target: 'ended',
            actions: assign(({ context, event }) => ({
              ...tallied(context, event.output),
              page: null,
            })),
          },
          {
            target: 'listing',
            actions: assign(({ context, event }) => ({
              ...tallied(context, event.output),
              page: null,
            })),
          },
        ],
      },
    },
    ended: { type: 'final' },
  },
})

export const bulk = defineMachine({
  machine,
  input: bulkInput,
  context: bulkContext,
  events: { STOP: z.object({}) },
  secrets: ['payload'],
  index: ({ operation, filter, author, total, done, skipped, failed, isStopping }) => ({
    op: operation.op,
    machine: filter.machine,
    ...(author === null ? {} : { author }),
    ...(total === null ? {} : { total: total.count }),
    stopped: isStopping,
    ...{ done, skipped, failed },
  }),
  retention: { finishedMs: FINISHED_KEPT_MS },
})

function receiptOf(context: BulkContext): BulkReceipt {
  const { done, skipped, failed, kept, tasksRunning, reasons, troubles } = context
  const end = context.isStopping ? 'stopped' : 'completed'
  return {
    ...{ end, author: context.author },
    ...{ done, skipped, failed, kept, tasksRunning, reasons, troubles },
  }
}
