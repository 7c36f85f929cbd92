/**
 * The machine `migrate-task`: a chunk that moves to another disk. Decides: its states and the order of its steps
 * (reference sheet, section 5), each in a state of its own, so that a crash repeats that step only. Leaves to
 * others: what follows from each end of a step (`move-rules.ts`), the steps (`move-tasks.ts`, `settle-task.ts`).
 *
 * ```
 * inited          waiting ──PREPARE──►            delayed: others may have its volume and its place
 * preparing       claiming ► locking ► allocating
 * prepared        queued ◄─► leased               reclaiming: another disk
 * work_completed  comparing ► updating ► settling
 * finished, finished_in_advance, cancelled        readable for days
 * parked          until RETRY
 * ```
 *
 * It is compared before the swap with what the others of its volume have, so that no blob that was deleted
 * while it was copied can be read again; and once more when the old chunk is gone, since a deletion may have
 * marked the old one until then.
 */
import { setup } from 'xstate'
import { defineMachine, reply, tell } from '../../../../src/index.ts'
import { outputOf } from '../../plane/task-ends.ts'
import { indexOf } from './move-index.ts'
import {
  type MoveEvent,
  type MoveInput,
  type MoveRecord,
  moveEvents,
  moveInput,
  moveRecord,
  newMove,
} from './move-record.ts'
import * as rules from './move-rules.ts'
import { AGAIN_MS, allocTask, claimTask, lockTask, updateTask } from './move-tasks.ts'
import { compareTask, settleTask } from './settle-task.ts'
import type { Prepared, StepOutput } from './step-output.ts'

/** For who asks, days later, what became of it. */
const FINISHED_KEPT_MS = 3 * 86_400_000
const HISTORY_COUNT = 50
/** A queue that was deleted by hand begins anew without it. */
const OFFER_AGAIN_MS = 600_000
/** There was no queue to take it. */
const OFFER_SOON_MS = 10_000

function isItsLease({ lease }: MoveRecord, event: MoveEvent): boolean {
  return 'token' in event && lease !== null && event.token === lease.token
}

const chart = setup({
  types: {
    context: {} as MoveRecord,
    events: {} as MoveEvent,
    input: {} as MoveInput,
  },
  actors: {
    claim: claimTask,
    lock: lockTask,
    alloc: allocTask,
    compare: compareTask,
    update: updateTask,
    settle: settleTask,
  },
  delays: {
    wait: ({ context }) => context.waitMs,
    offerAgain: ({ context }) => (context.isUnheard ? OFFER_SOON_MS : OFFER_AGAIN_MS),
  },
  guards: {
    isUnlocked: ({ context }) => context.type === 'disk_repair',
    isItsLease: ({ context, event }) => isItsLease(context, event),
    isRoundOver: ({ context, event }) => isItsLease(context, event) && rules.isRoundOver(context),
    isLastRoundOver: ({ context, event }) =>
      isItsLease(context, event) && rules.isLastRoundOver(context),
  },
  actions: {
    tell: tell((_, { words }: { words: rules.Change['words'] }) => words),
    answer: reply((_, { answer }: { answer: rules.MoveAnswer }) => answer),
  },
})

const act = <TEvent extends MoveEvent>(rule: (now: MoveRecord, event: TEvent) => rules.Change) =>
  chart.enqueueActions(({ context, event, enqueue }) => {
    const { next, words, answer } = rule(context, event as TEvent)
    // As a function: of a record XState would go through each field by itself.
    enqueue.assign(() => next)
    if (words.length > 0) enqueue({ type: 'tell', params: { words } })
    if (answer) enqueue({ type: 'answer', params: { answer } })
  })

type Output = StepOutput | Prepared

const atEnd = (rule: (now: MoveRecord, output: never) => rules.Change) =>
  act((now, event) => rule(now, outputOf<Output>(event) as never)) as never

type End = StepOutput['end']

const isEnd = (end: End) => (args: { event: unknown }) => outputOf<Output>(args.event).end === end

/** The ways on from the end of a step; the first whose guard holds. */
const then = (...ways: readonly object[]) => ways as never

const PREPARED = '#migrate-task.prepared'
const DELAYED = '#migrate-task.inited.delayed'
const PARKED = '#migrate-task.parked'

