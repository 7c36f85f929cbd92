/**
 * The machines `disk-drop` and `disk-repair`: one disk that is emptied, by moves of all that lies on it. Decides:
 * their states, and when tasks run for them. Leaves to others: which disks, and how many at once (`disk-watch.ts`);
 * what follows from what is found (`job-rules.ts`); the tasks (`job-tasks.ts`); the moves (moves).
 *
 * ```
 * queued ──PLACE──► taking ──► generating ◄──────────► migrating      moves are under way
 *                                  │ ▲ └──────────────► verifying      something is left: looked at again
 *                                  ▼ └──────────────────────┘
 *                              finishing ──► done, kept for a while
 * ```
 *
 * All that is known of the disk is its own ledger: a job that is cut off anywhere looks at it again.
 */
import { setup } from 'xstate'
import { addressOf, defineMachine, type MachineDefinition, tell } from '../../../../src/index.ts'
import { DISK_WATCH } from '../../plane/disks/index.ts'
import { failureOf, outputOf } from '../../plane/task-ends.ts'
import { clippedWhy } from '../../plane/why.ts'
import { JOB_MACHINES, type JobKind } from './job-kinds.ts'
import {
  type JobEvent,
  type JobInput,
  type JobRecord,
  jobContext,
  jobEvents,
  jobInput,
  newJob,
  progressOf,
} from './job-record.ts'
import { afterLook, ended, type Looked, moveEnded, type Next, renewed } from './job-rules.ts'
import { type Finished, finishTask, lookTask, type Taken, takeTask } from './job-tasks.ts'

/** After a task was given up, or nobody was there to give a place. */
const AGAIN_MS = 5_000
/** A watch that was deleted begins anew, and knows none of those that wait. */
const ASK_AGAIN_MS = 60_000
const HISTORY_COUNT = 100

interface OfKind {
  kind: JobKind
}

const chart = setup({
  types: {
    context: {} as JobRecord,
    events: {} as JobEvent,
    input: {} as JobInput,
  },
  actors: { take: takeTask, look: lookTask, finish: finishTask },
  delays: {
    again: AGAIN_MS,
    askAgain: ASK_AGAIN_MS,
    pause: ({ context }) => context.pauseMs,
    whileItIsKept: ({ context }) => context.keptMs,
  },
  guards: {
    leadsTo: ({ context, event }, { next }: { next: Next }) =>
      afterLook(context, outputOf<Looked>(event)).next === next,
    isNotThere: ({ event }) =>
      event.type === 'troupe.deadLetter' && event.event.type === 'ASK_PLACE',
  },
  actions: {
    askPlace: tell(({ self }, { kind }: OfKind) => ({
      to: DISK_WATCH,
      event: { type: 'ASK_PLACE', kind, job: addressOf(self) },
    })),
    givePlaceBack: tell(({ self }, { kind }: OfKind) => ({
      to: DISK_WATCH,
      event: { type: 'PLACE_BACK', kind, job: addressOf(self) },
    })),
  },
})

const change = (to: (job: JobRecord, event: JobEvent) => Partial<JobRecord>) =>
  chart.assign(({ context, event }) => to(context, event))
/** The types of events name no ends of tasks. */
const atEnd = (to: (job: JobRecord, event: JobEvent) => Partial<JobRecord>) => change(to) as never

const keepLooked = atEnd((job, event) => afterLook(job, outputOf<Looked>(event)).job)
const renew = change((job) => renewed(job))
const hearEnd = change((job, event) =>
  event.type === 'MOVE_ENDED' ? moveEnded(job, event.taskId) : {},
)
const hearSwitch = change((_, event) => ('isOn' in event ? { isOn: event.isOn } : {}))
const hearPlace = change((_, event) => ({
  wait: null,
  ...('isOn' in event ? { isOn: event.isOn } : {}),
}))
const hearQueued = change((_, event) =>
  event.type === 'QUEUED' ? { wait: { why: event.why, until: null } } : {},
)
const keepFailure = atEnd((_, event) => ({
  ...{ pauseMs: AGAIN_MS, wait: { why: clippedWhy(failureOf(event)), until: null } },
}))
const next = (to: Next) =>
  ({
    guard: { type: 'leadsTo', params: { next: to } },
    target: to,
    actions: keepLooked,
    ...(to === 'generating' ? { reenter: true } : {}),
  }) as const
const lookAgain = { target: 'generating', actions: renew } as const

const queuedState = (kind: JobKind) =>
  chart.createStateConfig({
    initial: 'asking',
    on: { PLACE: { target: 'taking', actions: hearPlace }, QUEUED: { actions: hearQueued } },
    states: {
      asking: {
        entry: { type: 'askPlace', params: { kind } },
        after: { askAgain: { target: 'asking', reenter: true } },
        on: { 'troupe.deadLetter': { guard: 'isNotThere', target: 'alone' } },
      },
      /** The watch is younger than the job. */
      alone: { after: { again: 'asking' } },
    },
  })

