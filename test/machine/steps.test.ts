/** Steps of hosted charts: every construct of XState comes out as data, in order. */
import { describe, expect, it } from 'vitest'
import {
  cancel,
  createMachine,
  emit,
  enqueueActions,
  log,
  raise,
  sendParent,
  sendTo,
  stopChild,
} from 'xstate'
import { reply, tell } from '../../src/machine/index.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/index.ts'
import { type Args, change, host, job, see } from '../shard/support.ts'
import { Pocket } from './support.ts'

it('nested states: entry from the outside in, exit from the inside out', () => {
  const m = new Pocket(
    host('m', {
      initial: 'a',
      states: {
        a: {
          entry: see('a+'),
          exit: see('a-'),
          initial: 'b',
          states: {
            b: {
              entry: see('b+'),
              exit: see('b-'),
              initial: 'c',
              states: { c: { entry: see('c+'), exit: see('c-') } },
            },
          },
          on: { GO: 'z' },
        },
        z: { entry: see('z+') },
      },
    }),
  )
  expect(m.value).toEqual({ a: { b: 'c' } })
  expect(m.send('GO').seen).toEqual(['a+', 'b+', 'c+', 'c-', 'b-', 'a-', 'z+'])
})

it('parallel states: one event moves several regions, done when all are final', () => {
  const region = { initial: 'run', states: { run: { on: { END: 'end' } }, end: { type: 'final' } } }
  const m = new Pocket(
    host('m', {
      initial: 'both',
      states: {
        both: {
          type: 'parallel',
          states: {
            a: region,
            b: {
              ...region,
              states: { run: { on: { END: 'end', B: 'end' } }, end: { type: 'final' } },
            },
          },
          onDone: 'over',
        },
        over: {},
      },
    }),
  )
  expect(m.send('B').value).toEqual({ both: { a: 'run', b: 'end' } })
  expect(m.send('END').value).toBe('over')
})

it('history states, shallow and deep, remember over a rehydration', () => {
  const inner = { initial: 'x', states: { x: { on: { IN: 'y' } }, y: {} } }
  const config = (history: string) => ({
    initial: 'work',
    states: {
      work: {
        initial: 'one',
        states: { one: { on: { NEXT: 'two' } }, two: inner, back: { type: 'history', history } },
        on: { OUT: 'away' },
      },
      away: { on: { BACK: 'work.back' } },
    },
  })
  const walk = (history: string) =>
    new Pocket(host('m', config(history)))
      .send('NEXT')
      .send('IN')
      .send('OUT')
      .goto('away')
      .send('BACK').value
  expect(walk('shallow')).toEqual({ work: { two: 'x' } })
  expect(walk('deep')).toEqual({ work: { two: 'y' } })
})

it('always runs within the step, with its guard', () => {
  const m = new Pocket(
    host(
      'm',
      {
        initial: 'a',
        states: {
          a: { on: { ADD: { actions: 'add' } }, always: { target: 'b', guard: 'enough' } },
          b: { entry: see('b') },
        },
      },
      {
        actions: { add: change(({ context }) => ({ n: context.n + 1 })) },
        guards: { enough: ({ context }: Args) => context.n >= 2 },
      },
    ),
  )
  expect(m.send('ADD').value).toBe('a')
  expect(m.send('ADD').value).toBe('b')
  expect(m.seen).toEqual(['b'])
})

it('an endless loop of always is a failure, after microstepsMax', () => {
  const m = new Pocket(
    host('m', {
      initial: 'calm',
      states: { calm: { on: { GO: 'a' } }, a: { always: 'b' }, b: { always: 'a' } },
    }),
    undefined,
    { ...DEFAULT_LIMITS, microstepsMax: 20 },
  )
  expect(m.failure('GO')).toMatch(/infinite|20/i)
  expect(m.value).toBe('calm')
})

it('after with named, numbered and computed delays; leaving cancels', () => {
  const m = new Pocket(
    host(
      'm',
      {
        initial: 'a',
        states: { a: { after: { 100: 'b', named: 'b', computed: 'b' }, on: { OUT: 'b' } }, b: {} },
        context: { n: 7, seen: [] },
      },
      { delays: { named: 2_000, computed: ({ context }: Args) => context.n * 10 } },
    ),
  )
  expect(m.effects.map((effect) => effect.kind === 'timer' && [effect.id, effect.delayMs])).toEqual(
    [
      ['xstate.after.100.m.a', 100],
      ['xstate.after.named.m.a', 2_000],
      ['xstate.after.computed.m.a', 70],
    ],
  )
  expect(m.send('OUT').asked).toEqual([
    'cancel timer xstate.after.100.m.a',
    'cancel timer xstate.after.named.m.a',
    'cancel timer xstate.after.computed.m.a',
  ])
})