const OVER = {
  guard: isEnd('over'),
  target: '#migrate-task.finished_in_advance',
  actions: atEnd(rules.finishedInAdvance),
} as const
const BACK = { guard: isEnd('back'), target: DELAYED, actions: atEnd(rules.steppedBack) } as const
const STUCK = { guard: isEnd('stuck'), target: PARKED, actions: atEnd(rules.parked) } as const
const REDO = {
  guard: ({ context, event }: { context: MoveRecord; event: unknown }) =>
    isEnd('redo')({ event }) && rules.canRedo(context),
  target: `${PREPARED}.pausing`,
  actions: atEnd(rules.redone),
} as const
const REDONE_TOO_OFTEN = { ...STUCK, guard: isEnd('redo') } as const
/** An operator wished it while a step was under way. */
const CANCELLED = {
  guard: ({ context }: { context: MoveRecord }) => context.isCancelled,
  target: '#migrate-task.cancelled',
  actions: act(rules.cancelled) as never,
} as const
const again = (target: string) => ({
  ...{ guard: isEnd('again'), target, actions: atEnd(rules.again) },
})

/** The platform gave a step up: it is begun again in a while. */
const broken = <TTarget extends string>(target: TTarget) =>
  ({
    target,
    actions: act((now, event) => {
      const { error } = event as unknown as { error: unknown }
      return rules.again(now, rules.brokenStep(now, error, AGAIN_MS))
    }) as never,
  }) as const

/** Worker after worker gave it up. */
const BEGIN_ANEW = [
  { guard: 'isLastRoundOver', target: PARKED, actions: act(rules.givenUpForGood) },
  { guard: 'isRoundOver', target: DELAYED, actions: act(rules.givenUpAgain) },
] as const
const CANCEL = { target: '#migrate-task.cancelled', actions: act(rules.cancelled) } as const
const RETRIED = act(rules.hurried)
/** What waits goes on by itself, or when it is told to. */
const pausing = <TTarget extends string>(target: TTarget) =>
  ({ after: { wait: target }, on: { RETRY: { target, actions: RETRIED }, CANCEL } }) as const

/** Of a swap that may be done already there is no way back. */
const swapping = <TTarget extends string>(target: TTarget) =>
  ({ after: { wait: target }, on: { RETRY: { target, actions: RETRIED } } }) as const

const moverOf = ({ context: { taskId, type, sourceVuid } }: { context: MoveRecord }) => ({
  ...{ taskId, type, sourceVuid },
})
const allocationOf = ({ context }: { context: MoveRecord }) => ({
  ...moverOf({ context }),
  ...{ sourceIdc: context.sourceIdc, excludes: context.excludes },
})
const swapOf = ({ context }: { context: MoveRecord }) => ({
  ...moverOf({ context }),
  ...{ sourceDiskId: context.sourceDiskId, destination: context.destination },
})

