/** When bytes may go: the hours, and the rate of a node. Times are local, as the hours are. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { DeletePace, openingOf } from '../../../../../machines/storage/plane/upkeep/delete-pace.ts'
import { upkeepConfig } from '../../../../../machines/storage/plane/upkeep/limits.ts'

const ALWAYS = { from: 0, to: 24 }
const at = (day: number, hour: number, minute = 0) => new Date(2026, 5, day, hour, minute).getTime()

it.each([
  ['in the middle', { from: 1, to: 5 }, at(3, 2, 30), at(3, 2, 30)],
  ['at its first moment', { from: 1, to: 5 }, at(3, 1), at(3, 1)],
  ['at its end', { from: 1, to: 5 }, at(3, 5), at(4, 1)],
  ['before', { from: 9, to: 17 }, at(3, 8, 59), at(3, 9)],
  ['after', { from: 9, to: 17 }, at(3, 23), at(4, 9)],
  ['over midnight, before it', { from: 22, to: 6 }, at(3, 23), at(3, 23)],
  ['over midnight, behind it', { from: 22, to: 6 }, at(3, 5, 59), at(3, 5, 59)],
  ['over midnight, by day', { from: 22, to: 6 }, at(3, 6), at(3, 22)],
  ['to the end of the day', { from: 20, to: 24 }, at(3, 23, 59), at(3, 23, 59)],
] as const)('hours open %s', (_, hours, now, opens) => {
  expect(openingOf(hours, now)).toBe(opens)
})

it('hours open within a day, and they are open then', () => {
  fc.assert(
    fc.property(
      fc.record({ from: fc.integer({ min: 0, max: 23 }), to: fc.integer({ min: 0, max: 24 }) }),
      fc.integer({ min: at(1, 0), max: at(28, 0) }),
      (hours, now) => {
        fc.pre(hours.from !== hours.to)
        const opens = openingOf(hours, now)
        expect(opens).toBeGreaterThanOrEqual(now)
        expect(opens - now).toBeLessThan(86_400_000)
        expect(openingOf(hours, opens)).toBe(opens)
      },
    ),
  )
})

it('refuses hours that never open, and takes those over midnight', () => {
  const read = (deleteHours: object) => upkeepConfig.safeParse({ deleteHours })
  expect(read({ from: 3, to: 3 }).error?.issues[0]?.message).toContain(
    '{from: 0, to: 24} is always',
  )
  expect(read({ from: 24, to: 3 }).success).toBe(false)
  expect(read({ from: 0, to: 25 }).success).toBe(false)
  expect(read({ from: 22, to: 6 }).success).toBe(true)
  expect(upkeepConfig.parse({})).toEqual({
    ...{ safeDelayMs: 259_200_000, deleteHours: ALWAYS, deletesPerSecond: 100 },
  })
})

/** Messages that all come at once, and again when they are told to: when each of them went. */
function wentAt(
  pace: DeletePace,
  clock: { now(): number },
  count: number,
  set: (n: number) => void,
) {
  const waiting = Array.from({ length: count }, () => ({ told: null as number | null }))
  const went: number[] = []
  while (waiting.length > 0) {
    for (const one of [...waiting]) {
      if (one.told !== null && one.told > clock.now()) continue
      const { until, why } = pace.ask(one.told)
      expect(until === null).toBe(why === null)
      if (until !== null) one.told = until
      else {
        went.push(clock.now())
        waiting.splice(waiting.indexOf(one), 1)
      }
    }
    set(Math.min(...waiting.map(({ told }) => told ?? 0)))
  }
  return went
}

it('lets so many go in a second, and each of them in its turn', () => {
  let now = 1_000_000
  const clock = { now: () => now }
  const pace = new DeletePace({ clock, hours: ALWAYS, perSecond: 10 })
  const went = wentAt(pace, clock, 50, (next) => {
    now = next
  })
  expect(went).toHaveLength(50)
  expect(went.at(-1)! - went[0]!).toBeGreaterThanOrEqual(4_700)
  expect(went.at(-1)! - went[0]!).toBeLessThanOrEqual(5_100)
  for (const one of went) {
    const within = went.filter((other) => other >= one && other < one + 1_000)
    expect(within.length).toBeLessThanOrEqual(12)
  }
})

it('holds its rate also against who was told a time by another node', () => {
  let now = 1_000_000
  const clock = { now: () => now }
  const pace = new DeletePace({ clock, hours: ALWAYS, perSecond: 10 })
  const went = Array.from({ length: 20 }, () => pace.ask(now - 1)).filter(
    ({ until }) => until === null,
  )
  expect(went.length).toBeLessThanOrEqual(3)
  now += 10_000
  expect(pace.ask(now - 1)).toEqual({ until: null, why: null })
})

it('spreads those that come out of hours over the beginning of the next', () => {
  let now = at(3, 12)
  const clock = { now: () => now }
  const pace = new DeletePace({ clock, hours: { from: 1, to: 5 }, perSecond: 10 })
  const told = Array.from({ length: 20 }, () => pace.ask(null))
  expect(told[0]).toEqual({
    ...{ until: at(4, 1), why: "bytes are deleted from 1 to 5 o'clock only (deleteHours)" },
  })
  expect(told.map(({ until }) => until)).toEqual(
    Array.from({ length: 20 }, (_, n) => at(4, 1) + n * 100),
  )
  now = at(4, 1)
  // Who comes now finds them before it.
  const stranger = pace.ask(null)
  expect(stranger).toMatchObject({
    until: at(4, 1) + 2_000,
    why: expect.stringContaining('10 del'),
  })
  expect(pace.ask(at(4, 1))).toEqual({ until: null, why: null })
})

it('goes on at the next day with what the hours did not hold', () => {
  let now = at(3, 4, 59) + 59_500
  const clock = { now: () => now }
  const pace = new DeletePace({ clock, hours: { from: 1, to: 5 }, perSecond: 10 })
  const went = wentAt(pace, clock, 20, (next) => {
    now = next
  })
  expect(went).toHaveLength(20)
  expect(went.every((one) => openingOf({ from: 1, to: 5 }, one) === one)).toBe(true)
  expect(went.filter((one) => one >= at(4, 1)).length).toBeGreaterThan(10)
})
