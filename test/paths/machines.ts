/**
 * Machines whose paths are walked through the engine, each with the events that a caller, a worker or
 * the clock can bring. `seen` remembers every entry and exit, so that their order is compared too.
 */
import { type AnyStateMachine, cancel, enqueueActions, raise } from 'xstate'
import type { MachineDefinition } from '../../src/machine/index.ts'
import type { EventObject } from '../../src/protocol/index.ts'
import { type Args, change, host, job, see } from '../shard/support.ts'

export interface Subject {
  definition: MachineDefinition
  machine: AnyStateMachine
  /** What an actor is started with. */
  input?: unknown
  /** Everything that could happen; what cannot happen at some point is sorted out by paths.ts. */
  events: readonly EventObject[]
  /** Those of the events that only the clock brings. */
  timed: readonly string[]
  /** Names the positions that are told apart: contexts that only count would have no end. */
  stateKey: (context: Args['context']) => unknown
  /** Whether all simple paths are few enough to be listed. */
  simple: boolean
}

function subject(
  definition: MachineDefinition,
  events: readonly (string | EventObject)[],
  stateKey: Subject['stateKey'] = () => null,
  simple = false,
): Subject {
  const all = events.map((event) => (typeof event === 'string' ? { type: event } : event))
  const timed = all.map(({ type }) => type).filter((type) => /^xstate\.after\.|^RING$/.test(type))
  return { definition, machine: definition.machine, events: all, timed, stateKey, simple }
}

const entry = (name: string) => ({
  entry: { type: 'see', params: { text: `+${name}` } },
  exit: { type: 'see', params: { text: `-${name}` } },
})
const noting = {
  see: change(((args: Args, params: { text: string }) => ({
    seen: [...args.context.seen, params.text],
  })) as never),
}

/** A job with attempts and a pause between them. */
export const flat = subject(
  host(
    'flat',
    {
      initial: 'idle',
      states: {
        idle: { on: { START: { target: 'running', actions: 'count' } } },
        running: {
          on: {
            FAIL: [
              { guard: 'canRetry', target: 'waiting' },
              { target: 'failed', actions: 'giveUp' },
            ],
            FINISH: 'done',
            CANCEL: 'cancelled',
          },
          after: { 60000: 'failed' },
        },
        waiting: {
          after: { 1000: { target: 'running', actions: 'count' } },
          on: { CANCEL: 'cancelled' },
        },
        failed: { on: { START: { target: 'running', actions: ['reset', 'count'] } } },
        cancelled: { type: 'final' },
        done: { type: 'final' },
      },
      output: ({ context }: Args) => ({ attempts: context.n }),
    },
    {
      guards: { canRetry: ({ context }: Args) => context.n < 3 },
      actions: {
        count: change(({ context }) => ({ n: context.n + 1 })),
        reset: change(() => ({ n: 0 })),
        giveUp: see('gave up'),
      },
    },
  ),
  [
    'START',
    'FAIL',
    'FINISH',
    'CANCEL',
    'xstate.after.1000.flat.waiting',
    'xstate.after.60000.flat.running',
  ],
  ({ n }) => n,
  true,
)

/** Three levels: inherited, overridden, forbidden, internal and external transitions. */
export const nested = subject(
  host(
    'nested',
    {
      initial: 'off',
      ...entry('root'),
      states: {
        off: { ...entry('off'), on: { ON: 'on', DEEP: '#nested.on.high' } },
        on: {
          ...entry('on'),
          initial: 'low',
          on: { OFF: 'off', STEP: '.low', AGAIN: { target: 'on', reenter: true } },
          states: {
            low: { ...entry('low'), on: { STEP: 'high', NOTE: { actions: 'raiseStep' } } },
            high: {
              ...entry('high'),
              initial: 'mid',
              on: { OFF: undefined, STEP: { target: 'low', guard: 'notFirst' } },
              states: {
                mid: {
                  ...entry('mid'),
                  entry: [entry('mid').entry, 'count'],
                  on: { UP: 'max' },
                  always: { guard: 'tired', target: 'max' },
                },
                max: { ...entry('max'), on: { '*': { actions: 'other' } } },
              },
            },
          },
        },
      },
    },
    {
      guards: {
        notFirst: ({ context }: Args) => context.seen.includes('-low'),
        tired: ({ context }: Args) => context.n > 2,
      },
      actions: {
        ...noting,
        raiseStep: raise({ type: 'STEP' }),
        count: change(({ context }) => ({ n: Math.min(3, context.n + 1) })),
        other: see('*'),
      },
    },
  ),
  ['ON', 'OFF', 'STEP', 'AGAIN', 'NOTE', 'UP', 'DEEP'],
  ({ n, seen }) => [n, seen.includes('-low')],
  true,
)

