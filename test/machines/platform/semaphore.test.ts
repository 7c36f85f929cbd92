/** Whatever is asked of a semaphore: never too much is out, in order, and nobody is forgotten. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  acquire,
  again,
  type Decision,
  evict,
  gapOver,
  leaseOver,
  type Request,
  release,
  renew,
  resize,
  TEXT_BYTES_MAX,
  TIMED_MAX,
  waitOver,
  withdraw,
} from '../../../machines/platform/semaphore.ts'
import {
  demandOf,
  HOLDERS_MAX,
  type Holder,
  namesOf,
  optionsOf,
  SETTLED_MAX,
  type Semaphore,
  usedBy,
  usedByName,
  type Waiter,
} from '../../../machines/platform/serving.ts'
import { DEFAULT_LIMITS, pack } from '../../../src/protocol/index.ts'
import { asked, empty, gotBy, request, WAITERS_MAX, who } from './semaphore-rig.ts'

/** Stages, and locks that requests of several stages share. */
const NAMES = ['pc1', 'pc2', 'gpu0', 'gpu1'] as const

type Step =
  | ({ do: 'acquire' } & Request)
  | { do: 'release' | 'evict' | 'withdraw' | 'renew'; holder: string }
  | { do: 'leaseOver' | 'waitOver'; number: number }
  | { do: 'gapOver'; name: string }
  | ({ do: 'resize' } & Pick<Semaphore, 'slots' | 'limits' | 'gaps' | 'choices'>)

const holders = fc.constantFrom(...'abcdefghij')
const limits = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 4 }))
const gaps = fc.dictionary(fc.constantFrom(...NAMES), fc.constant(1_000))
const names = fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
const anyOf = fc.array(names, { minLength: 1, maxLength: 3 })
const CHOICES = ['x', 'y'] as const
const choices = fc.dictionary(fc.constantFrom(...CHOICES), anyOf)
const wants: fc.Arbitrary<Request['wants']> = fc.oneof(
  fc.constant<string[][]>([[]]),
  fc.constantFrom(...NAMES).map((name) => [[name]]),
  anyOf,
  fc.constantFrom(...CHOICES),
)
const slots = fc.integer({ min: 1, max: 6 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      holder: holders,
      units: fc.integer({ min: 1, max: 4 }),
      wants,
      priority: fc.constantFrom(0, 0, 1),
      leaseMs: fc.constant(0),
      waitMs: fc.constantFrom(null, null, null, 0),
      ref: fc.constantFrom(null, 'r'),
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
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('gapOver' as const),
      name: fc.constantFrom(...NAMES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('resize' as const), slots, limits, gaps, choices }),
  },
)

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
      return resize(now, step)
    case 'gapOver':
      return gapOver(now, step.name)
  }
}

const limitOf = (now: Semaphore, name: string) => now.limits[name] ?? Number.POSITIVE_INFINITY
const usedOf = (now: Semaphore, name: string) => usedByName(now).get(name) ?? 0

function hasRoom(now: Semaphore, name: string, units: number): boolean {
  return !now.gapped.includes(name) && usedOf(now, name) + units <= limitOf(now, name)
}

const isAhead = (one: Waiter, other: Waiter) =>
  one.priority > other.priority || (one.priority === other.priority && one.ticket < other.ticket)

/** Nothing is given beyond what there is; what is out beyond it since a resize only shrinks. */
function neverTooMuch(before: Semaphore, after: Semaphore): void {
  expect(usedBy(after.holders)).toBeLessThanOrEqual(Math.max(after.slots, usedBy(before.holders)))
  for (const name of NAMES) {
    const most = Math.max(limitOf(after, name), usedOf(before, name))
    expect(usedOf(after, name)).toBeLessThanOrEqual(most)
  }
}

