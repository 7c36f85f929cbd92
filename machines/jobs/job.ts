/**
 * The machine `job`: a command's way from its submission to its end, and to further attempts.
 *
 * Decides: the states, when there is another attempt, what can be asked in which state, and what the
 * callback is told. Leaves to others: the words for it (`job-view.ts`), running the command
 * (`command.ts`).
 *
 * ```
 * waiting.type ──► active.ready ──► active.running ──► success │ failed │ killed ──► removed
 *      ▲ waiting.interval ◄──────────────────┘ another attempt         │
 *      └───────────────────────────── RERUN ───────────────────────────┘
 * ```
 *
 * `active` has the command as its task: `ready` while it waits in the queue of its group, `running`
 * once a worker has begun it. Leaving `active` ends the command. The time that an attempt may run is
 * kept by its worker, so that the next one begins only when the command is gone. Ended jobs are not
 * final to the platform: they can be run again, until they are removed.
 */
import { assign, cancel, enqueueActions, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, type TaskFailure, type TaskStartedEvent } from '../../src/index.ts'
import { type CALLBACK_STATUSES, type CallbackInput, jobCallback } from './callback.ts'
import { type CommandInput, type CommandOutput, jobCommand } from './command.ts'
import {
  type FailureClass,
  type JobChanges,
  type JobInput,
  jobChanges,
  jobInput,
} from './job-input.ts'

export interface JobContext extends JobInput {
  /** Attempts that have begun; it never goes back. */
  attempt: number
  /** Whether a worker has begun the present one: a resume may enter `running` with a new task. */
  begun: boolean
  /** Attempts since the submission, or the last rerun, by what became of them. */
  failures: JobInput['retries']
  /** How the last command ended; null while it has not. */
  exit: CommandOutput | null
  /** Why the job, or its last attempt, ended as it did, in words. */
  reason: string
  callbacks: number
}

type JobEvent =
  | { type: 'KILL'; by?: string | undefined }
  | { type: 'RERUN' }
  | { type: 'REMOVE'; by?: string | undefined }
  | { type: 'MODIFY'; changes: JobChanges }
  | { type: 'LEARN_TYPE'; jobType: string; template: string[] }
  | { type: 'EXPIRE' }
  | TaskStartedEvent<'command'>

type CallbackStatus = (typeof CALLBACK_STATUSES)[number]

const QUEUE_WAIT = 'queue-wait'
/** Of the retention: the job is known, as removed, for an hour more. */
const REMOVED_MS = 3_600_000

const STARTED = 'troupe.started.actor.command' satisfies TaskStartedEvent['type']
const KILLED_BY_HAND = 'killed while it was held; its history says by whom'

const author = z.string().max(256).optional()

const NO_FAILURES: JobContext['failures'] = { failed: 0, timedOut: 0, lost: 0 }

const chart = setup({
  types: {
    context: {} as JobContext,
    events: {} as JobEvent,
    input: {} as JobInput,
  },
  actors: { command: jobCommand, callback: jobCallback },
  delays: {
    interval: ({ context }) => context.retryIntervalMs,
    retention: ({ context }) => context.keepMs,
  },
  guards: {
    isTypeKnown: ({ context }) => context.template !== null,
    isNotBegun: ({ context }) => !context.begun,
    isItsType: ({ context, event }) =>
      event.type === 'LEARN_TYPE' && event.jobType === context.jobType,
  },
  actions: {
    modify: assign(({ context, event }) =>
      event.type === 'MODIFY' ? changed(context, event.changes) : {},
    ),
    learnType: assign(({ event }) =>
      event.type === 'LEARN_TYPE' ? { template: event.template } : {},
    ),
    startOver: assign({ failures: NO_FAILURES, exit: null, reason: '' }),
    noteKill: assign(({ event }) => ({
      reason: event.type === 'KILL' ? `killed by ${event.by ?? 'somebody'}` : KILLED_BY_HAND,
    })),
    noteRemoval: assign(({ event }) => ({
      reason: event.type === 'REMOVE' ? `removed by ${event.by ?? 'somebody'}` : 'its time is over',
    })),
    noteExpiry: assign(({ context: { groupId, queueWaitMs } }) => ({
      reason: `expired: no worker of group ${groupId} began it within ${secondsOf(queueWaitMs)} s`,
    })),
    noteStart: assign(({ context }) => ({
      attempt: context.attempt + 1,
      begun: true,
      exit: null,
    })),
    watchQueue: enqueueActions(({ context, enqueue }) => {
      if (context.queueWaitMs === null) return
      enqueue.raise({ type: 'EXPIRE' }, { id: QUEUE_WAIT, delay: context.queueWaitMs })
    }),
    /** A task of its own, which no state ends but `removed`. */
    tell: enqueueActions(({ context, enqueue }, { status }: { status: CallbackStatus }) => {
      const { callbackUrl: url, callbackKey: key, jobName, attempt, reason: message } = context
      if (url === null) return
      const sequence = context.callbacks + 1
      const input: CallbackInput = { url, key, jobName, status, message, attempt, sequence }
      enqueue.assign({ callbacks: sequence })
      enqueue.spawnChild('callback', { id: `callback-${sequence}`, input })
    }),
  },
})

const ended = (status: CallbackStatus) =>
  chart.createStateConfig({
    entry: { type: 'tell', params: { status } },
    on: {
      RERUN: { target: 'waiting', actions: 'startOver' },
      MODIFY: { actions: 'modify' },
      REMOVE: 'removed',
    },
    after: { retention: 'removed' },
  })

const BEGIN = ['noteStart', { type: 'tell', params: { status: 'running' } }] as const

