/** What cannot be hosted is refused when it is registered, with the place in the chart. */
import { expect, it } from 'vitest'
import {
  and,
  assign,
  createMachine,
  enqueueActions,
  fromPromise,
  not,
  raise,
  sendTo,
  setup,
  spawnChild,
} from 'xstate'
import { z } from 'zod'
import {
  backoffMs,
  defineMachine,
  hostMachine,
  type MachineDefinition,
  reply,
  resolveRetry,
  task,
  tell,
} from '../../src/machine/index.ts'
import { DEFAULT_LIMITS, TroupeError } from '../../src/protocol/index.ts'

function define(
  config: object,
  implementations: object = {},
  options: object = {},
): MachineDefinition {
  const machine = createMachine({ id: 'm', ...config } as never, implementations as never)
  const events = Object.fromEntries(
    (machine.events as string[])
      .filter((type) => !/^(xstate|troupe)\.|\*|^$/.test(type))
      .map((type) => [type, z.looseObject({})]),
  )
  return defineMachine({ events, ...options, machine } as never) as MachineDefinition
}

function refusal(definition: MachineDefinition): { place: string; message: string } {
  try {
    hostMachine(definition, DEFAULT_LIMITS)
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    expect(thrown.code).toBe('not-hosted')
    return { place: (thrown.detail as { place: string }).place, message: thrown.message }
  }
  throw new Error('it was hosted')
}

const kid = createMachine({ id: 'kid' })
const work = fromPromise(() => Promise.resolve())
const fine = () => {}

