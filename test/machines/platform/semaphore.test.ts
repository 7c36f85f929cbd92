/** Whatever is asked of a semaphore: never too much is out, in order, and nobody is forgotten. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  acquire,
  type Decision,
  evict,
  HOLDERS_MAX,
  type Holder,
  leaseOver,
  type Request,
  release,
  renew,
  resize,
  type Semaphore,
  usedBy,
  type Waiter,
  waitOver,
  withdraw,
} from '../../../machines/platform/semaphore.ts'

const STAGES = ['pc1', 'pc2'] as const
const WAITERS_MAX = 6

type Step =
  | ({ do: 'acquire' } & Request)
  | { do: 'release' | 'evict' | 'withdraw' | 'renew'; holder: string }
  | { do: 'leaseOver' | 'waitOver'; number: number }
  | { do: 'resize'; slots: number; limits: Record<string, number> }

const holders = fc.constantFrom(...'abcdefghij')
const limits = fc.dictionary(fc.constantFrom(...STAGES), fc.integer({ min: 1, max: 4 }))
const slots = fc.integer({ min: 1, max: 6 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      holder: holders,
      units: fc.integer({ min: 1, max: 4 }),
      stage: fc.constantFrom(null, ...STAGES),
      priority: fc.constantFrom(0, 0, 1),
      leaseMs: fc.constant(0),
      waitMs: fc.constantFrom(null, null, null, 0),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('release', 'release', 'evict', 'withdraw', 'renew'),
      holder: holders,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('leaseOver', 'waitOver'),
      number: fc.integer({ min: 1, max: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), slots, limits }) },
)

function empty(count: number, perStage: Record<string, number> = {}): Semaphore {
  return {
    slots: count,
    limits: perStage,
    waitersMax: WAITERS_MAX,
    lastTicket: 0,
    lastToken: 0,
    holders: [],
    waiters: [],
  }
}

function apply(now: Semaphore, step: Step): Decision {
  switch (step.do) {
    case 'acquire': {
      const { do: _do, ...request } = step
      return acquire(now, request)
    }
    case 'release':
      return release(now, step.holder, null)
    case 'evict':
      return evict(now, step.holder)
    case 'withdraw':
      return withdraw(now, step.holder)
    case 'renew':
      return renew(now, step.holder, null, null)
    case 'leaseOver':
      return leaseOver(now, step.number)
    case 'waitOver':
      return waitOver(now, step.number)
    case 'resize':
      return resize(now, step.slots, step.limits)
  }
}

const limitOf = (now: Semaphore, stage: string) => now.limits[stage] ?? Number.POSITIVE_INFINITY

function hasStageRoom(now: Semaphore, { stage, units }: Waiter): boolean {
  return stage === null || usedBy(now.holders, stage) + units <= limitOf(now, stage)
}

const isAhead = (one: Waiter, other: Waiter) =>
  one.priority > other.priority || (one.priority === other.priority && one.ticket < other.ticket)

/** Nothing is given beyond what there is; what is out beyond it since a resize only shrinks. */
function neverTooMuch(before: Semaphore, after: Semaphore): void {
  expect(usedBy(after.holders)).toBeLessThanOrEqual(Math.max(after.slots, usedBy(before.holders)))
  for (const stage of STAGES) {
    const had = usedBy(before.holders, stage)
    expect(usedBy(after.holders, stage)).toBeLessThanOrEqual(Math.max(limitOf(after, stage), had))
  }
}

/** The first who is not kept back by its stage waits only because there is too little for it. */
function nobodyForgotten(now: Semaphore): void {
  const stages = new Set<string>()
  for (const waiter of now.waiters) {
    const isKeptBack =
      waiter.stage !== null && (stages.has(waiter.stage) || !hasStageRoom(now, waiter))
    if (!isKeptBack) {
      expect(waiter.units).toBeGreaterThan(now.slots - usedBy(now.holders))
      return
    }
    if (waiter.stage !== null) stages.add(waiter.stage)
  }
}

function inOrder(now: Semaphore, granted: readonly Holder[]): void {
  for (const [index, waiter] of now.waiters.entries()) {
    const next = now.waiters[index + 1]
    if (next !== undefined) expect(isAhead(waiter, next)).toBe(true)
    const passed = granted.filter((one) => isAhead(waiter, one))
    // They are of another stage, and its own is full, or somebody of it is before it.
    for (const one of passed) expect(one.stage).not.toBe(waiter.stage)
    const isFirst = !now.waiters.slice(0, index).some(({ stage }) => stage === waiter.stage)
    if (passed.length > 0 && isFirst) expect(hasStageRoom(now, waiter)).toBe(false)
  }
}

