/**
 * The machines of the golden records. They are part of the fixtures: a change here makes old records
 * unreadable on purpose. Add machines, do not change these.
 */
import {
  type AnyActorLogic,
  enqueueActions,
  fromCallback,
  fromTransition,
  raise,
  sendTo,
} from 'xstate'
import { tell } from '../../src/machine/index.ts'
import { type Args, change, chart, host, job, see } from '../shard/support.ts'

const note = see(({ event }) => event.text)
const bad = change(() => {
  throw new Error('the assign broke')
})

export const flat = host(
  'flat',
  {
    initial: 'red',
    on: { ADD: { actions: 'add' }, BAD: { actions: 'bad' } },
    states: {
      red: { tags: ['stop'], on: { NEXT: 'green' } },
      green: { on: { NEXT: 'red', FINISH: 'end' } },
      end: { type: 'final' },
    },
    output: ({ context }: Args) => ({ n: context.n }),
  },
  { actions: { add: change(({ context, event }) => ({ n: context.n + event.by })), bad } },
  {
    index: ((context: { n: number }) => ({
      n: context.n,
      even: context.n % 2 === 0,
      name: `é${context.n}`,
    })) as never,
    retention: { finishedMs: 60_000 },
  },
)

export const regions = host('regions', {
  initial: 'work',
  states: {
    work: {
      type: 'parallel',
      on: { LEAVE: 'away' },
      states: {
        left: {
          initial: 'a',
          states: {
            a: { on: { NEXT: 'b' } },
            b: { initial: 'b1', states: { b1: { on: { NEXT: 'b2' } }, b2: {} } },
            memory: { type: 'history', history: 'deep' },
          },
        },
        right: {
          initial: 'x',
          states: {
            x: { on: { FLIP: 'y' } },
            y: { on: { FLIP: 'x' } },
            memory: { type: 'history' },
          },
        },
      },
    },
    away: { on: { BACK: { target: ['#regions.work.left.memory', '#regions.work.right.memory'] } } },
  },
})

export const alarms = host(
  'alarms',
  {
    initial: 'calm',
    on: { SET: { actions: 'set' }, RING: { actions: 'note' }, NOTE: { actions: 'note' } },
    states: { calm: { after: { 90000: 'late' } }, late: {} },
  },
  {
    actions: {
      note,
      set: enqueueActions(({ enqueue, event }) => {
        const { by, text } = event as Args['event']
        enqueue(raise({ type: 'RING', text } as never, { delay: by, id: text }) as never)
      }),
    },
  },
)

export const jobs = host(
  'jobs',
  {
    initial: 'idle',
    on: { NOTE: { actions: 'note' } },
    states: {
      idle: { on: { GO: 'busy' } },
      busy: {
        invoke: {
          id: 'job',
          src: 'job',
          input: ({ context }: Args) => ({ n: context.n, big: 2n ** 70n }),
          onDone: { target: 'idle', actions: 'keep' },
        },
        on: { STOP: 'idle' },
      },
    },
  },
  {
    actors: { job: job('job', { queue: 'golden', priority: 3, leaseMs: 50_000 }) },
    actions: { note, keep: see(({ event }) => `done ${String(event.output)}`) },
  },
  { retry: { maxAttempts: 3, firstMs: 1_000 } as never },
)

const grandchild = chart('grandchild', {
  initial: 'one',
  states: { one: { after: { 30000: 'two' } }, two: { type: 'final' } },
  output: 'grown',
})
const kid = chart(
  'kid',
  {
    initial: 'play',
    on: { NOTE: { actions: 'note' } },
    states: {
      play: { invoke: { id: 'grandchild', src: 'grandchild', onDone: 'done' } },
      done: { type: 'final' },
    },
    output: ({ context }: Args) => context.seen,
  },
  { actors: { grandchild }, actions: { note } },
)

export const family = host(
  'family',
  {
    initial: 'home',
    on: { NOTE: { actions: ['toKid', 'toSum'] }, 'xstate.done.actor.kid': { actions: 'grown' } },
    states: {
      home: {
        invoke: [
          { id: 'kid', src: 'kid' },
          { id: 'sum', src: 'sum' },
          { id: 'live', src: 'live', input: { a: 1 } },
        ],
      },
    },
  },
  {
    actors: {
      kid,
      sum: fromTransition(
        (state: { n: number }, event: { type: string }) => ({ n: state.n + event.type.length }),
        { n: 0 },
      ),
      live: fromCallback(() => {}) as AnyActorLogic,
    },
    actions: {
      toKid: sendTo('kid', ({ event }: Args) => event as never),
      toSum: sendTo('sum', ({ event }: Args) => event as never),
      grown: see(({ event }) => `grown ${JSON.stringify(event.output)}`),
    },
  },
)

export const rich = host(
  'rich',
  {
    context: {
      n: 0,
      seen: [],
      map: new Map<unknown, unknown>([
        ['a', 1],
        [2, new Map([['deep', new Set([1, '2'])]])],
      ]),
      set: new Set(['x', 5, null]),
      date: new Date(Date.UTC(2020, 1, 29, 12, 34, 56, 789)),
      big: -(2n ** 80n) - 1n,
      long: 2n ** 63n - 1n,
      bytes: Uint8Array.of(0, 1, 254, 255),
      nothing: undefined,
      numbers: [0, 0.1, -1e300, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY],
      text: 'é漢😀\u2028\u0000end',
      empty: {},
      list: [[], [null, true]],
    },
    on: { PUT: { actions: 'put' } },
  },
  {
    actions: {
      put: change(({ context, event }) => ({
        map: new Map([...(context['map'] as Map<unknown, unknown>), [event.text, event['big']]]),
      })),
    },
  },
)

export const teller = host(
  'teller',
  {
    on: {
      TELL: { actions: 'tell' },
      NOTE: { actions: 'note' },
      'troupe.deadLetter': { actions: 'dead' },
    },
  },
  {
    actions: {
      note,
      tell: tell((({ event }: Args) =>
        Array.from({ length: event.by }, (_, n) => ({
          to: event.to,
          event: { type: 'NOTE', text: `${event.text}${n}` },
        }))) as never),
      dead: see(({ event }) => `dead ${event.to}`),
    },
  },
)

/** Starts more children than one batch may step. */
export const crowd = host(
  'crowd',
  { entry: 'spawn', on: { NOTE: { actions: 'note' } } },
  {
    actors: { one: chart('one', { initial: 'a', states: { a: {} } }) },
    actions: {
      note,
      spawn: enqueueActions(({ enqueue }) => {
        for (let n = 0; n < 6; n++) enqueue.spawnChild('one' as never, { id: `k${n}` } as never)
      }),
    },
  },
)

const versioned = (states: object, implementations: object, options: object) =>
  host(
    'versioned',
    { initial: 'first', on: { NOTE: { actions: 'note' } }, states },
    { ...implementations, actions: { note } },
    options as never,
  )

export const versionedOne = versioned(
  { first: { on: { GO: 'old' } }, old: { after: { 20000: 'first' } } },
  {},
  {},
)

export const versionedTwo = versioned(
  { first: { on: { GO: 'renamed' } }, renamed: { on: { BACK: 'first' } } },
  {},
  {
    version: 2,
    migrations: {
      1: ({ value, context }: { value: string; context: object }) => ({
        value: value === 'old' ? 'renamed' : value,
        context: { ...context, migrated: true },
      }),
    },
  },
)
