/**
 * The small machines beside the job (`job.ts`): an app that may submit jobs, and the source of job ids.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply } from '../../src/index.ts'

export interface AppRecord {
  /** 32 lower-case hex digits; whoever knows it may act as the app. */
  appKey: string
  /** Unix ms. */
  createdAt: number
  /** Whether it may do what concerns others as well: take workers out of service. */
  isAdmin: boolean
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
  input: z.object({
    appKey: z.string().regex(/^[0-9a-f]{32}$/),
    createdAt: z.int(),
    isAdmin: z.boolean().default(false),
  }),
  events: { ENABLE: z.object({}), DISABLE: z.object({}) },
  secrets: ['appKey'],
  role: 'admin',
  index: ({ createdAt, isAdmin }) => ({ createdAt, isAdmin }),
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