/** Each has what it asked for, wholly: one of its options. */
function allOrNothing(now: Semaphore): void {
  const known = new Set(now.demands.map(({ id }) => id))
  for (const holder of now.holders) expect(optionsOf(now, holder)).toContain(namesOf(now, holder))
  const asked = [...now.holders, ...now.waiters].map(({ demand }) => demand)
  expect(new Set(asked)).toEqual(known)
}

/** The first of all waits only because there is too little for it, whatever the others hold. */
function nobodyForgotten(now: Semaphore): void {
  const first = now.waiters[0]
  if (first === undefined) return
  const { units } = first
  const hasOption = optionsOf(now, first).some((all) =>
    all.every((name) => hasRoom(now, name, units)),
  )
  expect(hasOption && usedBy(now.holders) + units <= now.slots).toBe(false)
}

function inOrder(now: Semaphore, granted: readonly Holder[]): void {
  for (const [index, waiter] of now.waiters.entries()) {
    const next = now.waiters[index + 1]
    if (next !== undefined) expect(isAhead(waiter, next)).toBe(true)
    const { units } = waiter
    const taken = granted.filter((one) => isAhead(waiter, one)).flatMap((one) => namesOf(now, one))
    for (const all of optionsOf(now, waiter)) {
      if (all.some((name) => units > limitOf(now, name))) continue
      const [first = ''] = all
      // Of two that want the same name first, the one ahead comes first.
      expect(taken).not.toContain(first)
      // It has its place at all up to the one that it lacks.
      const lacking = all.findIndex((name) => !hasRoom(now, name, units))
      const keeps = index === 0 ? all.slice(0, lacking + 1) : []
      for (const name of keeps) expect(taken).not.toContain(name)
    }
  }
}