const machine = chart.createMachine({
  id: 'job',
  context: ({ input }) => ({
    ...input,
    attempt: 0,
    begun: false,
    failures: NO_FAILURES,
    exit: null,
    reason: '',
    callbacks: 0,
  }),
  initial: 'waiting',
  states: {
    waiting: {
      initial: 'type',
      states: {
        type: {
          always: { guard: 'isTypeKnown', target: '#job.active' },
          on: { LEARN_TYPE: { guard: 'isItsType', actions: 'learnType' } },
        },
        interval: { after: { interval: 'type' } },
      },
      on: { MODIFY: { actions: 'modify' }, KILL: 'killed', REMOVE: 'removed' },
    },
    active: {
      initial: 'ready',
      entry: assign({ begun: false }),
      invoke: {
        id: 'command',
        src: 'command',
        input: ({ context }) => commandOf(context),
        onDone: [
          {
            guard: ({ event }) => event.output.code === 0,
            target: 'success',
            actions: assign(({ event: { output } }) => ({ exit: output, reason: wordsOf(output) })),
          },
          {
            guard: ({ context }) => mayRetry(context, 'failed'),
            target: 'waiting.interval',
            actions: assign(({ context, event }) => failedRun(context, event.output)),
          },
          {
            target: 'failed',
            actions: assign(({ context, event }) => failedRun(context, event.output)),
          },
        ],
        onError: [
          {
            guard: ({ context, event }) => mayRetry(context, classOf(event.error)),
            target: 'waiting.interval',
            actions: assign(({ context, event }) => brokenRun(context, event.error)),
          },
          {
            target: 'failed',
            actions: assign(({ context, event }) => brokenRun(context, event.error)),
          },
        ],
      },
      states: {
        ready: {
          entry: 'watchQueue',
          exit: cancel(QUEUE_WAIT),
          on: {
            [STARTED]: { target: 'running', actions: BEGIN },
            // Its task goes out of the queue, and another in.
            MODIFY: { target: '#job.waiting', actions: 'modify' },
            EXPIRE: { target: '#job.failed', actions: 'noteExpiry' },
            REMOVE: '#job.removed',
          },
        },
        running: {
          always: { guard: 'isNotBegun', target: 'ready' },
          on: {
            // After a pause that interrupted it.
            [STARTED]: { actions: BEGIN },
            MODIFY: { actions: 'modify' },
          },
        },
      },
      on: { KILL: 'killed' },
    },
    success: ended('success'),
    failed: ended('failed'),
    // An operator who ends what is held moves it here without an event of ours.
    killed: {
      ...ended('killed'),
      entry: ['noteKill', { type: 'tell', params: { status: 'killed' } }],
    },
    removed: { entry: 'noteRemoval', type: 'final' },
  },
})

export const job = defineMachine({
  machine,
  input: jobInput,
  internal: ['EXPIRE'],
  events: {
    KILL: z.object({ by: author }),
    RERUN: z.object({}),
    REMOVE: z.object({ by: author }),
    MODIFY: z.object({ changes: jobChanges }),
    LEARN_TYPE: z.object({ jobType: z.string(), template: z.array(z.string()) }),
  },
  secrets: ['callbackKey'],
  index: ({ appName, jobName, groupId, executor, jobType, priority }) => ({
    app: appName,
    jobName,
    groupId,
    executor,
    jobType,
    priority,
  }),
  retention: { finishedMs: REMOVED_MS },
})

function commandOf(context: JobContext): CommandInput {
  const { content, template, groupId, priority, onWorkerLost, runTimeoutMs, runAs } = context
  const { jobName, appName, jobType } = context
  return {
    attempt: context.attempt + 1,
    content,
    jobType,
    // `waiting.type` is left only with one.
    template: template ?? [],
    groupId,
    priority,
    onWorkerLost,
    runTimeoutMs,
    runAs,
    jobName,
    appName,
  }
}

/** Of what is not named nothing is changed, and so it is with the classes of `retries`. */
function changed({ retries }: JobContext, changes: JobChanges): Partial<JobInput> {
  const given = givenOf(changes)
  return changes.retries
    ? { ...given, retries: { ...retries, ...givenOf(changes.retries) } }
    : given
}

/** A field that is there without a value is none. */
function givenOf<T extends object>(fields: T): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function mayRetry({ failures, retries }: JobContext, kind: FailureClass): boolean {
  return failures[kind] < retries[kind]
}

/** The end of an attempt that is no success. */
type AttemptEnd = Pick<JobContext, 'exit' | 'reason' | 'failures'>

function failedRun(context: JobContext, exit: CommandOutput): AttemptEnd {
  return { exit, reason: wordsOf(exit), failures: counted(context, 'failed') }
}

/** There was no end of the command to speak of. */
function brokenRun(context: JobContext, error: unknown): AttemptEnd {
  const kind = classOf(error)
  const reason =
    kind === 'timedOut'
      ? `took longer than ${secondsOf(context.runTimeoutMs)} s`
      : (error as TaskFailure).message
  return { exit: null, reason, failures: counted(context, kind) }
}

function counted({ failures }: JobContext, kind: FailureClass): JobContext['failures'] {
  return { ...failures, [kind]: failures[kind] + 1 }
}

function classOf(error: unknown): FailureClass {
  return (error as TaskFailure).code === 'timed-out' ? 'timedOut' : 'lost'
}

function wordsOf({ code, signal }: CommandOutput): string {
  return signal === null ? `exit code ${code}` : `ended by ${signal}`
}

function secondsOf(ms: number | null): number {
  return (ms ?? 0) / 1_000
}
