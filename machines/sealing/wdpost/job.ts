/**
 * The machine `wdpost-job`: one window proof that somebody wants, until it is made. Decides: who works on it,
 * when a silent worker loses it, how often it is tried. Leaves to others: which worker is asked for which job
 * (`jobs.ts`), the proof. The states have the names of the Venus interface.
 *
 * ```
 * ReadyToRun ──ALLOCATE──► Running ──FINISH──► Finished
 *      ▲ ◄── silence, error: another try ──┘ ── the last one ──►┘
 *      └──────────────── RESET ──────────────────────────┘
 * ```
 *
 * What goes into the proof may be large and never changes, so a child holds it: heartbeats do not write it
 * again and again.
 */
import { assign, cancel, raise, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, formatAddress, reply } from '../../../src/index.ts'

/** A worker that says nothing for so long has lost its job: it should speak every 3 s. */
const HEARTBEAT_MS = 15_000
/** Errors of a machine pass with the next try on another; those of sectors do not. */
export const TRIES_MAX = 2
/** A processor may fail with pages of output: its beginning says what was wrong. */
export const ERROR_CHARS_MAX = 10_000
/** A deadline comes again after 24 h; nobody wants the proof any more by then. */
const LIFETIME_MS = 25 * 3_600_000
const SILENCE = 'heartbeat'

const name = z.string().min(1).max(256)
const task = z.string().max(64).nullable()
/** Unix seconds, as the Venus interface has all times. */
const at = z.int().min(0)

const jobInput = z.object({
  deadline: z.int().min(0),
  partitions: z.array(z.int().min(0)).max(3_000),
  miner: z.int().min(0),
  proofType: z.int().min(0),
  sectors: z.int().min(0),
  /** Of all that goes into the proof: see `packed.ts`. */
  packed: z.string(),
  at,
})
export type JobInput = z.output<typeof jobInput>

const events = {
  ALLOCATE: z.object({ worker: name, task, at }),
  HEARTBEAT: z.object({ worker: name, at }),
  FINISH: z.object({ output: z.unknown(), error: z.string().max(ERROR_CHARS_MAX), task, at }),
  RESET: z.object({ at }),
}

/** Times are unix seconds; 0: not yet. */
export interface JobContext extends Omit<JobInput, 'packed' | 'at'> {
  tries: number
  /** Who works on it, or did last. */
  worker: string
  /** The task that it was given to; null: it did not say. */
  task: string | null
  /** The task whose failure was taken last: it may be told again. */
  failedTask: string | null
  /** The worker fell silent, and may still come back. */
  isLapsed: boolean
  output: unknown
  error: string
  startedAt: number
  heartbeatAt: number
  finishedAt: number
  createdAt: number
  updatedAt: number
}

type Payload<TType extends keyof typeof events> = z.output<(typeof events)[TType]>
type JobEvent =
  | ({ type: 'ALLOCATE' } & Payload<'ALLOCATE'>)
  | ({ type: 'HEARTBEAT' } & Payload<'HEARTBEAT'>)
  | ({ type: 'FINISH' } & Payload<'FINISH'>)
  | ({ type: 'RESET' } & Payload<'RESET'>)
  | { type: 'SILENT'; at: number }

export type JobAnswer = { taken: boolean }

export function jobAddress(id: string): string {
  return formatAddress('wdpost-job', id)
}

/** Of the child that holds what goes into the proof. */
export function inputAddress(id: string): string {
  return formatAddress('wdpost-job', id, ['input'])
}

const holder = setup({
  types: { context: {} as { packed: string }, input: {} as { packed: string } },
}).createMachine({ id: 'wdpost-input', context: ({ input: { packed } }) => ({ packed }) })

const FRESH = { worker: '', task: null, isLapsed: false, startedAt: 0, heartbeatAt: 0 } as const
const UNDONE = { output: null, error: '', finishedAt: 0 } as const