it('never too much out, in order, nobody forgotten, and a refusal changes nothing', () => {
  fc.assert(
    fc.property(slots, limits, fc.array(steps, { maxLength: 80 }), (count, perStage, list) => {
      let now = empty(count, perStage)
      for (const step of list) {
        const { next, answer, granted } = apply(now, step)
        neverTooMuch(now, next)
        nobodyForgotten(next)
        const fresh = granted.filter(({ token }) => token > now.lastToken)
        inOrder(next, fresh)
        expect(fresh.map(({ token }) => token)).toEqual(
          fresh.map((_, index) => now.lastToken + index + 1),
        )
        expect(next.waiters.length).toBeLessThanOrEqual(WAITERS_MAX)
        const all = [...next.holders, ...next.waiters].map(({ holder }) => holder)
        expect(new Set(all).size).toBe(all.length)
        if (answer && 'refused' in answer) expect(next).toBe(now)
        now = next
      }
    }),
    { numRuns: 1_000 },
  )
})

it('asking again changes nothing and gets the same ticket', () => {
  fc.assert(
    fc.property(slots, fc.array(steps, { maxLength: 40 }), (count, list) => {
      let now = empty(count)
      for (const step of list) {
        now = apply(now, step).next
        for (const one of [...now.holders, ...now.waiters]) {
          const again = acquire(now, one)
          expect(again.next).toBe(now)
          expect(again.answer).toMatchObject({ ticket: one.ticket, granted: 'token' in one })
        }
      }
    }),
  )
})

it('everybody who waits is served once whoever holds releases', () => {
  fc.assert(
    fc.property(slots, limits, fc.array(steps, { maxLength: 60 }), (count, perStage, list) => {
      let now = list.reduce((state, step) => apply(state, step).next, empty(count, perStage))
      while (now.holders.length > 0) now = release(now, now.holders[0]?.holder ?? '', null).next
      expect(now.waiters).toEqual([])
    }),
  )
})

const request = (holder: string, units = 1, stage: string | null = null): Request => ({
  holder,
  units,
  stage,
  priority: 0,
  leaseMs: 0,
  waitMs: null,
})

it('small requests do not starve a large one; a full stage does not hold up others', () => {
  let now = empty(4, { pc1: 1 })
  for (const one of [request('a'), request('big', 4), request('small')])
    now = acquire(now, one).next
  expect(now.waiters.map(({ holder }) => holder)).toEqual(['big', 'small'])
  now = release(now, 'a', null).next
  expect(now.holders.map(({ holder }) => holder)).toEqual(['big'])
  now = empty(4, { pc1: 1 })
  for (const one of [request('a', 1, 'pc1'), request('b', 1, 'pc1'), request('c', 1, 'pc2')])
    now = acquire(now, one).next
  expect(now.holders.map(({ holder }) => holder)).toEqual(['a', 'c'])
})

it('nobody passes another of its stage, even if it would fit', () => {
  let now = empty(4, { pc1: 2 })
  for (const one of [request('a', 1, 'pc1'), request('b', 2, 'pc1'), request('c', 1, 'pc1')])
    now = acquire(now, one).next
  expect(now.waiters.map(({ holder }) => holder)).toEqual(['b', 'c'])
})

it('a stage without a limit of its own lets nobody pass who waits behind it', () => {
  let now = empty(3)
  for (const one of [request('a', 1, 'pc1'), request('big', 3, 'pc1'), request('small')])
    now = acquire(now, one).next
  expect(now.waiters.map(({ holder }) => holder)).toEqual(['big', 'small'])
})

it('holders are bounded, whatever the slots', () => {
  let now = { ...empty(1_000_000), waitersMax: 300 }
  for (let n = 0; n <= HOLDERS_MAX; n++) now = acquire(now, request(`h${n}`)).next
  expect([now.holders.length, now.waiters.length]).toEqual([HOLDERS_MAX, 1])
  now = release(now, 'h5', null).next
  expect([now.holders.length, now.waiters.length]).toEqual([HOLDERS_MAX, 0])
  now = { ...empty(HOLDERS_MAX), waitersMax: 300 }
  for (let n = 0; n < 10; n++) now = acquire(now, request(`h${n}`)).next
  now = acquire(now, request('rest', HOLDERS_MAX - 10)).next
  for (let n = 0; n < HOLDERS_MAX; n++) now = acquire(now, request(`w${n}`)).next
  now = release({ ...now, slots: 1_000_000 }, 'rest', null).next
  expect([now.holders.length, now.waiters.length]).toEqual([HOLDERS_MAX, 10])
})