it.each<[string, string, object, object?, object?]>([
  [
    'an inline action',
    'state a, on GO',
    { initial: 'a', states: { a: { on: { GO: { actions: () => {} } } } } },
  ],
  ['an inline entry action', 'root, entry', { entry: () => {} }],
  ['an inline exit action', 'state a, exit', { initial: 'a', states: { a: { exit: () => {} } } }],
  [
    'an inline action of always',
    'state a, on always',
    { initial: 'a', states: { a: { always: { guard: 'ok', actions: fine } } } },
    { guards: { ok: () => false } },
  ],
  [
    'an inline action of onDone',
    'state a, on xstate.done.actor.w',
    {
      initial: 'a',
      states: { a: { invoke: { src: 'work', id: 'w', onDone: { actions: fine } } } },
    },
    { actors: { work } },
  ],
  [
    'an inline action of initial',
    'root, initial',
    { initial: { target: 'a', actions: fine }, states: { a: {} } },
  ],
  [
    'an inline actor',
    'state a, invoke',
    { initial: 'a', states: { a: { invoke: { src: work, id: 'w' } } } },
  ],
  ['an unregistered actor', 'root, invoke nobody', { invoke: { src: 'nobody' } }],
  ['an unregistered action', 'root, entry', { entry: 'nothing' }],
  ['an unregistered action with params', 'root, entry', { entry: { type: 'nothing', params: {} } }],
  [
    'an unregistered guard',
    'root, on GO',
    { on: { GO: { guard: 'nothing', actions: 'ok' } } },
    { actions: { ok: fine } },
  ],
  [
    'an unregistered guard within and()',
    'root, on GO',
    { on: { GO: { guard: and([not('nothing')]), actions: 'ok' } } },
    { actions: { ok: fine } },
  ],
  [
    'an unregistered guard of a guard',
    'guards.both',
    { on: { GO: { guard: 'both', actions: 'ok' } } },
    { actions: { ok: fine }, guards: { both: and(['nothing']) } },
  ],
  [
    'an unregistered delay of after',
    'state a, after soon',
    { initial: 'a', states: { a: { after: { soon: 'b' } }, b: {} } },
  ],
  [
    'an unregistered delay of raise',
    'root, entry',
    { entry: raise({ type: 'X' }, { delay: 'soon' as never }) },
  ],
  [
    'an unregistered delay of a named sendTo',
    'actions.later',
    { entry: 'later' },
    { actions: { later: sendTo('kid', { type: 'X' }, { delay: 'soon' } as never) } },
  ],
  [
    'spawn in an assign',
    'actions.make',
    { entry: 'make' },
    { actions: { make: assign(({ spawn }) => ({ ref: spawn('kid' as never) })) }, actors: { kid } },
  ],
  [
    'spawn in a property of an assign',
    'root, entry',
    { entry: assign({ ref: ({ spawn }) => spawn('kid' as never) }) },
    { actors: { kid } },
  ],
  [
    'spawn in the context',
    'context',
    { context: ({ spawn }: { spawn: (src: unknown) => unknown }) => ({ ref: spawn('kid') }) },
    { actors: { kid } },
  ],
  [
    'spawnChild without an id',
    'root, entry',
    { entry: spawnChild('kid' as never) },
    { actors: { kid } },
  ],
  ['spawnChild of an inline actor', 'root, entry', { entry: spawnChild(kid, { id: 'k' }) }],
  [
    'spawnChild of an unregistered actor',
    'root, entry',
    { entry: spawnChild('nobody' as never, { id: 'k' } as never) },
  ],
  [
    'spawnChild with a systemId',
    'root, entry',
    { entry: spawnChild('kid' as never, { id: 'k', systemId: 's' } as never) },
    { actors: { kid } },
  ],
  ['a dotted state key', 'state "a.b"', { initial: 'a.b', states: { 'a.b': {} } }],
  ['a state key with a bar', 'state "a|b"', { states: { 'a|b': {} }, initial: 'a|b' }],
  ['an empty state key', 'state ""', { states: { '': {}, a: {} }, initial: 'a' }],
  [
    'an event named like XState does',
    'event xstate.mine',
    {},
    {},
    { events: { 'xstate.mine': z.object({}) } },
  ],
  [
    'an event named like Troupe does',
    'event troupe.goto',
    { on: { 'troupe.goto': { actions: 'ok' } } },
    { actions: { ok: fine } },
  ],
  [
    'a wildcard over the events of Troupe',
    'event troupe.*',
    { on: { 'troupe.*': { actions: 'ok' } } },
    { actions: { ok: fine } },
  ],
  [
    'a transition to nowhere for the events of Troupe',
    'event troupe.*',
    { initial: 'a', states: { a: { on: { 'troupe.*': {} } } } },
  ],
  [
    'an actor named like what every object has',
    'root, invoke toString',
    { invoke: { src: 'toString' } },
  ],
  ['an action named like what every object has', 'root, entry', { entry: 'toString' }],
  [
    'a guard named like what every object has',
    'root, on GO',
    { on: { GO: { guard: 'valueOf', actions: 'ok' } } },
    { actions: { ok: fine } },
  ],
  [
    'a delay named like what every object has',
    'state a, after constructor',
    { initial: 'a', states: { a: { after: { constructor: 'b' } }, b: {} } },
  ],
  [
    'an id that another state has',
    'state b',
    { initial: 'a', states: { a: { id: 'twice' }, b: { id: 'twice' } } },
  ],
  [
    'an id that another state has by its place',
    'state b',
    { initial: 'a', states: { a: {}, b: { id: 'm.a' } } },
  ],
  ['a state key like an id', 'state "#a"', { initial: '#a', states: { '#a': {} } }],
  [
    'an event that JSON cannot say',
    'event A, field due',
    {},
    {},
    { events: { A: z.object({ due: z.date() }) } },
  ],
  ['an input that JSON cannot say', 'input', {}, {}, { input: z.map(z.string(), z.string()) }],
  ['a wildcard as an event', 'event A*', {}, {}, { events: { 'A*': z.object({}) } }],
  [
    'an event without a schema',
    'event GO',
    { on: { GO: { actions: 'ok' } } },
    { actions: { ok: fine } },
    { events: {} },
  ],
  [
    'an event of a nested state without a schema',
    'event DEEP',
    { initial: 'a', states: { a: { on: { DEEP: 'a' } } } },
    {},
    { events: {} },
  ],
  [
    'a systemId',
    'root, invoke kid',
    { invoke: { src: 'kid', systemId: 's' } },
    { actors: { kid } },
  ],
  ['version 0', 'version', {}, {}, { version: 0 }],
  ['version 1.5', 'version', {}, {}, { version: 1.5 }],
  [
    'a migration from the present version',
    'migrations.2',
    {},
    {},
    { version: 2, migrations: { 2: (state: unknown) => state } },
  ],
  [
    'a migration from a version that is none',
    'migrations.x',
    {},
    {},
    { version: 2, migrations: { x: (state: unknown) => state } },
  ],
  ['an id that is no name', 'id', { id: 'two words' }],
  ['no id', 'id', { id: undefined }],
])('%s: %s', (_name, place, config, implementations, options) => {
  const refused = refusal(define(config, implementations, options))
  expect(refused.place).toContain(place)
  expect(refused.message).toContain(refused.place)
})

it('a child machine that would catch what an operator asks of it', () => {
  const catcher = createMachine({
    id: 'kid',
    initial: 'a',
    states: { a: { on: { 'troupe.*': 'b' } }, b: {} },
  } as never)
  const actors = { kid: catcher }
  expect(refusal(define({ invoke: { src: 'kid', id: 'k' } }, { actors })).place).toBe(
    'event troupe.*',
  )
})

it('a place inside a child machine is refused as well', () => {
  const bad = createMachine({ id: 'kid', initial: 'a', states: { a: { entry: () => {} } } })
  expect(refusal(define({ invoke: { src: 'kid', id: 'k' } }, { actors: { kid: bad } })).place).toBe(
    'state a, entry',
  )
})