it('never too much out, in order, nobody forgotten, and a refusal changes nothing', () => {
  fc.assert(
    fc.property(slots, limits, gaps, fc.array(steps, { maxLength: 80 }), (count, ...given) => {
      const [perName, perGap, list] = given
      let now = empty(count, { limits: perName, gaps: perGap })
      for (const step of list) {
        const { next, answer, granted } = apply(now, step)
        neverTooMuch(now, next)
        nobodyForgotten(next)
        const fresh = granted.filter(({ token }) => token > now.lastToken)
        allOrNothing(next)
        choicesHold(next)
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
    { numRuns: 400 },
  )
})

const requestOf = (now: Semaphore, one: Waiter): Request => ({
  ...one,
  wants: demandOf(now, one).choice ?? optionsOf(now, one),
})

/** Who waits by a name waits for what it means now. */
function choicesHold(now: Semaphore): void {
  for (const one of now.waiters) {
    const { choice, options } = demandOf(now, one)
    if (choice !== null) expect(options).toEqual(now.choices[choice])
  }
}

it('asking again changes nothing and gets the same ticket; a new ref is taken over', () => {
  fc.assert(
    fc.property(slots, fc.array(steps, { maxLength: 40 }), (count, list) => {
      let now = empty(count)
      for (const step of list) {
        now = apply(now, step).next
        for (const one of [...now.holders, ...now.waiters]) {
          const again = acquire(now, { ...requestOf(now, one), ref: null })
          expect(again.next).toBe(now)
          expect(again.answer).toMatchObject({ ticket: one.ticket, granted: 'token' in one })
          const { next } = acquire(now, { ...requestOf(now, one), ref: 'new' })
          const of = 'token' in one ? 'holders' : 'waiters'
          expect(next).toEqual({
            ...now,
            [of]: now[of].map((other) => (other === one ? { ...one, ref: 'new' } : other)),
          })
        }
      }
    }),
    { numRuns: 50 },
  )
})

it('everybody who waits is served once whoever holds releases and gaps are over', () => {
  fc.assert(
    fc.property(slots, limits, gaps, fc.array(steps, { maxLength: 60 }), (count, ...given) => {
      const [perName, perGap, list] = given
      const begin = empty(count, { limits: perName, gaps: perGap })
      let now = list.reduce((state, step) => apply(state, step).next, begin)
      while (now.holders.length > 0 || now.gapped.length > 0) {
        const [first] = now.holders
        now = first ? release(now, first.holder, null).next : now
        now = now.gapped.reduce((state, name) => gapOver(state, name).next, now)
      }
      expect(now.waiters).toEqual([])
    }),
  )
})

it('small requests do not starve a large one; a full stage does not hold up others', () => {
  let now = asked(empty(4), request('a'), request('big', 4), request('small'))
  expect(who(now.waiters)).toEqual(['big', 'small'])
  now = release(now, 'a', null).next
  expect(who(now.holders)).toEqual(['big'])
  now = asked(
    empty(4, { limits: { pc1: 1 } }),
    ...[request('a', 1, ['pc1']), request('b', 1, ['pc1']), request('c', 1, ['pc2'])],
  )
  expect(who(now.holders)).toEqual(['a', 'c'])
})

it('nobody passes another of its stage, even if it would fit', () => {
  const now = asked(
    empty(4, { limits: { pc1: 2 } }),
    ...[request('a', 1, ['pc1']), request('b', 2, ['pc1']), request('c', 1, ['pc1'])],
  )
  expect(who(now.waiters)).toEqual(['b', 'c'])
})

it('a stage without a limit of its own lets nobody pass who waits behind it', () => {
  const now = asked(
    empty(3),
    ...[request('a', 1, ['pc1']), request('big', 3, ['pc1']), request('small')],
  )
  expect(who(now.waiters)).toEqual(['big', 'small'])
})

it('of the options with room the least loaded is given, whatever they have in common', () => {
  const limits = { pc2: 8, c0: 2, c1: 2, c2: 4 }
  const any = [
    ['pc2', 'c0'],
    ['pc2', 'c1'],
    ['pc2', 'c2'],
  ]
  const now = asked(
    empty(9, { limits }),
    ...'abcdefgh'.split('').map((holder) => request(holder, 1, ...any)),
  )
  const got = 'abcdefgh'.split('').map((holder) => gotBy(now, holder)[1])
  expect(got).toEqual(['c0', 'c1', 'c2', 'c2', 'c0', 'c1', 'c2', 'c2'])
  expect(now.demands).toHaveLength(1)
  // A free name does not make up for one that is nearly full.
  const uneven = asked(
    empty(9, { limits: { full: 2, half: 4 } }),
    ...[request('a', 1, ['full']), request('b', 1, ['half'])],
    request('c', 1, ['free', 'full'], ['half', 'free']),
  )
  expect(gotBy(uneven, 'c')).toEqual(['half', 'free'])
})

it('an option that can never be given is left out; none is too large', () => {
  const limits = { pc1: 2, small: 1 }
  const now = asked(
    empty(4, { limits }),
    ...[request('a', 2, ['small', 'pc1'], ['pc1']), request('b', 2, ['small', 'pc1'], ['pc1'])],
  )
  expect(gotBy(now, 'a')).toEqual(['pc1'])
  // It waits for pc1 only: small is not kept for it.
  expect(who(asked(now, request('c', 1, ['small'])).holders)).toEqual(['a', 'c'])
  const { answer } = acquire(now, request('d', 2, ['small'], ['pc1', 'small']))
  expect(answer).toMatchObject({ refused: 'too-large' })
  const { next, ended } = resize(now, { slots: 4, limits: { pc1: 1 }, gaps: {}, choices: {} })
  expect([who(next.waiters), ended.map(({ reason }) => reason)]).toEqual([[], ['resized']])
})

it('a place is kept up to the name that is lacking, and nobody is held up behind it', () => {
  const limits = { pc2: 1, c2: 1, gpu0: 1, gpu1: 1 }
  let now = asked(
    empty(9, { limits }),
    ...[request('a', 1, ['pc2']), request('b', 1, ['pc2', 'gpu0']), request('c', 1, ['gpu0'])],
  )
  expect(who(now.holders)).toEqual(['a', 'c'])
  // Its stage is free now, its lock is not: nobody else gets that before it, but its other lock.
  now = asked(
    empty(9, { limits }),
    ...[request('c', 1, ['gpu0']), request('b', 1, ['pc2', 'gpu0', 'gpu1'])],
    ...[request('d', 1, ['gpu0']), request('e', 1, ['gpu1'])],
  )
  expect(who(now.holders)).toEqual(['c', 'e'])
  now = release(now, 'c', null).next
  expect(who(now.holders)).toEqual(['e'])
  now = asked(now, request('f', 1, ['gpu1']), request('g', 1, ['pc2']))
  now = release(now, 'e', null).next
  expect(gotBy(now, 'b')).toEqual(['pc2', 'gpu0', 'gpu1'])
  expect(who(now.waiters)).toEqual(['d', 'f', 'g'])
})

it('who needs all names is served however many come behind it for one of them', () => {
  const all = ['pc1', 'pc2', 'gpu0', 'gpu1']
  const limits = Object.fromEntries(all.map((name) => [name, 1]))
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...all), { minLength: 20, maxLength: 20 }), (order) => {
      const first = all.map((name) => request(`old-${name}`, 1, [name]))
      let now = asked(empty(9, { limits, waitersMax: 99 }), ...first, request('b', 1, all))
      for (const [n, name] of [...order, ...all, ...all, ...all].entries()) {
        // Whoever has the name gives it back, and another wants it.
        now = asked(now, request(`new-${n}`, 1, [name]))
        const has = now.holders.find((one) => namesOf(now, one).includes(name))
        if (has !== undefined && has.holder !== 'b') now = release(now, has.holder, null).next
      }
      expect(who(now.holders)).toContain('b')
    }),
    { numRuns: 50 },
  )
})

