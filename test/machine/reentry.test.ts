/** Resume at a state and retry, by the statechart itself. */
import { describe, expect, it } from 'vitest'
import { createMachine } from 'xstate'
import { host, job, see } from '../shard/support.ts'
import { Pocket } from './support.ts'

const inOut = (name: string, more: object = {}) => ({
  entry: see(`+${name}`),
  exit: see(`-${name}`),
  ...more,
})

const works = { actors: { work: job('work'), other: job('other'), root: job('root') } }

const twin = host(
  'm',
  {
    initial: 'p',
    invoke: { src: 'root', id: 'root' },
    states: {
      p: {
        type: 'parallel',
        ...inOut('p'),
        states: {
          a: {
            initial: 'one',
            ...inOut('a'),
            states: {
              one: inOut('one', { invoke: { src: 'work', id: 'w' }, after: { 100: 'two' } }),
              two: inOut('two'),
              deep: { initial: 'd1', states: { d1: inOut('d1'), d2: inOut('d2') } },
            },
          },
          b: {
            initial: 'x',
            states: { x: inOut('x', { invoke: { src: 'other', id: 'o' } }), y: inOut('y') },
          },
          atom: inOut('atom'),
        },
      },
      q: inOut('q'),
    },
  },
  works,
)

function fresh(definition = twin): Pocket {
  const m = new Pocket(definition)
  ;(m.snapshot.context as { seen: string[] }).seen.length = 0
  return m
}

describe('at a state', () => {
  it('in a region: exit and entry run, its task and timer go, the rest stays', () => {
    const m = fresh().goto('p.a.two')
    expect(m.value).toEqual({ p: { a: 'two', b: 'x', atom: {} } })
    expect(m.seen).toEqual(['-one', '+two'])
    expect(m.asked.sort()).toEqual(['cancel timer xstate.after.100.m.p.a.one', 'stop w'])
  })

  it('deep in a region', () => {
    const m = fresh().goto('p.a.deep.d2')
    expect(m.value).toEqual({ p: { a: { deep: 'd2' }, b: 'x', atom: {} } })
    expect(m.seen).toEqual(['-one', '+d2'])
  })

  it('the one that it is in: it is left and entered', () => {
    const m = fresh().goto('p.a.one')
    expect(m.seen).toEqual(['-one', '+one'])
    expect(m.asked).toContain('run task work as w')
  })

  it('a region starts anew, its siblings do not notice', () => {
    const m = fresh().goto('p.a.two').goto('p.a')
    expect(m.value).toEqual({ p: { a: 'one', b: 'x', atom: {} } })
    expect(m.seen).not.toContain('-x')
    expect(m.asked).not.toContain('stop root')
  })

  it('outside: everything below is left, the root keeps what it runs', () => {
    const m = fresh().goto('q')
    expect(m.value).toBe('q')
    expect(m.asked.sort()).toEqual(['cancel timer xstate.after.100.m.p.a.one', 'stop o', 'stop w'])
  })

  it('in a parallel state that is not active', () => {
    const m = fresh().goto('q').goto('p.b.y')
    expect(m.value).toEqual({ p: { a: 'one', b: 'y', atom: {} } })
    expect(m.asked).toContain('run task work as w')
    expect(m.asked).not.toContain('run task other as o')
  })

  it('the ordinary chart knows nothing of it', () => {
    const m = fresh().goto('p.a.two')
    expect(m.send('troupe.goto').handled).toBe(false)
    expect(m.hosted.chart.machine.events).not.toContain('troupe.goto')
  })

  it('a history state is no state to be in', () => {
    const m = new Pocket(
      host('m', {
        initial: 'a',
        states: { a: { initial: 'x', states: { x: {}, h: { type: 'history' } } } },
      }),
    )
    expect(m.hosted.chart.states).toEqual(['a', 'a.x'])
  })

  it('a final state finishes it', () => {
    const m = new Pocket(
      host('m', { initial: 'a', states: { a: {}, end: { type: 'final' } }, output: () => 7 }),
    )
    expect(m.goto('end').snapshot).toMatchObject({ status: 'done', output: 7 })
  })

  it.each([
    ['at the leaf', { initial: 'a', states: { a: { on: { '*': { actions: 'caught' } } }, b: {} } }],
    ['at the leaf, to nowhere', { initial: 'a', states: { a: { on: { '*': undefined } }, b: {} } }],
    ['at the root', { on: { '*': { actions: 'caught' } }, initial: 'a', states: { a: {}, b: {} } }],
    ['at the root, with a target', { on: { '*': '.a' }, initial: 'a', states: { a: {}, b: {} } }],
    [
      'with a guard, in a list',
      {
        initial: 'a',
        states: { a: { on: { '*': [{ guard: 'yes', actions: 'caught' }, 'a'] } }, b: {} },
      },
    ],
  ])('a wildcard %s does not catch it', (_name, config) => {
    const m = new Pocket(
      host('m', config, { actions: { caught: see('caught') }, guards: { yes: () => true } }),
    )
    expect(m.goto('b').value).toBe('b')
    expect(m.seen).toEqual([])
  })

  it('a wildcard still catches what it should, afterwards', () => {
    const m = new Pocket(
      host(
        'm',
        { on: { '*': { actions: 'caught' } }, initial: 'a', states: { a: {}, b: {} } },
        { actions: { caught: see('caught') } },
      ),
    )
    expect(m.goto('b').send('ANY').seen).toEqual(['caught'])
  })

  it('always takes over from there', () => {
    const m = new Pocket(host('m', { initial: 'a', states: { a: {}, b: { always: 'c' }, c: {} } }))
    expect(m.goto('b').value).toBe('c')
  })

  it('in machines whose ids and states have their own', () => {
    const m = new Pocket(
      host('m', {
        initial: 'a',
        states: { a: { id: 'elsewhere' }, b: { id: 'a.b#c', initial: 'c', states: { c: {} } } },
      }),
    )
    expect(m.goto('b.c').value).toEqual({ b: 'c' })
    const kid = createMachine({ id: 'kid.with.dots', initial: 'a', states: { a: {}, b: {} } })
    const parent = new Pocket(host('m', {}, { actors: { kid } }))
    const source = parent.hosted.chart.sources.get('kid')
    if (source?.kind !== 'machine') throw new Error('not a machine')
    expect(() => source.chart.reentry.toState('b')).not.toThrow()
  })

  it('in states whose keys hold what separates others', () => {
    const m = new Pocket(
      host('m', {
        initial: 'a',
        states: { a: {}, 'b\\c': { initial: 'x', states: { x: {}, y: {} } } },
      }),
    )
    expect(m.goto('b\\c.y').value).toEqual({ 'b\\c': 'y' })
    expect(m.retry().value).toEqual({ 'b\\c': 'y' })
  })

  it('in a chart that is parallel at its root', () => {
    const m = new Pocket(
      host('m', {
        type: 'parallel',
        states: {
          a: { initial: 'x', states: { x: {}, y: {} } },
          b: { initial: 'x', states: { x: inOut('bx'), y: {} } },
        },
      }),
    )
    expect(m.goto('a.y').value).toEqual({ a: 'y', b: 'x' })
    expect(m.seen).toEqual(['+bx'])
  })
})

