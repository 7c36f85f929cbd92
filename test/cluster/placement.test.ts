/** Placement, along any history and from anything, judged by rules of their own (placement-rules.ts). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Member, type Placement, place, UNPLACED } from '../../src/cluster/placement.ts'
import {
  active,
  apartBy,
  type Case,
  changes,
  complaints,
  completeness,
  countOf,
  heirs,
  member,
  named,
  ownerBalance,
  ownerMoves,
  type Place,
  promotions,
  stability,
  standbyBalance,
  sum,
} from './placement-rules.ts'

const names = fc.integer({ min: 0, max: 9 }).map((n) => `n${n}`)
/** Members of a few kinds: one zone or several, of one weight or many, some that leave or weigh nothing. */
const clusters: fc.Arbitrary<Member[]> = fc
  .tuple(fc.constantFrom(0, 1), fc.constantFrom(1, 5, 1_000), fc.boolean(), fc.boolean())
  .chain(([weightMin, weightMax, isZoned, mayLeave]) => {
    const one = fc.record({
      name: names,
      weight: fc.integer({ min: weightMin, max: weightMax }),
      zone: isZoned ? fc.constantFrom(null, 'a', 'b', 'c') : fc.constant('a'),
      leaving: mayLeave ? fc.boolean() : fc.constant(false),
    })
    return fc.uniqueArray(one, { minLength: 1, maxLength: 9, selector: ({ name }) => name })
  })
/** A history: each cluster is placed upon the placement of the one before. */
const histories = fc.record({
  shardCount: fc.integer({ min: 0, max: 70 }),
  clusters: fc.array(clusters, { minLength: 1, maxLength: 5 }),
})
const holders = fc.option(names, { nil: null })
/** Whatever may stand in a placement, sensible or not. */
const anyCases: fc.Arbitrary<Case> = fc
  .array(fc.tuple(holders, holders), { maxLength: 40 })
  .chain((pairs) =>
    fc.record({
      members: clusters,
      shardCount: fc.constant(pairs.length),
      current: fc.constant({ owners: pairs.map(([n]) => n), standbys: pairs.map(([, n]) => n) }),
    }),
  )

function accept(found: readonly string[]): void {
  if (found.length > 0) throw new Error(found.join('; '))
}

const ofHistories = (place: Place, judge = accept) =>
  fc.property(histories, ({ shardCount, clusters }) => {
    let current = UNPLACED
    for (const members of clusters) {
      judge(complaints(place, { members, shardCount, current }))
      current = place(members, shardCount, current)
    }
  })
const ofAnything = (place: Place, judge = accept) =>
  fc.property(anyCases, (one) => {
    judge(complaints(place, one))
  })