/** Regions that remember where they were, one shallow and one deep. */
export const regions = subject(
  host(
    'regions',
    {
      initial: 'work',
      states: {
        work: {
          type: 'parallel',
          on: { LEAVE: 'away' },
          states: {
            left: {
              initial: 'a',
              states: {
                a: { ...entry('a'), on: { NEXT: 'b' } },
                b: {
                  ...entry('b'),
                  initial: 'b1',
                  states: { b1: { on: { NEXT: 'b2' } }, b2: { type: 'final', ...entry('b2') } },
                  onDone: { actions: 'bDone' },
                },
                memory: { type: 'history', history: 'deep' },
              },
            },
            right: {
              initial: 'x',
              states: {
                x: { ...entry('x'), on: { FLIP: 'y' } },
                y: {
                  ...entry('y'),
                  on: { FLIP: 'x' },
                  initial: 'y1',
                  states: { y1: { on: { INNER: 'y2' } }, y2: {} },
                },
                memory: { type: 'history', target: 'x' },
              },
            },
          },
        },
        away: {
          ...entry('away'),
          on: {
            BACK: { target: ['#regions.work.left.memory', '#regions.work.right.memory'] },
            FRESH: 'work',
          },
        },
      },
    },
    { actions: { ...noting, bDone: see('b is done') } },
  ),
  ['LEAVE', 'NEXT', 'FLIP', 'INNER', 'BACK', 'FRESH'],
  () => null,
)

/** Tasks: one after the other, one in a region beside a timer, and the ways they end. */
export const tasks = subject(
  host(
    'tasks',
    {
      initial: 'idle',
      states: {
        idle: { on: { GO: 'fetching', BOTH: 'both' } },
        fetching: {
          ...entry('fetching'),
          invoke: {
            id: 'fetch',
            src: 'fetch',
            input: ({ context }: Args) => ({ n: context.n }),
            onDone: { target: 'storing', actions: 'keep' },
            onError: { target: 'idle', actions: 'failed' },
          },
          after: { 5000: { target: 'idle', actions: 'late' } },
          on: { STOP: 'idle', AGAIN: { target: 'fetching', reenter: true } },
        },
        storing: {
          ...entry('storing'),
          invoke: {
            id: 'store',
            src: 'store',
            onDone: 'end',
            onError: { target: 'idle', actions: 'failed' },
          },
        },
        both: {
          type: 'parallel',
          onDone: 'end',
          states: {
            one: {
              initial: 'run',
              states: {
                run: {
                  invoke: { id: 'fetch', src: 'fetch', onDone: { target: 'end', actions: 'keep' } },
                },
                end: { type: 'final' },
              },
            },
            two: {
              initial: 'wait',
              states: {
                wait: { after: { 700: 'end' }, on: { STOP: 'end' } },
                end: { type: 'final' },
              },
            },
          },
        },
        end: { type: 'final' },
      },
      output: ({ context }: Args) => context.n,
    },
    {
      actors: { fetch: job('fetch'), store: job('store', { queue: 'stores' }) },
      actions: {
        ...noting,
        keep: change(({ context, event }) => ({ n: context.n + (event.output as number) })),
        failed: see(({ event }) => `failed: ${(event.error as { message: string }).message}`),
        late: see('late'),
      },
    },
  ),
  [
    'GO',
    'BOTH',
    'STOP',
    'AGAIN',
    'xstate.after.5000.tasks.fetching',
    'xstate.after.700.tasks.both.two.wait',
    ...['fetch', 'store'].flatMap((id) => [
      { type: `xstate.done.actor.${id}`, output: 5, actorId: id },
      {
        type: `xstate.error.actor.${id}`,
        error: { class: 'aborted', message: 'no luck' },
        actorId: id,
      },
    ]),
  ],
  ({ n }) => Math.min(n, 10),
)

/** Timers: named and computed delays, timers that outlive their state, cancelling, setting again. */
export const timers = subject(
  host(
    'timers',
    {
      initial: 'calm',
      on: {
        ARM: { actions: 'arm' },
        DISARM: { actions: 'disarm' },
        RING: { actions: 'rang' },
      },
      states: {
        calm: { ...entry('calm'), on: { STRESS: 'stress' }, after: { soon: 'drowsy' } },
        stress: {
          ...entry('stress'),
          on: { REST: 'calm', MORE: { target: 'stress', reenter: true, actions: 'more' } },
          after: {
            computed: [
              { guard: 'enough', target: 'broken' },
              { target: 'calm', actions: 'relief' },
            ],
          },
        },
        drowsy: { ...entry('drowsy'), on: { WAKE: 'calm' }, after: { 100: 'asleep' } },
        asleep: { ...entry('asleep'), on: { RING: { target: 'calm', actions: 'rang' } } },
        broken: { type: 'final' },
      },
    },
    {
      delays: { soon: 2_000, computed: ({ context }: Args) => 400 + 300 * context.n },
      guards: { enough: ({ context }: Args) => context.n > 1 },
      actions: {
        ...noting,
        arm: enqueueActions(({ enqueue }) => {
          enqueue(raise({ type: 'RING' } as never, { delay: 3_000, id: 'ring' }) as never)
        }),
        disarm: cancel('ring'),
        rang: see('rang'),
        more: change(({ context }) => ({ n: Math.min(2, context.n + 1) })),
        relief: see('relief'),
      },
    },
  ),
  [
    'ARM',
    'DISARM',
    'STRESS',
    'REST',
    'MORE',
    'WAKE',
    'RING',
    'xstate.after.soon.timers.calm',
    'xstate.after.computed.timers.stress',
    'xstate.after.100.timers.drowsy',
  ],
  ({ n, seen }) => [n, seen.includes('rang')],
)

export const SUBJECTS: readonly Subject[] = [flat, nested, regions, tasks, timers]