const machine = chart.createMachine({
  id: 'migrate-task',
  context: ({ input }) => newMove(input),
  entry: act(rules.begun),
  initial: 'inited',
  on: { PRIORITY: { actions: act(rules.prioritized) } },
  states: {
    inited: {
      initial: 'waiting',
      on: { CANCEL },
      states: {
        waiting: {
          entry: act(rules.waits),
          on: { PREPARE: { target: '#migrate-task.preparing', actions: act(rules.turned) } },
        },
        delayed: {
          after: { wait: 'waiting' },
          on: {
            RETRY: { target: 'waiting', actions: RETRIED },
            PREPARE: { actions: act(rules.tooEarly) },
          },
        },
      },
    },
    preparing: {
      initial: 'claiming',
      on: { CANCEL: { actions: act(rules.cancelWished) } },
      states: {
        claiming: {
          invoke: {
            id: 'claim',
            src: 'claim',
            input: moverOf,
            onDone: then(
              CANCELLED,
              OVER,
              BACK,
              STUCK,
              again('claimPausing'),
              { guard: 'isUnlocked', target: 'allocating' },
              { target: 'locking' },
            ),
            onError: broken('claimPausing'),
          },
        },
        claimPausing: pausing('claiming'),
        locking: {
          entry: act(rules.locking),
          invoke: {
            id: 'lock',
            src: 'lock',
            input: moverOf,
            onDone: then(CANCELLED, OVER, BACK, STUCK, again('lockPausing'), {
              target: 'allocating',
            }),
            onError: broken('lockPausing'),
          },
        },
        lockPausing: pausing('locking'),
        allocating: {
          invoke: {
            id: 'alloc',
            src: 'alloc',
            input: allocationOf,
            onDone: then(CANCELLED, OVER, BACK, STUCK, again('allocPausing'), {
              target: PREPARED,
              actions: atEnd(rules.prepared),
            }),
            onError: broken('allocPausing'),
          },
        },
        allocPausing: pausing('allocating'),
      },
    },
    prepared: {
      initial: 'queued',
      on: { CANCEL },
      states: {
        queued: {
          after: {
            offerAgain: { target: 'queued', reenter: true, actions: act(rules.offeredAgain) },
          },
          on: {
            LEASED: { target: 'leased', actions: act(rules.leased) },
            RETRY: { actions: act(rules.offeredAgain) },
            'troupe.deadLetter': {
              target: 'queued',
              reenter: true,
              actions: act(rules.undelivered),
            },
          },
        },
        leased: {
          // Its queue keeps a lease that it knows.
          after: {
            offerAgain: { target: 'leased', reenter: true, actions: act(rules.offeredAgain) },
          },
          on: {
            LEASED: { actions: act(rules.leased) },
            RETRY: { actions: act(rules.offeredAgain) },
            LEASE_LOST: { guard: 'isItsLease', target: 'queued', actions: act(rules.leaseLost) },
            REPORTED: { guard: 'isItsLease', actions: act(rules.reported) },
            COMPLETED: {
              guard: 'isItsLease',
              target: '#migrate-task.work_completed',
              actions: act(rules.completed),
            },
            CANCELLED: [
              ...BEGIN_ANEW,
              { guard: 'isItsLease', target: 'delayed', actions: act(rules.givenUp) },
            ],
            RECLAIMED: [
              ...BEGIN_ANEW,
              { guard: 'isItsLease', target: 'reclaiming', actions: act(rules.reclaimed) },
            ],
          },
        },
        /** Its queue keeps it from workers for a while. */
        delayed: {
          after: { offerAgain: { target: 'queued', actions: act(rules.offeredAgain) } },
          on: {
            LEASED: { target: 'leased', actions: act(rules.leased) },
            RETRY: { target: 'queued', actions: act(rules.offeredAgain) },
          },
        },
        reclaiming: {
          on: { CANCEL: { actions: act(rules.cancelWished) } },
          invoke: {
            id: 'realloc',
            src: 'alloc',
            input: allocationOf,
            onDone: then(CANCELLED, OVER, BACK, STUCK, again('pausing'), {
              target: 'queued',
              actions: atEnd(rules.prepared),
            }),
            onError: broken('pausing'),
          },
        },
        pausing: pausing('reclaiming'),
      },
    },
    work_completed: {
      initial: 'comparing',
      on: { CANCEL: { actions: act(rules.cancelRefused) } },
      states: {
        comparing: {
          on: { CANCEL: { actions: act(rules.cancelWished) } },
          invoke: {
            id: 'compare',
            src: 'compare',
            input: ({ context }) => ({
              ...swapOf({ context }),
              ...{ codeMode: context.codeMode, redoCount: context.workerRedoCnt },
            }),
            onDone: then(
              CANCELLED,
              OVER,
              BACK,
              STUCK,
              REDO,
              REDONE_TOO_OFTEN,
              again('comparePausing'),
              { target: 'updating' },
            ),
            onError: broken('comparePausing'),
          },
        },
        comparePausing: pausing('comparing'),
        updating: {
          invoke: {
            id: 'update',
            src: 'update',
            input: swapOf,
            onDone: then(OVER, BACK, STUCK, REDO, REDONE_TOO_OFTEN, again('updatePausing'), {
              target: 'settling',
              actions: atEnd(rules.swapped),
            }),
            onError: broken('updatePausing'),
          },
        },
        updatePausing: swapping('updating'),
        settling: {
          invoke: {
            id: 'settle',
            src: 'settle',
            input: ({ context }) => ({ ...swapOf({ context }), codeMode: context.codeMode }),
            onDone: then(again('settlePausing'), {
              target: '#migrate-task.finished',
              actions: atEnd(rules.finished),
            }),
            onError: broken('settlePausing'),
          },
        },
        settlePausing: swapping('settling'),
      },
    },
    parked: {
      on: {
        RETRY: { target: 'inited', actions: act(rules.retried) },
        CANCEL: { target: 'cancelled', actions: act(rules.cancelledWhileParked) },
      },
    },
    finished: { type: 'final' },
    finished_in_advance: { type: 'final' },
    cancelled: { type: 'final' },
  },
})

export const migrateTask = defineMachine({
  machine,
  input: moveInput,
  context: moveRecord,
  events: moveEvents,
  index: indexOf,
  retention: { finishedMs: FINISHED_KEPT_MS, historyCount: HISTORY_COUNT },
})
