/**
 * The machines of the family: a worker, and a group of workers with its key.
 *
 * Decides: the life of each. A worker has two sides that know nothing of each other: what an operator
 * wants of it (`duty`), and whether it is heard (`contact`); one that comes back from being lost is as
 * offline as it was.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from '../../src/index.ts'

const workerFacts = z.object({
  /** Empty for the worker of a node itself. */
  group: z.string(),
  /** `ip:port` as it advertises itself; `local` for the worker of a node. */
  address: z.string(),
  version: z.string(),
  slots: z.int().min(0),
  /** What it takes tasks from. Of records from before it was kept: none. */
  queues: z.array(z.string()).default([]),
  /** The node that hears it. */
  node: z.string(),
  /** Why it takes nothing new, in words. */
  refusals: z.array(z.string()),
  /** Unix ms of when this was written: at most half a minute before it was heard last. */
  heardAt: z.number(),
  /** Silence after which it is lost. */
  lostMs: z.int().min(1),
})

export type WorkerFacts = z.infer<typeof workerFacts>

type HeardEvent = { type: 'HEARD'; facts: WorkerFacts; running: number }
type WorkerEvent =
  | HeardEvent
  | { type: 'STOPPED' }
  | { type: 'ONLINE' }
  | { type: 'OFFLINE' }
  | { type: 'DRAIN' }

export const worker = defineMachine({
  machine: setup({
    types: {
      context: {} as WorkerFacts,
      events: {} as WorkerEvent,
      input: {} as WorkerFacts,
    },
    delays: { lost: ({ context }) => context.lostMs },
    guards: { isEmpty: ({ event }) => (event as HeardEvent).running === 0 },
    actions: { note: assign(({ event }) => (event as HeardEvent).facts) },
  }).createMachine({
    id: 'worker',
    context: ({ input }) => input,
    type: 'parallel',
    states: {
      duty: {
        initial: 'online',
        states: {
          online: { on: { OFFLINE: 'offline', DRAIN: 'draining' } },
          // It takes nothing new, and is offline as soon as nothing runs any more.
          draining: {
            on: {
              ONLINE: 'online',
              OFFLINE: 'offline',
              HEARD: { guard: 'isEmpty', target: 'offline' },
            },
          },
          offline: { on: { ONLINE: 'online' } },
        },
      },
      contact: {
        initial: 'heard',
        // In each state and not above them: re-entering the region would begin `duty` anew as well.
        states: {
          heard: {
            on: { HEARD: { target: 'heard', reenter: true, actions: 'note' }, STOPPED: 'stopped' },
            after: { lost: 'lost' },
          },
          // It said goodbye.
          stopped: { on: { HEARD: { target: 'heard', actions: 'note' } } },
          lost: { on: { HEARD: { target: 'heard', actions: 'note' } } },
        },
      },
    },
  }),
  input: workerFacts,
  context: workerFacts,
  events: {
    HEARD: z.object({ facts: workerFacts, running: z.int().min(0) }),
    STOPPED: z.object({}),
    ONLINE: z.object({}),
    OFFLINE: z.object({}),
    DRAIN: z.object({}),
  },
  index: ({ group, address, version, slots, node, heardAt }) => ({
    group,
    address,
    version,
    slots,
    node,
    heardAt,
  }),
  retention: { historyCount: 20 },
})

const groupRecord = z.object({
  /** SHA-256 of the key, in hex: the key itself is told once and kept nowhere. */
  keyHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** What its workers may take tasks from. */
  queues: z.array(z.string().min(1)).min(1),
  createdAt: z.number(),
  /** When it got its present key. */
  keyedAt: z.number(),
})

export type GroupRecord = z.infer<typeof groupRecord>

type GroupEvent =
  | { type: 'ROTATE'; keyHash: string; at: number }
  | { type: 'ENABLE' }
  | { type: 'DISABLE' }

/** Workers that share a key; its id is the group's name. One that is disabled admits nobody. */
export const workerGroup = defineMachine({
  machine: setup({
    types: { context: {} as GroupRecord, events: {} as GroupEvent, input: {} as GroupRecord },
  }).createMachine({
    id: 'workergroup',
    context: ({ input }) => input,
    initial: 'enabled',
    on: {
      ROTATE: {
        actions: assign({
          keyHash: ({ event }) => event.keyHash,
          keyedAt: ({ event }) => event.at,
        }),
      },
    },
    states: {
      enabled: { on: { DISABLE: 'disabled' } },
      disabled: { on: { ENABLE: 'enabled' } },
    },
  }),
  input: groupRecord,
  context: groupRecord,
  events: {
    ROTATE: z.object({ keyHash: z.string().regex(/^[0-9a-f]{64}$/), at: z.number() }),
    ENABLE: z.object({}),
    DISABLE: z.object({}),
  },
  secrets: ['keyHash'],
  role: 'admin',
  index: ({ createdAt, keyedAt, queues }) => ({ createdAt, keyedAt, queues: queues.join(' ') }),
})