const takingState = (kind: JobKind) =>
  chart.createStateConfig({
    invoke: {
      id: 'take',
      src: 'take',
      input: ({ context: { diskId } }) => ({ kind, diskId }),
      onDone: [
        {
          guard: ({ event }) => event.output.over !== null,
          target: 'done',
          actions: atEnd((job, event) => takenOver(job, outputOf<Taken>(event))),
        },
        {
          guard: ({ event }) => event.output.trouble !== null,
          target: 'stuck',
          actions: atEnd((_, event) => takenBadly(outputOf<Taken>(event))),
        },
        { target: 'generating', actions: atEnd((_, event) => taken(outputOf<Taken>(event))) },
      ],
      onError: { target: 'stuck', actions: keepFailure },
    },
  })

/** It could not even be taken in hand. */
const stuckState = chart.createStateConfig({
  after: { pause: 'taking' },
  on: { LOOK: 'taking' },
})

const generatingState = (kind: JobKind) =>
  chart.createStateConfig({
    invoke: {
      id: 'look',
      src: 'look',
      input: ({ context: { diskId, isOn, live, ended: over, round } }) => ({
        ...{ kind, diskId, isOn, live, ended: over, round },
      }),
      onDone: [
        next('done'),
        next('finishing'),
        next('generating'),
        next('migrating'),
        next('verifying'),
      ],
      onError: { target: 'verifying', actions: keepFailure },
    },
  })

const migratingState = chart.createStateConfig({
  after: { pause: lookAgain },
  on: {
    LOOK: lookAgain,
    SWITCH: { target: 'generating', actions: [hearSwitch, renew] },
    MOVE_ENDED: { target: 'generating', actions: [hearEnd] },
  },
})

const verifyingState = chart.createStateConfig({
  after: { pause: lookAgain },
  on: {
    LOOK: lookAgain,
    SWITCH: { target: 'generating', actions: [hearSwitch, renew] },
    MOVE_ENDED: { target: 'generating', actions: [hearEnd, renew] },
  },
})

const finishingState = (kind: JobKind) =>
  chart.createStateConfig({
    invoke: {
      id: 'finish',
      src: 'finish',
      input: ({ context: { diskId } }) => ({ kind, diskId }),
      onDone: [
        {
          guard: ({ event }) => event.output.trouble === null,
          target: 'done',
          actions: atEnd((job, event) =>
            ended(job, { end: 'emptied', why: '' }, outputOf<Finished>(event).at),
          ),
        },
        {
          target: 'verifying',
          actions: atEnd((_, event) => unfinished(outputOf<Finished>(event))),
        },
      ],
      onError: { target: 'verifying', actions: keepFailure },
    },
  })

function machineOf(kind: JobKind) {
  return chart.createMachine({
    id: JOB_MACHINES[kind],
    context: ({ input }) => newJob(input),
    initial: 'queued',
    on: { SWITCH: { actions: hearSwitch }, MOVE_ENDED: { actions: hearEnd } },
    states: {
      queued: queuedState(kind),
      taking: takingState(kind),
      stuck: stuckState,
      generating: generatingState(kind),
      migrating: migratingState,
      verifying: verifyingState,
      finishing: finishingState(kind),
      done: {
        entry: { type: 'givePlaceBack', params: { kind } },
        after: { whileItIsKept: 'gone' },
      },
      gone: { type: 'final' },
    },
  })
}

function taken({ at, keptMs, left }: Taken): Partial<JobRecord> {
  return { startedAt: at, keptMs, total: left, left, wait: null }
}

function takenOver(job: JobRecord, { at, keptMs, over }: Taken): Partial<JobRecord> {
  return over === null ? {} : { ...ended(job, over, at), keptMs }
}

function takenBadly({ at, checkMs, trouble }: Taken): Partial<JobRecord> {
  const wait = { why: clippedWhy(trouble ?? ''), until: at + checkMs }
  return { pauseMs: checkMs, wait }
}

function unfinished({ at, trouble }: Finished): Partial<JobRecord> {
  return { pauseMs: AGAIN_MS, wait: { why: clippedWhy(trouble ?? ''), until: at + AGAIN_MS } }
}

function define(kind: JobKind): MachineDefinition {
  return defineMachine({
    machine: machineOf(kind),
    input: jobInput,
    context: jobContext,
    events: jobEvents,
    index: (job) => {
      const { total, done, bytes, moving, still, why, until } = progressOf(job)
      const { diskId, end } = job
      return { diskId, total, done, bytes, moving, still, why, until, end }
    },
    retention: { finishedMs: 0, historyCount: HISTORY_COUNT },
  })
}

export const diskDrop = define('disk_drop')
export const diskRepair = define('disk_repair')
