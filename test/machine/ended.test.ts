/** Bringing back at a state what has ended: nothing of it is alive, and all that it needs starts. */
import { describe, expect, it } from 'vitest'
import { sendTo } from 'xstate'
import type { Remains } from '../../src/machine/index.ts'
import { host, job, see } from '../shard/support.ts'
import { Pocket } from './support.ts'

const inOut = (name: string, more: object = {}) => ({
  entry: see(`+${name}`),
  exit: see(`-${name}`),
  ...more,
})

const names = ['root', 'p', 'a', 'one', 'b', 'x', 'y', 'atom'] as const
const works = { actors: Object.fromEntries(names.map((name) => [name, job(name)])) }
const busy = (name: (typeof names)[number], more: object = {}) =>
  inOut(name, {
    invoke: { src: name, id: name },
    after: { 100: { actions: see('late') } },
    ...more,
  })

const end = { on: { END: 'end' } }
const twin = host(
  'm',
  {
    ...busy('root'),
    initial: 'p',
    states: {
      p: busy('p', {
        type: 'parallel',
        states: {
          a: busy('a', {
            initial: 'one',
            states: { one: busy('one', end), two: {}, end: { type: 'final' } },
          }),
          b: busy('b', {
            initial: 'x',
            states: {
              x: busy('x', { on: { Y: 'y' } }),
              y: busy('y', end),
              end: inOut('end', { type: 'final' }),
            },
          }),
          atom: busy('atom'),
        },
      }),
      q: inOut('q', { on: { BACK: 'p' } }),
    },
  },
  works,
)

function stopped(definition = twin, ...events: string[]): Pocket {
  const m = new Pocket(definition)
  for (const type of events) m.send(type)
  m.seen.length = 0
  return m
}

const started = (m: Pocket, what: RegExp) =>
  m.asked.flatMap((effect) => what.exec(effect)?.[1] ?? []).sort()
const tasksOf = (m: Pocket) => started(m, /^run task \w+ as (\w+)$/)
const timersOf = (m: Pocket) => started(m, /^timer xstate\.after\.100\.m(?:\.([\w.]+))?:/)

describe.each<Remains['end']>(['cancelled', 'finished'])(
  '%s, and resumed inside a region',
  (ended) => {
    it('the regions beside stand where they stood, with their tasks and timers', () => {
      const m = stopped(twin, 'Y').anew('p.a.two', ended)
      expect(m.value).toEqual({ p: { a: 'two', b: 'y', atom: {} } })
      expect(tasksOf(m)).toEqual(['a', 'atom', 'b', 'p', 'root', 'y'])
      expect(timersOf(m)).toEqual(['p', 'p.a', 'p.atom', 'p.b', 'p.b.y'])
      expect(m.asked.filter((effect) => /^(stop|cancel)/.test(effect))).toEqual([])
    })

    it('each state is entered once', () => {
      const m = stopped(twin, 'Y').anew('p.a.two', ended)
      const entered = m.seen.filter((text) => text.startsWith('+'))
      expect(entered).toEqual(['+root', '+p', '+a', '+b', '+y', '+atom'])
    })

    it('a region as the path starts anew', () => {
      const m = stopped(twin, 'Y').anew('p.b', ended)
      expect(m.value).toEqual({ p: { a: 'one', b: 'x', atom: {} } })
      expect(tasksOf(m)).toEqual(['a', 'atom', 'b', 'one', 'p', 'root', 'x'])
    })

    it('the parallel state as the path starts all of its regions anew', () => {
      expect(stopped(twin, 'Y').anew('p', ended).value).toEqual({
        p: { a: 'one', b: 'x', atom: {} },
      })
    })

    it('a state outside leaves the regions behind, and starts what the root needs', () => {
      const m = stopped(twin, 'Y').anew('q', ended)
      expect([m.value, tasksOf(m), timersOf(m)]).toEqual(['q', ['root'], []])
    })

    it('a region that was not entered begins at its beginning', () => {
      const m = stopped().goto('q').anew('p.b.y', ended)
      expect(m.value).toEqual({ p: { a: 'one', b: 'y', atom: {} } })
      expect(tasksOf(m)).toEqual(['a', 'atom', 'b', 'one', 'p', 'root', 'y'])
    })

    it('a final region beside stays final, so that the rest can end', () => {
      const m = stopped(twin, 'Y', 'END').anew('p.a.two', ended)
      expect(m.value).toEqual({ p: { a: 'two', b: 'end', atom: {} } })
      expect(m.snapshot.status).toBe('active')
    })

    it('what was started is what XState ends', () => {
      const m = stopped(twin, 'Y').anew('p.a.one', ended).goto('q')
      expect(m.asked).toEqual(expect.arrayContaining(['stop one', 'stop y', 'stop p', 'stop atom']))
      expect(m.asked).not.toContain('stop root')
    })
  },
)