it('a delayed raise has its id, and can be cancelled; one without delay is stepped at once', () => {
  const m = new Pocket(
    host(
      'm',
      {
        on: {
          LATER: { actions: 'later' },
          NOW: { actions: 'now' },
          STOP: { actions: 'stop' },
          BELL: { actions: see('bell') },
        },
      },
      {
        actions: {
          later: raise({ type: 'BELL' }, { delay: 50, id: 'bell' }),
          now: raise({ type: 'BELL' }),
          stop: cancel('bell'),
        },
      },
    ),
  )
  expect(m.send('LATER').effects).toEqual([
    { kind: 'timer', id: 'bell', to: { kind: 'self' }, event: { type: 'BELL' }, delayMs: 50 },
  ])
  expect(m.send('STOP').effects).toEqual([{ kind: 'cancel', id: 'bell' }])
  expect(m.send('NOW').effects).toEqual([])
  expect(m.seen).toEqual(['bell'])
})

it('a final state gives its output', () => {
  const m = new Pocket(
    host('m', {
      initial: 'a',
      states: {
        a: { on: { END: 'end' } },
        end: { type: 'final', output: ({ event }: Args) => event.by },
      },
      output: ({ event }: Args) => ({ result: event.output }),
    }),
  )
  m.send('END', { by: 3 })
  expect(m.snapshot).toMatchObject({ status: 'done', output: { result: 3 } })
})

it('everything else that a chart asks for, in its order', () => {
  const kid = createMachine({ id: 'kid' })
  const logs: unknown[] = []
  const m = new Pocket(
    host(
      'm',
      {
        initial: 'a',
        states: {
          a: {
            on: {
              GO: {
                actions: [
                  'emit',
                  'log',
                  'plain',
                  'tell',
                  'tells',
                  'ask',
                  'reply',
                  'many',
                  'self',
                  'halt',
                ],
              },
            },
          },
        },
        invoke: { src: 'kid', id: 'k' },
      },
      {
        actors: { kid, work: job('work') },
        actions: {
          emit: emit({ type: 'NEWS', n: 1 } as never),
          log: log('a line'),
          plain: (_: unknown, params: unknown) => void logs.push(params ?? 'ran'),
          tell: tell({ to: 'm/y', event: { type: 'HI' } }),
          tells: tell((({ event }: Args) => [
            { to: 'm/1', event },
            { to: 'm/2', event },
          ]) as never),
          ask: sendTo('k', { type: 'Q' }),
          reply: reply(({ context }) => (context as unknown as Args['context']).n),
          many: enqueueActions(({ enqueue, check }) => {
            if (check(() => true)) enqueue('plain')
            enqueue.assign({ n: 5 } as never)
            enqueue.spawnChild('work' as never, { id: 'w', input: 1 } as never)
            enqueue.raise({ type: 'IN_PASSING' })
          }),
          self: sendTo(({ self }) => self, { type: 'ME' }),
          halt: stopChild('k'),
        },
      },
    ),
  )
  expect(m.asked).toEqual(['start child k (kid)'])
  m.send('GO')
  expect(m.asked).toEqual([
    'emit NEWS',
    'write to the log',
    'action plain',
    'tell m/y HI',
    'tell m/1 GO',
    'tell m/2 GO',
    'send Q to child k',
    'reply to the caller',
    'action plain',
    'run task work as w',
    'send ME to self',
    'stop k',
  ])
  expect(m.effects.find(({ kind }) => kind === 'reply')).toEqual({ kind: 'reply', value: 0 })
  expect(logs).toEqual([])
  expect(m.snapshot.context).toMatchObject({ n: 5 })
})

