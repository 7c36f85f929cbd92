/**
 * The machine `disk-watch`: which disks are to be emptied, and how many of them are at a time. There is one of it, so
 * what it says holds for all nodes.
 *
 * Decides: that disks are looked at when one says that something has changed, and now and then; that a place which
 * a job has lost with itself is found again, and a job that a watch before this one has given its place; that nobody
 * is served before those are known. Leaves to others: the look (`watch-task.ts`), whose turn it is
 * (`places.ts`), emptying a disk (`disk-job.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import {
  addressOf,
  defineMachine,
  type ErrorRecord,
  type EventObject,
  parseAddress,
  tell,
} from '../../../../src/index.ts'
import { DISK_WATCH, diskNews } from '../../plane/disks/index.ts'
import { outputOf } from '../../plane/task-ends.ts'
import { clippedWhy } from '../../plane/why.ts'
import {
  isUnheardSubscription,
  type SwitchTold,
  subscriptionTo,
  switchTold,
} from '../../switches/index.ts'
import { JOB_KINDS, type JobKind, jobAddress, kindFor, kindOfJob } from './job-kinds.ts'
import { jobKind } from './job-record.ts'
import {
  adopted,
  asked,
  inHandOf,
  jobsOf,
  left,
  newPlaces,
  placesContext,
  resized,
  type Served,
  switched,
} from './places.ts'
import { type Watched, watchTask } from './watch-task.ts'

/** Until the configuration is read with the first look. */
const FIRST_LOOK_MS = 500
const AGAIN_MS = 2_000
const HISTORY_COUNT = 50

const watchContext = placesContext.extend({
  collectMs: z.int().min(0),
  /** Something was told since the look under way began. */
  isTold: z.boolean(),
  lookedAt: z.number().nullable(),
  /** Why the last look came to nothing. */
  why: z.string().nullable(),
})
export type WatchRecord = z.output<typeof watchContext>