it('two tasks of one name', () => {
  const one = task({ name: 'same', run: () => Promise.resolve(1) })
  const two = task({ name: 'same', run: () => Promise.resolve(2) })
  expect(refusal(define({}, { actors: { one, two } })).message).toContain(
    'another task is named same',
  )
  expect(() => task({ name: 'no name', run: () => Promise.resolve() })).toThrow(TroupeError)
})

it('what can be hosted is, and says what it is made of', () => {
  const sealed = task({ name: 'seal', run: () => Promise.resolve() })
  const machine = setup({
    actors: { seal: sealed, plain: work, kid },
    actions: {
      note: () => {},
      ask: tell({ to: 'm/x', event: { type: 'GO' } }) as never,
      say: reply(1 as never) as never,
    },
    guards: { ok: () => true },
    delays: { soon: 10 },
  }).createMachine({
    id: 'good-1_x',
    initial: 'a',
    states: {
      a: {
        entry: [
          'note',
          'ask',
          raise({ type: 'X' }, { delay: 'soon' as never }),
          enqueueActions(() => {}),
        ],
        invoke: { src: 'seal' },
        after: { soon: 'b', 100: 'b' },
        on: { GO: { guard: and(['ok', not(() => false)]), target: 'b', actions: 'say' }, '*': 'b' },
      },
      b: { invoke: { src: 'plain', onError: 'a' } },
    },
  })
  const hosted = hostMachine(
    defineMachine({
      machine: machine as never,
      events: { GO: z.object({}) },
      internal: ['X'] as never,
    }) as MachineDefinition,
    DEFAULT_LIMITS,
  )
  expect([...hosted.tasks.keys()]).toEqual(['seal', 'good-1_x.plain'])
  expect(hosted.chart.states).toEqual(['a', 'b'])
  expect([...hosted.chart.sources].map(([name, source]) => [name, source.kind])).toEqual([
    ['seal', 'task'],
    ['plain', 'task'],
    ['kid', 'machine'],
  ])
})

it('leaves the machine of the user as it was', () => {
  const definition = define({ on: { GO: { actions: 'ok' } } }, { actions: { ok: fine } })
  const before = JSON.stringify([definition.machine.options, definition.machine.config])
  hostMachine(definition, { ...DEFAULT_LIMITS, microstepsMax: 7 })
  expect(JSON.stringify([definition.machine.options, definition.machine.config])).toBe(before)
})

it.each<[string, string, string, object, object?]>([
  ['attempts of the machine', 'retry', 'attemptsMax', { retry: { attemptsMax: 0 } }],
  ['a factor of the machine', 'retry', 'factor', { retry: { factor: Number.NaN } }],
  ['a retention of a fraction', 'retention', 'finishedMs', { retention: { finishedMs: 0.5 } }],
  ['a retention below zero', 'retention', 'finishedMs', { retention: { finishedMs: -1 } }],
  ['a history of a fraction', 'retention', 'historyCount', { retention: { historyCount: 1.5 } }],
  ['attempts of a task', 'actors.t', 'attemptsMax', {}, { retry: { attemptsMax: 0 } }],
  ['a wait of no number', 'actors.t', 'initialMs', {}, { retry: { initialMs: Number.NaN } }],
  ['a wait without an end', 'actors.t', 'backoffMaxMs', {}, { retry: { backoffMaxMs: 1 / 0 } }],
  ['jitter', 'actors.t', 'jitter', {}, { retry: { jitter: 1.1 } }],
  ['a lease of a fraction', 'actors.t', 'leaseMs', {}, { leaseMs: 1_000.5 }],
  ['a lease of nothing', 'actors.t', 'leaseMs', {}, { leaseMs: 0 }],
  ['a time-out of a fraction', 'actors.t', 'timeoutMs', {}, { timeoutMs: 0.1 }],
])('%s that nothing can be done with', (_name, place, field, options, ofTask = {}) => {
  const t = task({ name: 't', run: () => Promise.resolve(), ...ofTask })
  const found = refusal(define({ invoke: { src: 't', id: 't' } }, { actors: { t } }, options))
  expect(found).toEqual({ place, message: expect.stringContaining(field) })
})

it('an actor that is removed at once, and a task that is tried for ever, can be hosted', () => {
  const t = task({
    name: 't',
    run: () => Promise.resolve(),
    retry: { attemptsMax: Number.POSITIVE_INFINITY, initialMs: 0 },
  })
  const definition = define(
    { invoke: { src: 't', id: 't' } },
    { actors: { t } },
    { retention: { finishedMs: 0, historyCount: 0 } },
  )
  const { retry, tasks } = hostMachine(definition, DEFAULT_LIMITS)
  expect(backoffMs(resolveRetry(retry, tasks.get('t')?.retry), 5_000, 0.5)).toBe(0)
})