describe('the rules', () => {
  it('hold along any history of members', () => {
    fc.assert(ofHistories(place), { numRuns: 400 })
  })

  it('hold from whatever was placed before', () => {
    fc.assert(ofAnything(place), { numRuns: 600 })
  })

  it('give members of one weight in one zone as much work, owned and followed together', () => {
    const sizes = fc.tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 0, max: 200 }))
    fc.assert(
      fc.property(sizes, ([memberCount, shardCount]) => {
        const members = named(memberCount)
        const { owners, standbys } = place(members, shardCount, UNPLACED)
        const counts = countOf([...owners, ...standbys])
        const loads = members.map((one) => counts.get(one.name) ?? 0)
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
      }),
    )
  })

  const modulo: Place = (members, shardCount) => {
    const takers = active(members)
    const pick = (n: number) => takers[n % takers.length]?.name ?? null
    const shards = Array.from({ length: shardCount }, (_, shard) => shard)
    return {
      owners: shards.map(pick),
      standbys: shards.map((n) => (takers.length > 1 ? pick(n + 1) : null)),
    }
  }
  const told =
    (less: Partial<Member>): Place =>
    (members, ...rest) => {
      const known = members.map((one) => ({ ...one, ...less }))
      return place(known, ...rest)
    }
  const unpromoting: Place = (members, shardCount, current) =>
    place(members, shardCount, { ...current, standbys: [] })
  const forgetful: Place = (members, shardCount) => place(members, shardCount, UNPLACED)
  const unsorted: Place = ([head, ...others], ...rest) =>
    place([{ ...head!, weight: head!.weight + 1 }, ...others], ...rest)

  it.each<[string, Place, RegExp]>([
    ['spreads by modulo', modulo, /owners moved/],
    ['knows no zones', told({ zone: null }), /both in one zone/],
    ['knows no weights', told({ weight: 1 }), /owns \d+, not/],
    ['does not drain', told({ leaving: false }), /has no owner/],
    ['forgets who followed', unpromoting, /did not go to its standby/],
    ['promotes without room for it', unpromoting, /who is no standby of it/],
    ['begins anew each time', forgetful, /owners moved/],
    ['goes by the order of members', unsorted, /the order of members matters/],
  ])('catch a placement that %s', (_, placement, complaint) => {
    const along: string[] = []
    const anywhere: string[] = []
    fc.assert(
      ofHistories(placement, (found) => void along.push(...found)),
      { numRuns: 300 },
    )
    fc.assert(
      ofAnything(placement, (found) => void anywhere.push(...found)),
      { numRuns: 300 },
    )
    for (const found of [along, anywhere])
      expect(found.some((one) => complaint.test(one))).toBe(true)
  })
})