describe('at a state, after a task failed that the move does not touch', () => {
  const tasksOf = (m: Pocket) => m.asked.filter((effect) => /task|stop/.test(effect)).sort()

  it('in a region beside: its state is entered again, and nothing else', () => {
    const m = fresh().goto('p.a.two', 'o')
    expect(m.value).toEqual({ p: { a: 'two', b: 'x', atom: {} } })
    expect(m.seen).toEqual(['-x', '-one', '+two', '+x'])
    expect(tasksOf(m)).toEqual(['run task other as o', 'stop o', 'stop w'])
  })

  it('in the state that is left: it is left', () => {
    const m = fresh().goto('p.a.two', 'w')
    expect(m.seen).toEqual(['-one', '+two'])
    expect(tasksOf(m)).toEqual(['stop w'])
  })

  it('of the root: everything is entered again, the other regions where they stand', () => {
    const m = fresh().goto('p.b.y').goto('p.a.two', 'root')
    expect(m.value).toEqual({ p: { a: 'two', b: 'y', atom: {} } })
    expect(tasksOf(m)).toEqual(['run task root as root', 'stop root', 'stop w'])
  })

  it('of the root, to a state outside of all regions', () => {
    const m = fresh().goto('q', 'root')
    expect([m.value, tasksOf(m)]).toEqual([
      'q',
      ['run task root as root', 'stop o', 'stop root', 'stop w'],
    ])
  })

  it('of the region itself, or of a state above: that is entered again with what it holds', () => {
    const m = fresh(
      host(
        'm',
        {
          initial: 'c',
          states: {
            c: inOut('c', {
              invoke: { src: 'root', id: 'c' },
              type: 'parallel',
              states: {
                a: inOut('a', {
                  invoke: { src: 'work', id: 'a' },
                  initial: 'one',
                  states: { one: {}, two: {} },
                }),
                b: { initial: 'x', states: { x: {}, y: inOut('y') } },
              },
            }),
          },
        },
        works,
      ),
    ).goto('c.b.y')
    m.seen.length = 0
    expect(m.goto('c.a.two', 'a').value).toEqual({ c: { a: 'two', b: 'y' } })
    expect(m.seen).toEqual(['-y', '-a', '+a', '+y'])
    m.seen.length = 0
    expect(m.goto('c.a', 'c').value).toEqual({ c: { a: 'one', b: 'y' } })
    expect(m.seen).toEqual(['-y', '-a', '-c', '+c', '+a', '+y'])
  })
})