describe('what is left', () => {
  it('of a cancelled actor the exits have not run: they do, and history states remember', () => {
    const m = stopped(
      host('m', {
        ...inOut('root'),
        initial: 'a',
        states: {
          a: inOut('a', {
            initial: 'x',
            states: { x: { on: { Y: 'y' } }, y: inOut('y'), h: { type: 'history' } },
          }),
          b: inOut('b', { on: { BACK: 'a.h' } }),
        },
      }),
      'Y',
    ).anew('b', 'cancelled')
    expect(m.seen).toEqual(['-y', '-a', '-root', '+root', '+b'])
    expect(m.send('BACK').value).toEqual({ a: 'y' })
  })

  it('of a finished actor they have run when it finished: they do not again', () => {
    const m = new Pocket(
      host('m', {
        ...inOut('root'),
        initial: 'a',
        states: { a: inOut('a', { on: { END: 'end' } }), end: inOut('end', { type: 'final' }) },
      }),
    )
    expect(m.send('END').seen).toEqual(['+root', '+a', '-a', '+end', '-end', '-root'])
    m.seen.length = 0
    expect(m.anew('a', 'finished').seen).toEqual(['+root', '+a'])
  })

  it('of one that the chart cannot read there is nothing to leave or to remember', () => {
    const m = stopped(twin, 'Y').anew('p.a.two', 'unreadable')
    expect(m.value).toEqual({ p: { a: 'two', b: 'x', atom: {} } })
    expect(m.seen.filter((text) => text.startsWith('-'))).toEqual([])
    expect(tasksOf(m)).toEqual(['a', 'atom', 'b', 'p', 'root', 'x'])
  })

  it('nor do its history states lead to what they meant in another version', () => {
    const m = stopped(
      host('m', {
        initial: 'a',
        states: {
          a: {
            initial: 'x',
            states: { x: { on: { Y: 'y' } }, y: {}, h: { type: 'history' } },
            on: { B: 'b' },
          },
          b: { on: { BACK: 'a.h' } },
        },
      }),
      'Y',
      'B',
    )
    expect(m.anew('b', 'unreadable').send('BACK').value).toEqual({ a: 'x' })
  })

  it('an exit may speak to a child that is gone', () => {
    const m = stopped(
      host(
        'm',
        {
          initial: 'a',
          states: {
            a: { invoke: { src: 'one', id: 'one' }, exit: sendTo('one', { type: 'BYE' }) },
            b: {},
          },
        },
        works,
      ),
    ).anew('b', 'cancelled')
    expect([m.value, m.asked]).toEqual(['b', []])
  })

  it('a finished actor has no output any more, until it finishes again', () => {
    const m = new Pocket(
      host('m', {
        initial: 'a',
        states: { a: { on: { END: 'end' } }, end: { type: 'final' } },
        output: () => 7,
      }),
    )
    m.send('END')
    expect(m.snapshot).toMatchObject({ status: 'done', output: 7 })
    m.anew('a', 'finished')
    expect(m.snapshot).toMatchObject({ status: 'active', value: 'a', output: undefined })
    expect(m.send('END').snapshot).toMatchObject({ status: 'done', output: 7 })
    expect(m.anew('end', 'finished').snapshot).toMatchObject({ status: 'done', output: 7 })
  })
})

describe('in unusual charts', () => {
  const region = (first: string, second: string) => ({
    initial: first,
    states: { [first]: busy('x', { on: { GO: second } }), [second]: {} },
  })

  it('parallel states in each other', () => {
    const inner = {
      type: 'parallel',
      states: {
        c: { initial: 'k', states: { k: {}, l: inOut('l') } },
        d: { initial: 'k', states: { k: { on: { Y: 'l' } }, l: inOut('dl') } },
      },
    }
    const m = stopped(
      host('m', {
        type: 'parallel',
        states: {
          a: inner,
          b: { initial: 'k', states: { k: { on: { Y: 'l' } }, l: inOut('bl') } },
        },
      }),
      'Y',
    ).anew('a.c.l', 'cancelled')
    expect(m.value).toEqual({ a: { c: 'l', d: 'l' }, b: 'l' })
    expect(m.seen.filter((text) => text.startsWith('+'))).toEqual(['+l', '+dl', '+bl'])
  })

  it('a chart that is parallel at its root, and a wildcard in it', () => {
    const m = stopped(
      host(
        'm',
        {
          type: 'parallel',
          on: { '*': { actions: see('caught') } },
          states: {
            a: region('k', 'l'),
            b: { initial: 'k', states: { k: { on: { '*': '#m.b.l' } }, l: {} } },
          },
        },
        works,
      ),
    ).anew('a.l', 'cancelled')
    expect(m.value).toEqual({ a: 'l', b: 'k' })
    expect(m.seen).not.toContain('caught')
  })

  it('the end of a parallel state: its onDone comes when the last region ends', () => {
    const side = {
      initial: 'k',
      states: { k: { on: { END: 'end' } }, l: { on: { STOP: 'end' } }, end: { type: 'final' } },
    }
    const m = new Pocket(
      host('m', {
        initial: 'p',
        states: {
          p: { type: 'parallel', states: { a: side, b: side }, onDone: 'end' },
          end: { type: 'final' },
        },
      }),
    )
    m.goto('p.a.l').send('END')
    expect(m.value).toEqual({ p: { a: 'l', b: 'end' } })
    m.anew('p.a.l', 'cancelled')
    expect([m.value, m.snapshot.status]).toEqual([{ p: { a: 'l', b: 'end' } }, 'active'])
    expect(m.send('STOP').snapshot.status).toBe('done')
    m.anew('p.a.l', 'finished')
    expect(m.value).toEqual({ p: { a: 'l', b: 'k' } })
    expect(m.anew('p.a.end', 'cancelled').value).toEqual({ p: { a: 'end', b: 'k' } })
  })

  it('an initial state that is a history', () => {
    const m = stopped(
      host('m', {
        initial: 'a',
        states: {
          a: {
            initial: 'h',
            states: { h: { type: 'history', target: 'x' }, x: { on: { GO: 'y' } }, y: {} },
          },
          b: {},
        },
      }),
      'GO',
    )
    expect(m.goto('b').anew('a', 'cancelled').value).toEqual({ a: 'y' })
  })
})