describe('a cluster', () => {
  const three = named(3)
  const first = place(three, 64, UNPLACED)
  const four = named(4)

  it('hands a newcomer its share and moves nothing else', () => {
    const next = place(four, 64, first)
    expect(countOf(next.owners).get('n0003')).toBe(16)
    expect(changes(first.owners, next.owners)).toBe(16)
    expect(changes(first.standbys, next.standbys)).toBe(16)
  })

  it('lets standbys take over from a member that is gone', () => {
    const next = place(three.slice(1), 64, first)
    const lost = first.owners.flatMap((owner, shard) => (owner === 'n0000' ? [shard] : []))
    expect(lost).toHaveLength(22)
    expect(lost.filter((n) => next.owners[n] === first.standbys[n])).toHaveLength(22)
    expect(changes(first.owners, next.owners)).toBe(22)
  })

  it('keeps partners spread through restarts, so that most shards find their standby ready', () => {
    const members = named(8)
    let now = place(members, 512, UNPLACED)
    for (let round = 0; round < 5; round++)
      for (const gone of members) {
        const next = place(
          members.filter((one) => one !== gone),
          512,
          now,
        )
        const lost = now.owners.flatMap((owner, n) => (owner === gone.name ? [n] : []))
        const ready = lost.filter((n) => next.owners[n] === now.standbys[n])
        expect(ready.length).toBeGreaterThanOrEqual(lost.length * 0.75)
        now = place(members, 512, next)
      }
  })

  it('gives a member that returns its share again, not its old shards at any price', () => {
    const without = place(three.slice(1), 64, first)
    const next = place(three, 64, without)
    expect(changes(without.owners, next.owners)).toBe(21)
    expect([...countOf(next.owners).values()].sort()).toEqual([21, 21, 22])
  })

  it('leaves the odd shard where it is, whoever comes first by name', () => {
    const members = [...'abc'].map((name) => member(name))
    for (const odd of 'abc') {
      const owners = [...'abc', odd]
      expect(place(members, 4, { owners, standbys: [] }).owners).toEqual(owners)
    }
  })

  it('gives the odd shard of a dead owner to its standby', () => {
    const members = [...'abc'].map((name) => member(name))
    for (const heir of 'abc') {
      const current = { owners: [...'abcd'], standbys: [...'bca', heir] }
      expect(place(members, 4, current).owners).toEqual([...'abc', heir])
    }
  })

  it('lets owner and standby trade places where that is enough', () => {
    const current = { owners: [...'bbbbaaaa'], standbys: [...'ccddccdd'] }
    const next = place(
      [...'abcd'].map((name) => member(name)),
      8,
      current,
    )
    const moved = next.owners.flatMap((owner, n) => (owner === current.owners[n] ? [] : [n]))
    expect(moved).toHaveLength(4)
    for (const n of moved) {
      expect(next.owners[n]).toBe(current.standbys[n])
      expect(next.standbys[n]).toBe(current.owners[n])
    }
  })

  it('gives a standby with room for one what is down before what still leaves', () => {
    const members = [member('b'), member('c'), member('leaves', { leaving: true })]
    const current = { owners: ['leaves', 'gone', 'leaves', 'b'], standbys: ['b', 'b', null, 'c'] }
    expect(place(members, 4, current).owners).toEqual(['c', 'b', 'c', 'b'])
  })

  it('takes for a newcomer such shards whose standby may stay', () => {
    const members = named(61, (n) => ({ zone: `${n % 3}` }))
    const before = place(members.slice(0, 60), 1_200, UNPLACED)
    const next = place(members, 1_200, before)
    const moved = next.owners.flatMap((owner, n) => (owner === before.owners[n] ? [] : [n]))
    const zone = (name: string | null) => Number(name?.slice(1)) % 3
    expect(moved.filter((n) => zone(before.standbys[n]!) === zone('n0060'))).toEqual([])
  })

  it('follows a change of weight', () => {
    const heavy = three.map((one, n) => ({ ...one, weight: n === 0 ? 2 : 1 }))
    const next = place(heavy, 64, first)
    expect(three.map((one) => countOf(next.owners).get(one.name))).toEqual([32, 16, 16])
    expect(changes(first.owners, next.owners)).toBe(10)
  })

  it('takes weights that are no whole numbers, very large or very small', () => {
    const owned = (...weights: number[]) => {
      const members = named(weights.length, (n) => ({ weight: weights[n]! }))
      const counts = countOf(place(members, 60, UNPLACED).owners)
      return members.map((one) => counts.get(one.name) ?? 0)
    }
    expect(owned(0.1, 0.2, 0.3)).toEqual([10, 20, 30])
    expect(owned(1e300, 2e300, 3e300)).toEqual([10, 20, 30])
    expect(owned(1e-300, 1)).toEqual([0, 60])
  })

  it('drains who leaves, as owner and as standby', () => {
    const leaving = four.map((one, n) => ({ ...one, leaving: n === 2 }))
    const next = place(leaving, 64, place(four, 64, first))
    expect([...next.owners, ...next.standbys]).not.toContain('n0002')
  })

  it('gives nothing to who weighs nothing, and takes from it what others can take', () => {
    const idle = four.map((one, n) => ({ ...one, weight: n === 2 ? 0 : 1 }))
    for (const before of [UNPLACED, place(four, 64, first)]) {
      const next = place(idle, 64, before)
      expect([...next.owners, ...next.standbys]).not.toContain('n0002')
      expect(next.owners).not.toContain(null)
    }
    const nobody = four.map((one) => ({ ...one, weight: 0 }))
    expect(place(nobody, 64, first)).toEqual(first)
    expect(place(nobody, 2, UNPLACED)).toEqual({ owners: [null, null], standbys: [null, null] })
  })

  it('stays where it is when all leave, and what is dead owns nothing', () => {
    const leaving = three.map((one) => ({ ...one, leaving: true }))
    expect(place(leaving, 64, first)).toEqual(first)
    const rest = place(leaving.slice(1), 64, first)
    const living = (name: string | null) => (name === 'n0000' ? null : name)
    expect(rest.owners).toEqual(first.owners.map(living))
    expect(rest.standbys).toEqual(first.standbys.map(living))
    expect(place(leaving, 2, UNPLACED)).toEqual({ owners: [null, null], standbys: [null, null] })
  })

  it('may be a single member, or none', () => {
    const current = { owners: ['x', 'y'], standbys: ['y', 'x'] }
    const nobody = [null, null]
    expect(place([member('x')], 2, current)).toEqual({ owners: ['x', 'x'], standbys: nobody })
    expect(place([], 2, current)).toEqual({ owners: nobody, standbys: nobody })
  })

  it('leaves a leaving standby in place while nobody can relieve it', () => {
    const members = [member('a'), member('b', { leaving: true })]
    const next = place(members, 2, { owners: ['a', 'b'], standbys: ['b', 'a'] })
    expect(next).toEqual({ owners: ['a', 'a'], standbys: ['b', null] })
  })

  it('may have more members than shards', () => {
    const { owners, standbys } = place(named(9), 3, UNPLACED)
    expect(new Set([...owners, ...standbys]).size).toBe(6)
  })

  it('lets the only member of a zone follow all that the other zone owns', () => {
    const members = named(4, (n) => ({ zone: n === 0 ? 'b' : 'a' }))
    const next = place(members, 64, UNPLACED)
    expect(countOf(next.owners).get('n0000')).toBe(16)
    expect(countOf(next.standbys).get('n0000')).toBe(48)
  })

  it('refuses what cannot be: two of one name, no weight, a placement of other shards', () => {
    expect(() => place([member('a'), member('a')], 1, UNPLACED)).toThrow('one name')
    expect(() => place([member('a', { weight: -1 })], 1, UNPLACED)).toThrow('weights')
    expect(() => place([member('a', { weight: Number.NaN })], 1, UNPLACED)).toThrow('weights')
    expect(() => place(three, 65, first)).toThrow('other shards')
  })
})