const askPlace = z.object({ kind: jobKind, job: z.string().min(1) })
const events = {
  ASK_PLACE: askPlace,
  PLACE_BACK: askPlace,
  DISK_CHANGED: diskNews,
  SWITCH: switchTold,
  /** Now. */
  LOOK: z.object({}),
}
type Payload<TType extends keyof typeof events> = z.output<(typeof events)[TType]>
type WatchEvent =
  | ({ type: 'ASK_PLACE' } & Payload<'ASK_PLACE'>)
  | ({ type: 'PLACE_BACK' } & Payload<'PLACE_BACK'>)
  | ({ type: 'DISK_CHANGED' } & Payload<'DISK_CHANGED'>)
  | SwitchTold
  | { type: 'LOOK' }
  | { type: 'SUBSCRIBE_AGAIN' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

const chart = setup({
  types: { context: {} as WatchRecord, events: {} as WatchEvent },
  actors: { look: watchTask },
  delays: { collect: ({ context }) => context.collectMs },
  guards: {
    isTold: ({ context }) => context.isTold,
    isToBeEmptied: ({ event }) =>
      event.type === 'DISK_CHANGED' && kindFor(event.standing) !== undefined && event.units > 0,
  },
  actions: {
    subscribe: tell(({ self }) => subscriptionTo(JOB_KINDS, addressOf(self))),
    tell: tell((_, { targets }: { targets: { to: string; event: EventObject }[] }) => targets),
    remember: assign({ isTold: true }),
    begin: assign({ isTold: false }),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  if (event.type === 'SUBSCRIBE_AGAIN') return enqueue('subscribe')
  const { next, messages } = decide(context, event)
  enqueue.assign(next)
  if (messages.length > 0) enqueue({ type: 'tell', params: { targets: messages } })
  // The switches may be younger than the watch.
  if (isUnheardSubscription(event)) {
    enqueue.raise({ type: 'SUBSCRIBE_AGAIN' }, { id: 'subscribe', delay: AGAIN_MS })
  }
})

const keepWatched = chart.enqueueActions(({ context, event, enqueue }) => {
  const { gone, inHand, at, concurrency, collectMs } = outputOf<Watched>(event)
  const known = adopted(context, inHand)
  const cleared = left(known.next, gone)
  const { next, messages } = resized(cleared.next, concurrency)
  enqueue.assign({ ...next, collectMs, lookedAt: at, why: null })
  const targets = [...known.messages, ...cleared.messages, ...messages]
  if (targets.length > 0) enqueue({ type: 'tell', params: { targets } })
}) as never

const keepFailure = chart.assign(({ event }) => {
  const { error } = event as unknown as { error?: Partial<ErrorRecord> }
  return { why: clippedWhy(error?.message ?? 'the look was given up'), collectMs: AGAIN_MS }
}) as never

const machine = chart.createMachine({
  id: 'disk-watch',
  context: {
    ...newPlaces(),
    ...{ collectMs: FIRST_LOOK_MS, isTold: false, lookedAt: null, why: null },
  },
  entry: 'subscribe',
  initial: 'resting',
  on: {
    ASK_PLACE: { actions: act },
    PLACE_BACK: { actions: act },
    SWITCH: { actions: act },
    SUBSCRIBE_AGAIN: { actions: act },
    'troupe.deadLetter': { actions: act },
  },
  states: {
    resting: {
      always: { guard: 'isTold', target: 'looking' },
      after: { collect: 'looking' },
      on: {
        LOOK: 'looking',
        DISK_CHANGED: [
          { guard: 'isToBeEmptied', target: 'looking', actions: act },
          { actions: act },
        ],
      },
    },
    looking: {
      entry: 'begin',
      on: {
        LOOK: { actions: 'remember' },
        DISK_CHANGED: { actions: [act, 'remember'] },
      },
      invoke: {
        id: 'look',
        src: 'look',
        input: ({ context }) => ({ jobs: jobsOf(context), inHand: inHandOf(context) }),
        onDone: { target: 'resting', actions: keepWatched },
        onError: { target: 'resting', actions: keepFailure },
      },
    },
  },
})

export const diskWatch = defineMachine({
  machine,
  context: watchContext,
  internal: ['SUBSCRIBE_AGAIN'],
  events,
  index: ({ lines, isOn }) => ({
    ...Object.fromEntries(JOB_KINDS.map((kind) => [`${kind}_on`, isOn[kind]])),
    ...Object.fromEntries(JOB_KINDS.map((kind) => [kind, lines[kind].length])),
  }),
  retention: { historyCount: HISTORY_COUNT },
})

export const diskWatchSingleton = {
  machine: 'disk-watch',
  id: parseAddress(DISK_WATCH).id,
} as const

/** Disks that are being emptied now, by the age of their asking. */
export function disksInHand({ lines }: Pick<WatchRecord, 'lines'>, kind: JobKind): number[] {
  return lines[kind].filter((one) => one.isInHand).map(({ job }) => Number(parseAddress(job).id))
}

function decide(context: WatchRecord, event: WatchEvent): Served {
  switch (event.type) {
    case 'ASK_PLACE':
      return asked(context, event.kind, event.job)
    case 'PLACE_BACK':
      return left(context, [event.job])
    case 'SWITCH': {
      const kind = JOB_KINDS.find((one) => one === event.name)
      return kind === undefined ? unchanged(context) : switched(context, kind, event.isOn)
    }
    case 'DISK_CHANGED':
      return emptied(context, event)
    case 'troupe.deadLetter':
      return kindOfJob(event.to) === undefined ? unchanged(context) : left(context, [event.to])
    default:
      return unchanged(context)
  }
}

/** Nothing is left on it: its job need not wait to look. */
function emptied(
  context: WatchRecord,
  { diskId, standing, units }: Payload<'DISK_CHANGED'>,
): Served {
  const kind = kindFor(standing)
  const job = kind === undefined || units > 0 ? undefined : jobAddress(kind, diskId)
  const isKnown = job !== undefined && jobsOf(context).includes(job)
  return isKnown
    ? { next: context, messages: [{ to: job, event: { type: 'LOOK' } }] }
    : unchanged(context)
}

function unchanged(next: WatchRecord): Served {
  return { next, messages: [] }
}
