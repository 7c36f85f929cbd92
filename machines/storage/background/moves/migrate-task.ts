/**
 * The machine `migrate-task`: a chunk that moves to another disk. Decides: its states and the order of its steps
 * (reference sheet, section 5), each in a state of its own, so that a crash repeats that step only. Leaves to
 * others: which way on from each end of a step there is (`move-chart.ts`), and what follows from it
 * (`move-rules.ts`), the steps (`move-tasks.ts`, `settle-task.ts`).
 *
 * ```
 * inited          waiting ──PREPARE──►            delayed: others may have its volume and its place
 * preparing       claiming ► locking ► allocating
 * prepared        queued ◄─► leased               reclaiming: another disk
 * work_completed  comparing ► updating ► settling    withdrawing: CANCEL of a swap that may be done
 * finished, finished_in_advance, cancelled        readable for days
 * parked          until RETRY
 * ```
 *
 * It is compared before the swap with what the others of its volume have, so that no blob that was deleted
 * while it was copied can be read again; and once more when the old chunk is gone, since a deletion may have
 * marked the old one until then.
 */
import { defineMachine } from '../../../../src/index.ts'
import { MOVER_MACHINE } from '../../plane/volumes/index.ts'
import {
  act,
  again,
  allocationOf,
  atEnd,
  BACK,
  BEGIN_ANEW,
  broken,
  CANCEL,
  CANCELLED,
  chart,
  isCancelWished,
  isEnd,
  moverOf,
  OVER,
  onward,
  PREPARED,
  pausing,
  REDO,
  REDONE_TOO_OFTEN,
  RETRIED,
  STUCK,
  swapOf,
  WITHDRAWN,
} from './move-chart.ts'
import { indexOf } from './move-index.ts'
import { moveEvents, moveInput, moveRecord, newMove } from './move-record.ts'
import * as rules from './move-rules.ts'

/** For who asks, days later, what became of it. */
const FINISHED_KEPT_MS = 3 * 86_400_000
const HISTORY_COUNT = 50

const machine = chart.createMachine({
  id: MOVER_MACHINE,
  context: ({ input }) => newMove(input),
  entry: act(rules.begun),
  initial: 'inited',
  on: { PRIORITY: { actions: act(rules.prioritized) }, ANNOUNCED: {} },
  states: {
    inited: {
      initial: 'waiting',
      on: { CANCEL },
      states: {
        waiting: {
          entry: act(rules.waits),
          on: { PREPARE: '#migrate-task.preparing' },
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
      entry: act(rules.turned),
      initial: 'claiming',
      on: { CANCEL: { actions: act(rules.cancelWished) } },
      states: {
        claiming: {
          invoke: {
            id: 'claim',
            src: 'claim',
            input: moverOf,
            onDone: onward(
              CANCELLED,
              OVER,
              BACK,
              STUCK,
              again('claimPausing'),
              { guard: 'isUnlocked', target: 'allocating' },
              { target: 'locking' },
            ),
            onError: [CANCELLED, broken('claimPausing')],
          },
        },
        claimPausing: pausing('claiming'),
        locking: {
          invoke: {
            id: 'lock',
            src: 'lock',
            input: moverOf,
            onDone: onward(CANCELLED, OVER, BACK, STUCK, again('lockPausing'), {
              target: 'allocating',
            }),
            onError: [CANCELLED, broken('lockPausing')],
          },
        },
        lockPausing: pausing('locking'),
        allocating: {
          invoke: {
            id: 'alloc',
            src: 'alloc',
            input: allocationOf,
            onDone: onward(CANCELLED, OVER, BACK, STUCK, again('allocPausing'), {
              target: PREPARED,
              actions: atEnd(rules.prepared),
            }),
            onError: [CANCELLED, broken('allocPausing')],
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
            onDone: onward(CANCELLED, OVER, BACK, STUCK, again('pausing'), {
              target: 'queued',
              actions: atEnd(rules.prepared),
            }),
            onError: [CANCELLED, broken('pausing')],
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
              unheardTries: context.unheardTries,
            }),
            onDone: onward(
              CANCELLED,
              OVER,
              BACK,
              STUCK,
              REDO,
              REDONE_TOO_OFTEN,
              again('comparePausing'),
              { target: 'updating' },
            ),
            onError: [CANCELLED, broken('comparePausing')],
          },
        },
        comparePausing: pausing('comparing'),
        updating: {
          on: { CANCEL: { actions: act(rules.cancelWished) } },
          invoke: {
            id: 'update',
            src: 'update',
            input: swapOf,
            onDone: onward(
              WITHDRAWN,
              OVER,
              BACK,
              STUCK,
              REDO,
              REDONE_TOO_OFTEN,
              again('updatePausing'),
              { target: 'settling', actions: atEnd(rules.swapped) },
            ),
            onError: [{ guard: isCancelWished, target: 'withdrawing' }, broken('updatePausing')],
          },
        },
        updatePausing: {
          after: { wait: 'updating' },
          on: {
            RETRY: { target: 'updating', actions: RETRIED },
            CANCEL: { target: 'withdrawing', actions: act(rules.cancelWished) },
          },
        },
        /** Until that is known it is neither cancelled nor swapped. */
        withdrawing: {
          on: { CANCEL: { actions: act(rules.cancelWished) } },
          invoke: {
            id: 'withdraw',
            src: 'withdraw',
            input: swapOf,
            onDone: onward(
              again('withdrawPausing'),
              { guard: isEnd('late'), target: 'settling', actions: atEnd(rules.swapped) },
              STUCK,
              CANCELLED,
            ),
            onError: broken('withdrawPausing'),
          },
        },
        withdrawPausing: {
          after: { wait: 'withdrawing' },
          on: {
            RETRY: { target: 'withdrawing', actions: RETRIED },
            CANCEL: { actions: act(rules.cancelWished) },
          },
        },
        settling: {
          invoke: {
            id: 'settle',
            src: 'settle',
            input: ({ context }) => ({
              ...swapOf({ context }),
              ...{ codeMode: context.codeMode, unheardTries: context.unheardTries },
            }),
            onDone: onward(again('settlePausing'), {
              target: '#migrate-task.finished',
              actions: atEnd(rules.finished),
            }),
            onError: broken('settlePausing'),
          },
        },
        settlePausing: {
          after: { wait: 'settling' },
          on: { RETRY: { target: 'settling', actions: RETRIED } },
        },
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