const chart = setup({
  types: {
    context: {} as JobContext,
    events: {} as JobEvent,
    input: {} as JobInput,
  },
  actors: { holder },
  delays: { lifetime: LIFETIME_MS },
  guards: {
    isLastWorker: ({ context, event }) =>
      event.type === 'HEARTBEAT' && event.worker === context.worker,
    isBack: ({ context, event }) =>
      event.type === 'HEARTBEAT' && context.isLapsed && event.worker === context.worker,
    isSameTask: ({ context, event }) =>
      event.type === 'ALLOCATE' && event.task !== null && event.task === context.task,
    isDone: ({ event }) => event.type === 'FINISH' && isSuccess(event),
    isToldAgain: ({ context, event }) =>
      event.type === 'FINISH' && event.task !== null && event.task === context.failedTask,
    hasTries: ({ context }) => context.tries < TRIES_MAX,
    hasFailed: ({ context }) => context.error !== '',
  },
  actions: {
    take: reply((): JobAnswer => ({ taken: true })),
    refuse: reply((): JobAnswer => ({ taken: false })),
    begin: assign(({ context, event }) =>
      event.type === 'ALLOCATE'
        ? {
            ...UNDONE,
            ...{ tries: context.tries + 1, worker: event.worker, task: event.task },
            ...{ isLapsed: false, startedAt: event.at, heartbeatAt: event.at, updatedAt: event.at },
          }
        : {},
    ),
    beat: assign(({ event }) =>
      event.type === 'HEARTBEAT' || event.type === 'ALLOCATE'
        ? { isLapsed: false, error: '', heartbeatAt: event.at, updatedAt: event.at }
        : {},
    ),
    succeed: assign(({ event }) =>
      event.type === 'FINISH'
        ? {
            ...{ output: event.output, error: '', isLapsed: false, task: null },
            ...{ finishedAt: event.at, updatedAt: event.at },
          }
        : {},
    ),
    fail: assign(({ event }) =>
      event.type === 'FINISH'
        ? {
            ...{ output: null, isLapsed: false, task: null, failedTask: event.task },
            error: event.error === '' ? 'its worker gave no output and no error' : event.error,
            ...{ finishedAt: event.at, updatedAt: event.at },
          }
        : {},
    ),
    lapse: assign(({ context, event }) =>
      event.type === 'SILENT'
        ? {
            isLapsed: true,
            error: `worker ${context.worker} was silent for ${HEARTBEAT_MS / 1_000} s`,
            ...{ finishedAt: event.at, updatedAt: event.at },
          }
        : {},
    ),
    reset: assign(({ event }) =>
      event.type === 'RESET'
        ? { ...FRESH, ...UNDONE, tries: 0, failedTask: null, updatedAt: event.at }
        : {},
    ),
    listen: raise(
      ({ context }) => ({
        type: 'SILENT' as const,
        at: context.heartbeatAt + HEARTBEAT_MS / 1_000,
      }),
      { id: SILENCE, delay: HEARTBEAT_MS },
    ),
  },
})

const machine = chart.createMachine({
  id: 'wdpost-job',
  context: ({ input: { packed: _packed, at: createdAt, ...facts } }) => ({
    ...facts,
    ...FRESH,
    ...UNDONE,
    ...{ tries: 0, failedTask: null, createdAt, updatedAt: createdAt },
  }),
  invoke: {
    id: 'input',
    src: 'holder',
    input: ({ event }) => ({ packed: (event as unknown as { input: JobInput }).input.packed }),
  },
  initial: 'ReadyToRun',
  states: {
    ReadyToRun: {
      on: {
        ALLOCATE: [
          // Its answer was lost, and the job with it.
          { guard: 'isSameTask', target: 'Running', actions: ['beat', 'take'] },
          { target: 'Running', actions: ['begin', 'take'] },
        ],
        HEARTBEAT: [
          { guard: 'isBack', target: 'Running', actions: ['beat', 'take'] },
          { actions: 'refuse' },
        ],
        FINISH: [
          { guard: 'isDone', target: 'Finished', actions: ['succeed', 'take'] },
          // Of somebody who has lost it: that was counted when it was lost.
          { actions: 'refuse' },
        ],
      },
    },
    Running: {
      entry: 'listen',
      exit: cancel(SILENCE),
      on: {
        ALLOCATE: [
          { guard: 'isSameTask', target: 'Running', reenter: true, actions: ['beat', 'take'] },
          { actions: 'refuse' },
        ],
        HEARTBEAT: [
          { guard: 'isLastWorker', target: 'Running', reenter: true, actions: ['beat', 'take'] },
          { actions: 'refuse' },
        ],
        FINISH: [
          { guard: 'isDone', target: 'Finished', actions: ['succeed', 'take'] },
          { guard: 'isToldAgain', actions: 'take' },
          { guard: 'hasTries', target: 'ReadyToRun', actions: ['fail', 'take'] },
          { target: 'Finished', actions: ['fail', 'take'] },
        ],
        SILENT: [
          { guard: 'hasTries', target: 'ReadyToRun', actions: 'lapse' },
          { target: 'Finished', actions: 'lapse' },
        ],
      },
    },
    Finished: {
      on: {
        ALLOCATE: { actions: 'refuse' },
        HEARTBEAT: { actions: 'refuse' },
        FINISH: [
          // Better late than never: what goes into it is the same whoever makes it.
          {
            guard: ({ context, event }) => context.error !== '' && isSuccess(event),
            actions: ['succeed', 'take'],
          },
          { actions: 'take' },
        ],
      },
    },
    Over: { type: 'final' },
  },
  on: { RESET: { target: '.ReadyToRun', actions: ['reset', 'take'] } },
  after: { lifetime: '.Over' },
})

export const wdpostJobMachine = defineMachine({
  machine,
  input: jobInput,
  internal: ['SILENT'],
  events,
  index: ({ miner, proofType, deadline, worker, task: given, error }) => ({
    ...{ miner, proofType, deadline, worker },
    ...{ task: given, isFailed: error !== '' },
  }),
  // What is over is gone, with all that it held.
  retention: { finishedMs: 0, historyCount: 30 },
})

function isSuccess(event: Pick<JobEvent, 'type'> & { output?: unknown; error?: string }): boolean {
  return event.error === '' && event.output !== null && event.output !== undefined
}