it('a name may be that of something every object has', () => {
  const now = asked(empty(2), request('a', 1, ['constructor']), request('b', 1, ['toString']))
  expect([who(now.holders), now.gapped]).toEqual([['a', 'b'], []])
})

it('between two grants of a name lies its gap; another begins with the next', () => {
  const begun: string[][] = []
  let now = empty(9, { limits: { pc1: 9 }, gaps: { pc1: 5_000 } })
  for (const holder of ['a', 'b', 'c']) {
    const { next, gapsBegun } = acquire(now, request(holder, 1, ['pc1']))
    begun.push(gapsBegun)
    now = next
  }
  expect([who(now.holders), begun]).toEqual([['a'], [['pc1'], [], []]])
  // Its place is kept in the meantime, and others are not held up.
  now = asked(now, request('d', 1, ['pc2']))
  const over = gapOver(now, 'pc1')
  expect([who(over.next.holders), over.gapsBegun]).toEqual([['a', 'd', 'b'], ['pc1']])
  const other = resize(over.next, { slots: 9, limits: {}, gaps: { pc1: 1, pc2: 1 }, choices: {} })
  expect([who(other.next.waiters), other.opened]).toEqual([['c'], []])
  const none = resize(over.next, { slots: 9, limits: {}, gaps: {}, choices: {} })
  expect([who(none.next.waiters), none.opened]).toEqual([[], ['pc1']])
})

/** So many wait for units only. */
function crowded(given: Partial<Semaphore>, count: number, units = 1): Semaphore {
  const waiters = Array.from({ length: count }, (_, n): Waiter => {
    const { wants: _wants, ...fields } = request(`w${n}`, units)
    return { ...fields, demand: 1, ticket: n + 1 }
  })
  const demands = [{ id: 1, choice: null, options: [[]] }]
  return empty(1_000_000, { waitersMax: 1_000, lastTicket: count, demands, waiters, ...given })
}

