/** Positions at rest and in motion: an actor goes the same way from both. */
import { describe, expect, it } from 'vitest'
import { assign } from 'xstate'
import { host } from '../shard/support.ts'
import { Pocket } from './support.ts'

describe('of two regions that want what excludes each other, the first of the chart wins', () => {
  const torn = (b: object) =>
    host(
      'm',
      {
        initial: 'p',
        context: { ready: false },
        states: {
          p: {
            type: 'parallel',
            states: {
              // Deeper than what is beside it: a position that is read back lists it last.
              a: {
                initial: 'x',
                states: {
                  x: {
                    initial: 'in',
                    states: {
                      in: {
                        always: { target: '#m.first', guard: 'ready' },
                        on: { MOVE: 'other', GO: '#m.first' },
                      },
                      other: { on: { BACK: 'in' } },
                    },
                  },
                },
              },
              b,
            },
            on: { READY: { actions: 'makeReady' } },
          },
          first: {},
          second: {},
        },
      },
      {
        guards: { ready: ({ context }: { context: { ready: boolean } }) => context.ready },
        actions: { makeReady: assign({ ready: true } as never) },
      },
    )
  const b = { always: { target: '#m.second', guard: 'ready' }, on: { GO: '#m.second' } }
  const ways: [string, (m: Pocket) => Pocket][] = [
    ['in memory', (m) => m],
    ['from disk', (m) => m.sleep()],
    ['after the first was entered last', (m) => m.send('MOVE').send('BACK')],
    ['the same from disk', (m) => m.send('MOVE').send('BACK').sleep()],
  ]

  it.each(ways)('%s', (_name, way) => {
    expect(way(new Pocket(torn(b))).send('READY').value).toBe('first')
    expect(way(new Pocket(torn(b))).send('GO').value).toBe('first')
  })

  it('and a position names its regions in the order of the chart', () => {
    const m = new Pocket(torn(b))
    const names = () => JSON.stringify(m.value)
    const before = names()
    m.send('MOVE')
    m.send('BACK')
    expect(names()).toBe(before)
    m.sleep({ p: { b: {}, a: { x: 'in' } } })
    expect(names()).toBe(before)
  })
})