describe('a thousand members', () => {
  const SHARDS = 20_000
  const zones = ['a', 'b', 'c']
  /**
   * For these owners and counts no more standbys can stay: a member keeps no more than its count,
   * and what is neither owned nor followed in a zone is given by the counts.
   */
  const leastStandbys = (members: readonly Member[], current: Placement, next: Placement) => {
    const takers = active(members)
    const groupOf = apartBy(takers)
    const counts = countOf(next.standbys)
    const valid = current.standbys.map((standby, shard) =>
      standby !== null && counts.has(standby) && groupOf(standby) !== groupOf(next.owners[shard]!)
        ? standby
        : null,
    )
    const most = (followed: Map<string, number>) =>
      sum([...followed].map(([name, n]) => Math.min(n, counts.get(name)!)))
    const bounds = [...new Set(takers.map((one) => one.zone))].map((zone) => {
      const isIn = (name: string | null) => groupOf(name ?? '') === zone
      const isNear = valid.map((name, shard) => isIn(name) || isIn(next.owners[shard]!))
      const near = next.standbys.filter((name, n) => isIn(name) || isIn(next.owners[n]!)).length
      return most(countOf(valid.filter((_, shard) => isNear[shard]))) + SHARDS - near
    })
    return SHARDS - Math.min(most(countOf(valid)), ...bounds)
  }

  it.each([
    ['in one zone', () => ({})],
    ['in three zones', (n: number) => ({ zone: zones[n % 3]! })],
    ['of several weights', (n: number) => ({ zone: zones[n % 3]!, weight: 1 + (n % 4) })],
  ])('%s come and go with the fewest moves', (_, more) => {
    const all = named(1_050, more)
    const steps = [
      all.slice(0, 1_000),
      all.slice(0, 1_001),
      all.slice(0, 1_050),
      all.slice(1, 1_050),
      all.filter((_one, n) => n % 20 !== 7),
      all.map((one, n) => ({ ...one, leaving: n % 20 === 3 })),
      all.slice(0, 1_000),
    ]
    let current = UNPLACED
    for (const members of steps) {
      const one = { members, shardCount: SHARDS, current }
      const next = place(members, SHARDS, current)
      const judges = [completeness, ownerBalance, standbyBalance, ownerMoves, heirs, promotions]
      expect(judges.flatMap((judge) => judge(next, one))).toEqual([])
      expect(stability(place, next, one)).toEqual([])
      const least = leastStandbys(members, current, next)
      expect(changes(current.standbys, next.standbys)).toBeLessThanOrEqual(least * 1.05)
      current = next
    }
  })
})