it('one turn settles so many and says that there are more; holders are bounded, whatever the slots', () => {
  const counts: number[] = []
  let turn = again(crowded({}, HOLDERS_MAX + 1))
  for (; turn.isMore; turn = again(turn.next)) counts.push(turn.granted.length)
  expect(counts).toEqual(new Array(HOLDERS_MAX / SETTLED_MAX).fill(SETTLED_MAX).slice(1))
  expect([turn.next.holders.length, turn.next.waiters.length]).toEqual([HOLDERS_MAX, 1])
  const { next } = release(turn.next, 'w5', null)
  expect([next.holders.length, next.waiters.length]).toEqual([HOLDERS_MAX, 0])
  const smaller = resize(crowded({}, HOLDERS_MAX, 2), {
    slots: 1,
    limits: {},
    gaps: {},
    choices: {},
  })
  expect([smaller.ended.length, smaller.isMore]).toEqual([SETTLED_MAX, true])
  expect(again(smaller.next).next.waiters).toHaveLength(HOLDERS_MAX - 2 * SETTLED_MAX)
})

it('what is bounded fits in an actor and its turn', () => {
  const { waiters, demands } = crowded({}, HOLDERS_MAX)
  const text = (of: string, n: number) => `${n}`.padStart(TEXT_BYTES_MAX / 2 / 2_000, of)
  const who = (of: string) =>
    waiters.map((one, n) => ({ ...one, ref: text(of, n), holder: text(of, n), ticket: 1e9 + n }))
  const holders = who('h').map((one, n): Holder => ({ ...one, token: 1e9 + n, option: 0 }))
  const names = Array.from({ length: 256 }, (_, n) => [`${n}`.padStart(64, 'n'), 1e6 + n] as const)
  const limits = Object.fromEntries(names)
  const full = empty(1, { limits, gaps: limits, demands, holders, waiters: who('w') })
  const { actorBytesMax, effectsPerTurnMax, timersPerActorMax } = DEFAULT_LIMITS
  expect(pack(full).length).toBeLessThan(actorBytesMax)
  // A lease begins, a wait ends and a message goes; and 100 gaps begin, one turn more is asked for.
  expect(3 * SETTLED_MAX + 101).toBeLessThan(effectsPerTurnMax)
  expect(TIMED_MAX + 101).toBeLessThan(timersPerActorMax)
})

it('refuses what an actor could not keep: too many timers, too much text', () => {
  const all = crowded({ slots: 1 }, TIMED_MAX)
  const timed = all.waiters.map((one, n) => ({
    ...one,
    ...(n % 2 === 0 ? { leaseMs: 1 } : { waitMs: 1 }),
  }))
  const holders = [{ ...timed[1]!, holder: 'has', token: 1, option: 0 }]
  let now: Semaphore = { ...all, waiters: timed, holders }
  expect(acquire(now, { ...request('x'), leaseMs: 1 })).toMatchObject({
    next: now,
    answer: { refused: 'full', message: expect.stringContaining(`${TIMED_MAX}`) },
  })
  expect(renew(now, 'has', null, 1).answer).toMatchObject({ refused: 'full' })
  expect(acquire(now, request('x')).answer).toMatchObject({ granted: false })
  now = empty(1, { waitersMax: 1_000 })
  const wide = (n: number) =>
    Array.from({ length: 16 }, (_, option) =>
      Array.from({ length: 8 }, (_, at) => `${n}.${option}.${at}`.padStart(64, 'n')),
    )
  let last = acquire(now, request('a'))
  for (let n = 0; !last.answer || !('refused' in last.answer); n++) {
    now = last.next
    last = acquire(now, request(`${n}`.padStart(250, 'x'), 1, ...wide(n)))
  }
  expect(last).toMatchObject({ next: now, answer: { refused: 'full' } })
  const bytes = 250 + 16 * 8 * 65
  expect(now.waiters.length).toBe(Math.floor(TEXT_BYTES_MAX / bytes))
  // Others of the same demand take next to nothing.
  expect(acquire(now, request('b', 1, ...wide(0))).answer).toMatchObject({ granted: false })
})