it('what cannot be done is a failure, and says where', () => {
  const m = new Pocket(
    host(
      'm',
      {
        on: {
          PARENT: { actions: 'parent' },
          NOBODY: { actions: 'nobody' },
          HIDDEN: { actions: 'hidden' },
        },
      },
      {
        actors: { kid: createMachine({ id: 'kid' }) },
        actions: {
          parent: sendParent({ type: 'X' }),
          nobody: sendTo('nobody', { type: 'X' }),
          hidden: enqueueActions(({ enqueue }) => {
            const { assign } = enqueue as unknown as {
              assign: (fn: (args: Record<string, (src: string) => unknown>) => object) => void
            }
            assign((args) => ({ ref: args[`sp${'awn'}`]!('kid') }))
          }),
        },
      },
    ),
  )
  expect(m.failure('PARENT')).toContain('m/x')
  expect(m.failure('NOBODY')).toContain('nobody')
  expect(m.failure('HIDDEN')).toContain('spawnChild()')
})

it('an event that changes nothing is told apart from one that is taken', () => {
  const m = new Pocket(
    host('m', {
      initial: 'a',
      states: {
        a: {
          on: {
            GO: { actions: see('went') },
            NO: {},
            BE: { target: 'a', guard: () => false },
          },
        },
      },
    }),
  )
  expect(m.send('OTHER').handled).toBe(false)
  expect(m.send('BE').handled).toBe(false)
  expect(m.send('NO').handled).toBe(false)
  expect(m.send('GO').handled).toBe(true)
})

describe('two regions that move at once, one of them into a history state', () => {
  const rivals = (history: object, more: object = {}) =>
    host('m', {
      initial: 'p',
      states: {
        p: {
          type: 'parallel',
          states: {
            a: {
              initial: 'one',
              states: { one: { on: { GO: 'h' } }, two: {}, h: { type: 'history', ...history } },
            },
            b: { initial: 'x', states: { x: { on: { GO: { target: '#m.p.a.two', ...more } } } } },
          },
        },
      },
    })

  it.each([
    ['shallow', {}],
    ['deep', { history: 'deep' }],
    ['with a target of its own', { target: 'one' }],
  ])('fail where they enter two states that exclude each other: %s', (_name, history) => {
    const m = new Pocket(rivals(history))
    expect(m.failure('GO')).toContain('p.a.one and p.a.two were entered both')
    expect(m.value).toEqual({ p: { a: 'one', b: 'x' } })
  })

  it('fail where the other leaves the state around it, and nobody enters that again', () => {
    const m = new Pocket(
      host('m', {
        type: 'parallel',
        states: {
          a: { initial: 'one', states: { one: { on: { GO: 'h' } }, h: { type: 'history' } } },
          b: { initial: 'x', states: { x: { on: { GO: '#m.b' } } } },
        },
      }),
    )
    expect(m.failure('GO')).toContain('the state a was left, and a.one inside it was entered')
    expect(m.value).toEqual({ a: 'one', b: 'x' })
  })

  it('move where they do not', () => {
    expect(new Pocket(rivals({ target: 'two' })).send('GO').value).toEqual({
      p: { a: 'two', b: 'x' },
    })
    expect(new Pocket(rivals({}, { guard: () => false })).send('GO').value).toEqual({
      p: { a: 'one', b: 'x' },
    })
  })

  it('fail where the other region leaves what is around them', () => {
    const m = new Pocket(
      host('m', {
        initial: 'p',
        states: {
          p: {
            type: 'parallel',
            states: {
              a: {
                initial: 'one',
                states: { one: { on: { GO: 'h' } }, h: { type: 'history' } },
              },
              b: { initial: 'x', states: { x: { on: { GO: '#m.out' } } } },
            },
          },
          out: {},
        },
      }),
    )
    expect(m.failure('GO')).toContain('the state p.a was left, and p.a.one inside it was entered')
    expect(m.value).toEqual({ p: { a: 'one', b: 'x' } })
  })

  it('fail also when an operator moves them', () => {
    const m = new Pocket(
      host(
        'm',
        {
          initial: 'z',
          states: {
            z: {},
            p: {
              type: 'parallel',
              states: {
                a: {
                  initial: 'one',
                  states: {
                    one: { always: { target: 'h', guard: 'once' } },
                    two: {},
                    h: { type: 'history' },
                  },
                },
                b: { initial: 'x', states: { x: { always: '#m.p.a.two' } } },
              },
            },
          },
        },
        { guards: { once: () => true } },
      ),
    )
    expect(() => m.goto('p')).toThrow('p.a.one and p.a.two were entered both')
  })
})
