/** Positions of a chart, tags, legal events, fingerprints, diagrams, migrations, and back-off. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  backoffMs,
  DEFAULT_RETRY,
  hasPosition,
  hostMachine,
  legalEvents,
  type MachineDefinition,
  mermaid,
  migrate,
  nodeAt,
  resolveRetry,
  tagsOf,
} from '../../src/machine/index.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/index.ts'
import { chart, host, job } from '../shard/support.ts'
import { Pocket } from './support.ts'

const tree = chart(
  'tree',
  {
    tags: 'whole',
    initial: 'idle',
    states: {
      idle: {
        on: { GO: 'run', MAYBE: { target: 'end', guard: 'g' }, '*': 'idle' },
        after: { 500: 'end' },
      },
      run: {
        type: 'parallel',
        tags: ['busy'],
        states: {
          a: {
            initial: 'x',
            states: {
              x: { tags: ['hot'], always: { target: 'y', guard: 'g' } },
              y: {},
              h: { type: 'history' },
            },
          },
          b: { invoke: { src: 'work', id: 'w', onDone: '#tree.end', onError: '#tree.idle' } },
        },
      },
      end: { type: 'final' },
    },
  },
  { actors: { work: job('work') }, guards: { g: () => false } },
)

it('tags of all that is active', () => {
  expect(tagsOf(tree, 'run.a.x|run.b')).toEqual(['busy', 'hot', 'whole'])
  expect(tagsOf(tree, 'idle')).toEqual(['whole'])
})

it.each([
  ['idle', true],
  ['gone', false],
  ['run', false],
  [{ run: { a: 'x', b: {} } }, true],
  [{ run: { a: 'x' } }, false],
  [{ run: { a: 'z', b: {} } }, false],
  [{ run: { a: 'x', b: {}, c: {} } }, false],
  [{ run: { a: {}, b: {} } }, false],
  [{ idle: 'x' }, false],
  ['constructor', false],
])('the chart has the position %j: %s', (value, expected) => {
  expect(hasPosition(tree, value)).toBe(expected)
})

it('a path leads to its node, and to nothing that is not there', () => {
  expect(nodeAt(tree, 'run.a.y')?.id).toBe('tree.run.a.y')
  for (const path of ['nope', 'run.a.y.z', 'constructor', 'run..a'])
    expect(nodeAt(tree, path)).toBeUndefined()
})

it('legal events: those of the position, with targets and guards', () => {
  const m = new Pocket(host('m', tree.config, tree.implementations))
  const events = legalEvents(m.snapshot, (type) => type === 'GO')
  const named = Object.fromEntries(events.map((event) => [event.type, event]))
  expect(named['GO']).toEqual({ type: 'GO', targets: ['run'], guarded: false, sendable: true })
  expect(named['MAYBE']).toEqual({
    type: 'MAYBE',
    targets: ['end'],
    guarded: true,
    sendable: false,
  })
})

it('the diagram marks the present position', () => {
  const text = mermaid(tree, 'run.a.x|run.b')
  expect(text.split('\n')[0]).toBe('stateDiagram-v2')
  expect(text).toContain('[*] --> idle')
  expect(text).toContain('idle --> run : GO')
  expect(text).toContain('idle --> end : after 500')
  expect(text).toContain('idle --> end : MAYBE [g]')
  expect(text).toContain('run__b --> end : done')
  expect(text).toContain('end --> [*]')
  expect([...text.matchAll(/class (\w+) current/g)].map(([, name]) => name)).toEqual([
    'run__a__x',
    'run__b',
  ])
  expect(mermaid(tree)).not.toContain('current')
})

describe('the fingerprint', () => {
  const hash = (config: object, implementations: object = {}) =>
    hostMachine(host('m', config, implementations), DEFAULT_LIMITS).chart.hash
  const base = { initial: 'a', states: { a: { on: { GO: 'b' } }, b: {} } }

  it('is the same for the same chart, whatever its code does', () => {
    expect(hash(base)).toBe(hash(base))
    const guarded = {
      initial: 'a',
      states: { a: { on: { GO: { target: 'b', guard: 'g' } } }, b: {} },
    }
    expect(hash(guarded, { guards: { g: () => true } })).toBe(
      hash(guarded, { guards: { g: () => false } }),
    )
  })

  it.each([
    ['a state', { ...base, states: { ...base.states, c: {} } }],
    ['a target', { ...base, states: { a: { on: { GO: 'a' } }, b: {} } }],
    ['the initial state', { ...base, initial: 'b' }],
    ['a tag', { ...base, states: { a: { on: { GO: 'b' }, tags: 'x' }, b: {} } }],
    ['a type', { ...base, states: { a: { on: { GO: 'b' } }, b: { type: 'final' } } }],
  ])('changes with %s', (_name, config) => {
    expect(hash(config)).not.toBe(hash(base))
  })
})

describe('migrations', () => {
  const hosted = (version: number, migrations: object, states: object = { a: {}, b: {} }) =>
    hostMachine(
      host('m', { initial: 'a', states }, {}, {
        version,
        migrations,
      } as never) as MachineDefinition,
      DEFAULT_LIMITS,
    )
  const stored = (version: number, value = 'a', chartHash = 'old') => ({
    version,
    chartHash,
    value,
    context: { n: 1 },
  })

  it('the same version and chart are used as they are', () => {
    const h = hosted(1, {})
    expect(migrate(h, stored(1, 'a', h.chart.hash))).toEqual({ kind: 'same' })
  })

  it('follow the path from version to version', () => {
    const step = (by: number) => (state: { value: string; context: { n: number } }) => ({
      ...state,
      context: { n: state.context.n * by },
    })
    const h = hosted(4, { 1: step(2), 2: step(3), 3: step(5) })
    expect(migrate(h, stored(1))).toEqual({ kind: 'migrated', value: 'a', context: { n: 30 } })
    expect(migrate(h, stored(3))).toEqual({ kind: 'migrated', value: 'a', context: { n: 5 } })
  })

  it.each([
    [
      'no path',
      hosted(3, { 1: (state: unknown) => state }),
      stored(1),
      'no migration from version 2',
    ],
    ['a state that is gone', hosted(1, {}, { a: {} }), stored(1, 'b'), 'no state "b"'],
    [
      'a migration to nowhere',
      hosted(2, { 1: () => ({ value: 'z', context: {} }) }),
      stored(1),
      'no state "z"',
    ],
    [
      'a migration that throws',
      hosted(2, {
        1: () => {
          throw new Error('oh no')
        },
      }),
      stored(1),
      'oh no',
    ],
  ])('%s is stuck, with the reason', (_name, h, from, words) => {
    expect(migrate(h, from)).toEqual({ kind: 'stuck', why: expect.stringContaining(words) })
  })

  it('a newer version is not touched', () => {
    expect(migrate(hosted(1, {}), stored(2))).toEqual({ kind: 'newer' })
  })
})

describe('back-off', () => {
  it('grows to its maximum and ends with the attempts', () => {
    const policy = resolveRetry({
      attemptsMax: 5,
      initialMs: 100,
      factor: 2,
      backoffMaxMs: 500,
      jitter: 0,
    })
    expect([1, 2, 3, 4, 5, 6].map((attempt) => backoffMs(policy, attempt, 0.5))).toEqual([
      100,
      200,
      400,
      500,
      undefined,
      undefined,
    ])
  })

  it('stays within its jitter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        (attempt, fraction) => {
          const full = Math.min(60_000, 1_000 * 2 ** (attempt - 1))
          const wait = backoffMs(DEFAULT_RETRY, attempt, fraction)!
          expect(wait).toBeGreaterThanOrEqual(full * 0.8)
          expect(wait).toBeLessThanOrEqual(full * 1.2)
        },
      ),
    )
  })

  it('is never longer than its maximum, and spread there as well', () => {
    const policy = resolveRetry({ initialMs: 1_000, backoffMaxMs: 4_000, jitter: 0.2 })
    const waits = [0, 0.5, 0.999_999].map((fraction) => backoffMs(policy, 4, fraction)!)
    expect(Math.max(...waits)).toBe(4_000)
    expect(new Set(waits).size).toBe(3)
    const endless = resolveRetry({ initialMs: Number.MAX_VALUE, backoffMaxMs: Number.MAX_VALUE })
    expect(backoffMs(endless, 1, 0.999_999)).toBeLessThanOrEqual(Number.MAX_VALUE)
  })

  it('layers: the later one counts', () => {
    expect(
      resolveRetry({ attemptsMax: 2, initialMs: 5 }, undefined, { attemptsMax: 9 }),
    ).toMatchObject({ attemptsMax: 9, initialMs: 5, factor: 2 })
    expect(() => resolveRetry({ attemptsMax: 0 })).toThrow('attemptsMax')
    expect(() => resolveRetry({ jitter: 2 })).toThrow('jitter')
  })
})
