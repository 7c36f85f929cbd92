/**
 * What the states of a move are put together from. Decides: which way on there is from each end of a step, and how
 * long what waits does so. Leaves to others: the states, and in which of them an operator's word counts
 * (`migrate-task.ts`), what follows from a way that is taken (`move-rules.ts`).
 */
import { setup } from 'xstate'
import { reply, tell } from '../../../../src/index.ts'
import { outputOf } from '../../plane/task-ends.ts'
import type { MoveEvent, MoveInput, MoveRecord } from './move-record.ts'
import * as rules from './move-rules.ts'
import { AGAIN_MS, allocTask, claimTask, lockTask, updateTask, withdrawTask } from './move-tasks.ts'
import { compareTask, settleTask } from './settle-task.ts'
import type { Prepared, StepOutput } from './step-output.ts'

/** A queue that was deleted by hand begins anew without it. */
const OFFER_AGAIN_MS = 600_000
/** There was no queue to take it. */
const OFFER_SOON_MS = 10_000

function isItsLease({ lease }: MoveRecord, event: MoveEvent): boolean {
  return 'token' in event && lease !== null && event.token === lease.token
}

export const chart = setup({
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
    withdraw: withdrawTask,
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

export const act = <TEvent extends MoveEvent>(
  rule: (now: MoveRecord, event: TEvent) => rules.Change,
) =>
  chart.enqueueActions(({ context, event, enqueue }) => {
    const { next, words, answer } = rule(context, event as TEvent)
    // As a function: of a record XState would go through each field by itself.
    enqueue.assign(() => next)
    if (words.length > 0) enqueue({ type: 'tell', params: { words } })
    if (answer) enqueue({ type: 'answer', params: { answer } })
  })

type Output = StepOutput | Prepared

export const atEnd = (rule: (now: MoveRecord, output: never) => rules.Change) =>
  act((now, event) => rule(now, outputOf<Output>(event) as never)) as never

type End = StepOutput['end']

export const isEnd = (end: End) => (args: { event: unknown }) =>
  outputOf<Output>(args.event).end === end

/** The ways on from the end of a step; the first whose guard holds. */
export const onward = (...ways: readonly object[]) => ways as never

export const PREPARED = '#migrate-task.prepared'
const DELAYED = '#migrate-task.inited.delayed'
const PARKED = '#migrate-task.parked'

export const OVER = {
  guard: isEnd('over'),
  target: '#migrate-task.finished_in_advance',
  actions: atEnd(rules.finishedInAdvance),
} as const
export const BACK = {
  guard: isEnd('back'),
  target: DELAYED,
  actions: atEnd(rules.steppedBack),
} as const
export const STUCK = {
  guard: isEnd('stuck'),
  target: PARKED,
  actions: atEnd(rules.parked),
} as const
export const REDO = {
  guard: ({ context, event }: { context: MoveRecord; event: unknown }) =>
    isEnd('redo')({ event }) && rules.canRedo(context),
  target: `${PREPARED}.pausing`,
  actions: atEnd(rules.redone),
} as const
export const REDONE_TOO_OFTEN = { ...STUCK, guard: isEnd('redo') } as const
/** By an operator, while a step was under way. */
export const isCancelWished = ({ context }: { context: MoveRecord }) => context.isCancelled
export const CANCELLED = {
  guard: isCancelWished,
  target: '#migrate-task.cancelled',
  actions: act(rules.cancelled) as never,
} as const
export const again = (target: string) => ({
  ...{ guard: isEnd('again'), target, actions: atEnd(rules.again) },
})

/** The platform gave a step up: it is begun again in a while. */
export const broken = <TTarget extends string>(target: TTarget) =>
  ({
    target,
    actions: act((now, event) => {
      const { error } = event as unknown as { error: unknown }
      return rules.again(now, rules.brokenStep(now, error, AGAIN_MS))
    }) as never,
  }) as const

/** Worker after worker gave it up. */
export const BEGIN_ANEW = [
  { guard: 'isLastRoundOver', target: PARKED, actions: act(rules.givenUpForGood) },
  { guard: 'isRoundOver', target: DELAYED, actions: act(rules.givenUpAgain) },
] as const
export const CANCEL = { target: '#migrate-task.cancelled', actions: act(rules.cancelled) } as const
export const RETRIED = act(rules.hurried)
/** What waits goes on by itself, or when it is told to. */
export const pausing = <TTarget extends string>(target: TTarget) =>
  ({ after: { wait: target }, on: { RETRY: { target, actions: RETRIED }, CANCEL } }) as const

/** Whether a swap that was asked for is done, or may still be: its volume says that. */
export const WITHDRAWN = {
  guard: ({ context, event }: { context: MoveRecord; event: unknown }) =>
    context.isCancelled && !isEnd('done')({ event }) && !isEnd('over')({ event }),
  target: 'withdrawing',
} as const

export const moverOf = ({ context }: { context: MoveRecord }) => {
  const { taskId, type, sourceVuid, turns } = context
  return { type, sourceVuid, claim: { mover: taskId, turn: turns } }
}
export const allocationOf = ({ context }: { context: MoveRecord }) => ({
  ...moverOf({ context }),
  ...{ sourceIdc: context.sourceIdc, excludes: context.excludes },
})
export const swapOf = ({ context }: { context: MoveRecord }) => ({
  ...moverOf({ context }),
  ...{ sourceDiskId: context.sourceDiskId, destination: context.destination },
})