describe('retry', () => {
  it('leaves and enters all leaves together, atomic regions too', () => {
    const m = fresh().goto('p.b.y')
    ;(m.snapshot.context as { seen: string[] }).seen.length = 0
    m.retry()
    expect(m.value).toEqual({ p: { a: 'one', b: 'y', atom: {} } })
    // Beside an atomic region the others are entered from their top: it has no node of its own to leave.
    const entered = m.seen.filter((text) => text.startsWith('+'))
    expect(entered.sort()).toEqual(['+a', '+atom', '+one', '+y'])
    expect(m.seen).not.toContain('-p')
    expect(m.asked.filter((effect) => /task|stop/.test(effect)).sort()).toEqual([
      'run task work as w',
      'stop w',
    ])
  })

  it('leaves the siblings of an atomic region alone when there is nothing to enter in it', () => {
    const beside = (atom: object) =>
      host(
        'm',
        {
          type: 'parallel',
          states: {
            a: {
              invoke: { src: 'other', id: 'o' },
              initial: 'one',
              ...inOut('a'),
              states: { one: inOut('one', { invoke: { src: 'work', id: 'w' } }) },
            },
            atom: { on: { GO: { actions: see('go') } }, ...atom },
          },
        },
        works,
      )
    const quiet = fresh(beside({})).retry()
    expect(quiet.seen).toEqual(['-one', '+one'])
    expect(quiet.asked.sort()).toEqual(['run task work as w', 'stop w'])
    expect(quiet.send('GO').seen.at(-1)).toBe('go')
    // XState leaves the children of a parallel state together or not at all.
    for (const atom of [
      inOut('atom'),
      { after: { 100: { actions: see('late') } } },
      { invoke: { src: 'root', id: 'r' } },
    ]) {
      const busy = fresh(beside(atom)).retry()
      expect(busy.seen).toEqual(expect.arrayContaining(['-one', '-a', '+a', '+one']))
      expect(busy.value).toEqual({ a: 'one', atom: {} })
      expect(busy.asked).toEqual(expect.arrayContaining(['stop w', 'run task work as w', 'stop o']))
    }
  })

  it('of atomic regions with nothing in them changes nothing', () => {
    const m = fresh(host('m', { type: 'parallel', states: { a: {}, b: {} } })).retry()
    expect([m.value, m.asked]).toEqual([{ a: {}, b: {} }, []])
  })

  it('of a flat state', () => {
    const m = new Pocket(
      host('m', { initial: 'a', states: { a: inOut('a', { on: { B: 'b' } }), b: inOut('b') } }),
    )
    expect(m.send('B').retry().seen).toEqual(['+a', '-a', '+b', '-b', '+b'])
  })

  it('enters the compound parent again whose task failed, at the same leaf', () => {
    const m = new Pocket(
      host(
        'm',
        {
          initial: 'run',
          states: {
            run: inOut('run', {
              invoke: { src: 'work', id: 'w' },
              initial: 'x',
              states: { x: { on: { Y: 'y' } }, y: inOut('y') },
            }),
          },
        },
        works,
      ),
    )
    m.send('Y')
    m.retry('w')
    expect(m.value).toEqual({ run: 'y' })
    expect(m.seen).toEqual(['+run', '+y', '-y', '-run', '+run', '+y'])
    expect(m.asked).toContain('run task work as w')
  })

  it('enters the root again when a task of the root failed', () => {
    const m = fresh().goto('p.a.two').retry('root')
    expect(m.value).toEqual({ p: { a: 'two', b: 'x', atom: {} } })
    expect(m.asked).toContain('run task root as root')
  })

  it('of a chart without states', () => {
    const m = new Pocket(host('m', { entry: see('+'), invoke: { src: 'work', id: 'w' } }, works))
    m.retry('w')
    expect(m.asked).toContain('run task work as w')
  })

  it('is not caught by a wildcard', () => {
    const m = new Pocket(
      host('m', {
        on: { '*': { actions: see('caught') } },
        initial: 'a',
        states: { a: inOut('a', { on: { '*': { actions: see('leaf') } } }) },
      }),
    )
    expect(m.retry().seen).toEqual(['+a', '-a', '+a'])
  })
})
