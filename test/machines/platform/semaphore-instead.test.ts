/** Who asks and gives back what it has in one: as if it had done one thing after the other. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  acquire,
  acquireInstead,
  type Decision,
  type Request,
  release,
} from '../../../machines/platform/semaphore.ts'
import { demandOf, type Semaphore, type Waiter } from '../../../machines/platform/serving.ts'
import { asked, empty, gotBy, request, who } from './semaphore-rig.ts'

const CHOICES = { x: [['pc1'], ['pc2', 'gpu']], y: [['gpu']], z: [['gpu', 'pc1']] }
const limits = fc.record({
  pc1: fc.integer({ min: 1, max: 2 }),
  pc2: fc.integer({ min: 1, max: 2 }),
  gpu: fc.constant(1),
})
const wants = fc.constantFrom<Request['wants'][]>(...['x', 'y', 'z', 'gone'], [[]])
const requests = fc.record({
  holder: fc.constantFrom(...'abcdefghij'),
  units: fc.integer({ min: 1, max: 4 }),
  wants,
  priority: fc.constant(0),
  leaseMs: fc.constant(0),
  waitMs: fc.constantFrom(null, null, 0),
  ref: fc.constantFrom(null, 'r'),
})

const tokenOf = ({ holders }: Semaphore, holder: string) =>
  holders.find((one) => one.holder === holder)!.token

/** Whatever the ids of its demands are. */
function plain({ next, granted, ended, ...others }: Decision) {
  const named = <T extends Waiter>(one: T) => ({
    ...one,
    demand: { ...demandOf(next, one), id: 0 },
  })
  const { demands, holders, waiters, ...rest } = next
  return {
    ...others,
    next: { ...rest, demands: demands.length },
    holders: holders.map(named),
    waiters: waiters.map(named),
    granted: granted.map(named),
    ended: ended.map(({ who: { demand: _, ...one }, reason }) => ({ ...one, reason })),
  }
}

it('it is the same as to release and then to ask, whatever comes of it', () => {
  fc.assert(
    fc.property(
      ...[limits, fc.array(requests, { maxLength: 20 }), requests, fc.nat()],
      (most, before, wanted, at) => {
        const gaps = { pc2: 1_000 }
        const now = asked(empty(5, { limits: most, gaps, choices: CHOICES }), ...before)
        const held = now.holders[at % Math.max(1, now.holders.length)]
        if (held === undefined) return
        const asks = { ...wanted, holder: held.holder }
        const back = release(now, held.holder, held.token)
        const then = acquire(back.next, asks)
        const both = acquireInstead(now, asks, held.token)
        expect(plain(both)).toEqual(
          plain({
            ...then,
            granted: [...back.granted, ...then.granted],
            ended: [...back.ended, ...then.ended],
            gapsBegun: [...back.gapsBegun, ...then.gapsBegun],
          }),
        )
      },
    ),
    { numRuns: 500 },
  )
})

it('who waits for the place gets it, and whoever gave it back stands behind', () => {
  let now = asked(empty(1), request('a'), request('b'), request('c'))
  const { next, granted, answer } = acquireInstead(now, request('a'), 1)
  now = next
  expect([who(granted), who(now.waiters)]).toEqual([['b'], ['c', 'a']])
  expect(answer).toMatchObject({ granted: false, position: 2 })
})

it('where nobody waits it goes on at once, with another token', () => {
  const now = asked(empty(1, { choices: CHOICES }), request('a'))
  const { next, ended, answer } = acquireInstead(now, { ...request('a'), wants: 'y' }, 1)
  expect(answer).toMatchObject({ granted: true, token: 2, names: ['gpu'] })
  expect(ended).toMatchObject([{ who: { token: 1 }, reason: 'released' }])
  expect([who(next.holders), gotBy(next, 'a'), next.demands.length]).toEqual([['a'], ['gpu'], 1])
})

it('a token that it does not hold gives back nothing, and is no error', () => {
  const now = asked(empty(2), request('a'), request('b'))
  expect(acquireInstead(now, request('c'), tokenOf(now, 'a'))).toEqual(acquire(now, request('c')))
  expect(acquireInstead(now, request('a'), tokenOf(now, 'b'))).toEqual(acquire(now, request('a')))
  expect(acquireInstead(now, request('a'), 99)).toEqual(acquire(now, request('a')))
})

it('a request that is refused gives it back all the same, to who waits', () => {
  const now = asked(empty(1), request('a'), request('b'))
  for (const [refused, wanted] of [
    ['too-large', request('a', 2)],
    ['unknown-choice', { ...request('a'), wants: 'gone' }],
    ['busy', { ...request('a'), waitMs: 0 }],
  ] as const) {
    const { next, answer } = acquireInstead(now, wanted, 1)
    expect(answer).toMatchObject({ refused })
    expect([who(next.holders), who(next.waiters)]).toEqual([['b'], []])
  }
})
