/**
 * The machines of the family: a job, an app that may submit jobs, and the source of job ids.
 *
 * Decides: the life of each. A job is `active` while its command waits for a worker or runs (its task
 * says which), and ends as `success`, `failed` or `killed`; leaving `active` ends the command.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply } from '../../src/index.ts'
import {
  type CommandInput,
  type CommandOutput,
  jobCommand,
  WORKER_LOST_POLICIES,
} from './command.ts'

const jobInput = z.object({
  jobName: z.string().min(1),
  appName: z.string().min(1),
  executor: z.string(),
  jobType: z.string().min(1),
  content: z.string().min(1),
  /** Unix ms. */
  submittedAt: z.int(),
  groupId: z.int().min(1),
  onWorkerLost: z.enum(WORKER_LOST_POLICIES),
  /** What the job type runs, as it was when the job was submitted. */
  template: z.array(z.string()),
})

export type JobInput = z.infer<typeof jobInput>

export interface JobContext extends JobInput {
  /** How the command ended; null while it has not. */
  exit: CommandOutput | null
  /** Why the job ended as it did, in words. */
  reason: string
}

type KillEvent = { type: 'KILL'; by?: string | undefined }

export const job = defineMachine({
  machine: setup({
    types: { context: {} as JobContext, events: {} as KillEvent, input: {} as JobInput },
    actors: { command: jobCommand },
  }).createMachine({
    id: 'job',
    context: ({ input }) => ({ ...input, exit: null, reason: '' }),
    initial: 'active',
    states: {
      active: {
        invoke: {
          id: 'command',
          src: 'command',
          input: ({ context }) => commandOf(context),
          onDone: [
            {
              guard: ({ event }) => event.output.code === 0,
              target: 'success',
              actions: assign(({ event }) => endOf(event.output)),
            },
            { target: 'failed', actions: assign(({ event }) => endOf(event.output)) },
          ],
        },
        on: {
          KILL: {
            target: 'killed',
            actions: assign({ reason: ({ event }) => `killed by ${event.by ?? 'somebody'}` }),
          },
        },
      },
      success: { type: 'final' },
      failed: { type: 'final' },
      killed: { type: 'final' },
    },
  }),
  input: jobInput,
  events: { KILL: z.object({ by: z.string().max(256).optional() }) },
  index: ({ appName, jobName, groupId, executor }) => ({
    app: appName,
    jobName,
    groupId,
    executor,
  }),
})

function commandOf(context: JobContext): CommandInput {
  const { content, groupId, onWorkerLost, jobName, appName, template } = context
  return { content, groupId, onWorkerLost, jobName, appName, template }
}

function endOf(exit: CommandOutput): { exit: CommandOutput; reason: string } {
  if (exit.signal !== null) return { exit, reason: `ended by ${exit.signal}` }
  return { exit, reason: `exit code ${exit.code}` }
}

export interface AppRecord {
  /** 32 lower-case hex digits; whoever knows it may act as the app. */
  appKey: string
  /** Unix ms. */
  createdAt: number
}

/** A program that may submit jobs; its id is its name. A disabled one is refused. */
export const app = defineMachine({
  machine: setup({
    types: {
      context: {} as AppRecord,
      events: {} as { type: 'ENABLE' } | { type: 'DISABLE' },
      input: {} as AppRecord,
    },
  }).createMachine({
    id: 'app',
    context: ({ input }) => input,
    initial: 'enabled',
    states: {
      enabled: { on: { DISABLE: 'disabled' } },
      disabled: { on: { ENABLE: 'enabled' } },
    },
  }),
  input: z.object({ appKey: z.string().regex(/^[0-9a-f]{32}$/), createdAt: z.int() }),
  events: { ENABLE: z.object({}), DISABLE: z.object({}) },
  secrets: ['appKey'],
  index: ({ createdAt }) => ({ createdAt }),
})

interface TakeContext {
  next: number
}
type TakeEvent = { type: 'TAKE'; count: number }

/** Hands out blocks of job ids: what was handed out is never handed out again, used or not. */
export const jobIds = defineMachine({
  machine: setup({
    types: { context: {} as TakeContext, events: {} as TakeEvent },
  }).createMachine({
    id: 'jobids',
    context: { next: 1 },
    initial: 'serving',
    states: {
      serving: {
        on: {
          TAKE: {
            guard: ({ context, event }) => context.next + event.count <= Number.MAX_SAFE_INTEGER,
            actions: [
              reply(({ context, event }) => ({
                from: context.next,
                count: event.count,
              })),
              assign({ next: ({ context, event }) => context.next + event.count }),
            ],
          },
        },
      },
    },
  }),
  events: { TAKE: z.object({ count: z.int().min(1).max(10_000) }) },
  // By hand it must only go up: set back, it hands out numbers twice.
  context: z.object({ next: z.int().min(1) }),
  retention: { historyCount: 10 },
})

export const JOB_IDS = { machine: 'jobids', id: 'main' } as const
