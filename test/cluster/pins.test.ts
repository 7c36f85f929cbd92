/** Placement with shards that are pinned, from anything that was placed before. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type NO_PINS, type Placement, place, UNPLACED } from '../../src/cluster/placement.ts'
import { active, changes, completeness, countOf, member, named } from './placement-rules.ts'

const names = fc.integer({ min: 0, max: 6 }).map((n) => `n${n}`)
const members = fc.uniqueArray(
  fc.record({
    name: names,
    weight: fc.constantFrom(1, 1, 1, 0),
    zone: fc.constantFrom(null, 'a', 'b'),
    leaving: fc.constantFrom(false, false, false, true),
  }),
  { minLength: 1, maxLength: 7, selector: ({ name }) => name },
)
const holder = fc.option(names, { nil: null })
const cases = fc
  .array(fc.tuple(holder, holder, fc.option(names, { nil: undefined })), { maxLength: 40 })
  .chain((seats) =>
    fc.record({
      members,
      shardCount: fc.constant(seats.length),
      current: fc.constant({ owners: seats.map(([n]) => n), standbys: seats.map(([, n]) => n) }),
      pins: fc.constant(
        new Map(seats.flatMap(([, , pin], shard) => (pin === undefined ? [] : [[shard, pin]]))),
      ),
    }),
  )

/** Of one weight: who has a shard that is not pinned has at most one more than anybody else. */
function unfair(owners: Placement['owners'], takers: readonly string[], pins: typeof NO_PINS) {
  const counts = countOf(owners)
  const least = Math.min(...takers.map((name) => counts.get(name) ?? 0))
  const free = owners.filter((name, shard) => pins.get(shard) !== name)
  return free.filter((name) => (counts.get(name!) ?? 0) > least + 1)
}

describe('pinned shards', () => {
  it('are owned by whom they are pinned to, and everything else is shared', () => {
    fc.assert(
      fc.property(cases, ({ members: some, shardCount, current, pins }) => {
        const takers = active(some).map(({ name }) => name)
        const next = place(some, shardCount, current, pins)
        if (takers.length === 0) return
        expect(completeness(next, { members: some, shardCount, current })).toEqual([])
        for (const [shard, name] of pins) {
          if (takers.includes(name)) expect(next.owners[shard]).toBe(name)
        }
        expect(unfair(next.owners, takers, pins)).toEqual([])
        expect(place(some, shardCount, next, pins), 'it is at rest').toEqual(next)
      }),
      { numRuns: 500 },
    )
  })

  it('change nothing for who is not there, or takes nothing', () => {
    const some = [
      member('a'),
      member('b'),
      member('c', { leaving: true }),
      member('d', { weight: 0 }),
    ]
    const without = place(some, 12, UNPLACED)
    for (const name of ['c', 'd', 'e']) {
      expect(place(some, 12, UNPLACED, new Map([[3, name]]))).toEqual(without)
    }
  })

  it('are swapped for one other, where all have the same', () => {
    const some = named(3)
    const before = place(some, 12, UNPLACED)
    const shard = before.owners.indexOf('n0000')
    const next = place(some, 12, before, new Map([[shard, 'n0001']]))
    expect(next.owners[shard]).toBe('n0001')
    expect(changes(before.owners, next.owners), 'it and one that goes back').toBe(2)
    expect([...countOf(next.owners).values()]).toEqual([4, 4, 4])
    expect(place(some, 12, next), 'it stays without the pin').toEqual(next)
  })

  it('go alone where that leaves all with as much, to within one', () => {
    const some = named(2)
    const before = place(some, 7, UNPLACED)
    const counts = countOf(before.owners)
    const [less, more] = [...counts.keys()].sort((a, b) => counts.get(a)! - counts.get(b)!)
    const next = place(some, 7, before, new Map([[before.owners.indexOf(more!), less!]]))
    expect(changes(before.owners, next.owners)).toBe(1)
  })
})
