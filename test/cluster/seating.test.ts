/** Who gets a shard that not everybody can take: its zones, and that who leaves is relieved. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Member } from '../../src/cluster/placement.ts'
import { nextView, type Reports } from '../../src/cluster/planning.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import type { View } from '../../src/cluster/view.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'
import { apartBy, member } from './placement-rules.ts'

const SHARDS = 7
/** By shard: whose stores have parted from its journal. */
type Refusals = readonly (readonly string[])[]
const NONE: Refusals = Array.from({ length: SHARDS }, () => [])

/** Plans until nothing changes; all standbys are near. */
/** Plans until nothing changes, also once nothing has for long. */
function rest(before: View | undefined, members: readonly Member[], refusals = NONE): View {
  const reports: Reports = {
    lag: () => 0,
    servesBy: () => undefined,
    machines: () => NO_VERSIONS,
    refuses: (name, shard) => refusals[shard]!.includes(name),
  }
  let view = before
  let isStill = false
  for (let round = 0; round < 60; round++) {
    const fixed = { reports, shardCount: SHARDS, wishes: NO_WISHES }
    const planning = { ...fixed, previous: view, members, isStill }
    const then: View = nextView({ ...planning, leaderEpoch: 1, unhosted: new Set(), seen: 0 })!
    if (then === view && isStill) return then
    isStill = then === view
    view = then
  }
  throw new Error('the views do not come to rest')
}

const only = (shard: number, ...names: string[]) => NONE.with(shard, names)

describe('a shard that not everybody can take', () => {
  const zoned = [
    ...['a', 'b'].map((name) => member(name, { zone: 'east' })),
    ...['c', 'd'].map((name) => member(name, { zone: 'west' })),
  ]

  it('has owner and standby in different zones, whoever of them refuses it', () => {
    const zoneOf = (name: string | null) => zoned.find((one) => one.name === name)?.zone
    const before = rest(undefined, zoned)
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const refusing of [before.owners[shard]!, before.standbys[shard]!]) {
        const view = rest(before, zoned, only(shard, refusing))
        const [owner, standby] = [view.owners[shard]!, view.standbys[shard]!]
        expect([owner, standby]).not.toContain(refusing)
        expect(zoneOf(standby), `shard ${shard} without ${refusing}`).not.toBe(zoneOf(owner))
      }
    }
  })

  it('has a standby in the zone of its owner rather than none', () => {
    const view = rest(undefined, zoned, only(3, 'c', 'd'))
    expect(['a', 'b']).toContain(view.owners[3])
    expect(['a', 'b']).toContain(view.standbys[3])
    expect(view.standbys[3]).not.toBe(view.owners[3])
  })

  it('does not stay with who is leaving when somebody else can take it', () => {
    const all = ['a', 'b', 'c'].map((name) => member(name))
    const before = rest(undefined, all)
    for (const name of ['a', 'b', 'c']) {
      const leaving = all.map((one) => ({ ...one, leaving: one.name === name }))
      for (const other of ['a', 'b', 'c'].filter((one) => one !== name)) {
        for (const shard of NONE.keys()) {
          const view = rest(before, leaving, only(shard, other))
          expect(view.owners, `shard ${shard} of ${name} without ${other}`).not.toContain(name)
        }
      }
    }
  })

  it('stays with who is leaving, owner or standby, while nobody else can take it', () => {
    const all = ['a', 'b', 'c'].map((name) => member(name))
    const before = rest(undefined, all)
    for (const shard of NONE.keys()) {
      const seats = { owner: before.owners[shard]!, standby: before.standbys[shard]! }
      const third = [...'abc'].find((name) => !Object.values(seats).includes(name))!
      for (const name of Object.values(seats)) {
        const leaving = all.map((one) => ({ ...one, leaving: one.name === name }))
        const others = name === seats.owner ? [seats.standby, third] : [third]
        const view = rest(before, leaving, only(shard, ...others))
        expect(name === seats.owner ? view.owners[shard] : view.standbys[shard]).toBe(name)
      }
    }
  })

  it('as well as it can be, whatever happens', () => {
    const names = [...'abcdef']
    const zones = fc.array(fc.constantFrom('east', 'west', null), { minLength: 6, maxLength: 6 })
    const step = fc.record({
      live: fc.subarray(names, { minLength: 1 }),
      leaving: fc.subarray(names),
      refusals: fc.array(fc.subarray(names), { minLength: SHARDS, maxLength: SHARDS }),
    })
    fc.assert(
      fc.property(zones, fc.array(step, { minLength: 1, maxLength: 4 }), (zone, history) => {
        let view: View | undefined
        for (const { live, leaving, refusals } of history) {
          const members = live.map((name) =>
            member(name, { zone: zone[names.indexOf(name)]!, leaving: leaving.includes(name) }),
          )
          view = rest(view, members, refusals)
          const takers = members.filter((one) => !one.leaving)
          if (takers.length > 0) judge(view, takers, refusals)
        }
      }),
      { numRuns: 300 },
    )
  })

  function judge({ owners, standbys }: View, takers: readonly Member[], refusals: Refusals): void {
    const group = apartBy(takers)
    for (const shard of NONE.keys()) {
      const [owner, standby] = [owners[shard]!, standbys[shard]!]
      const able = takers.map(({ name }) => name).filter((name) => !refusals[shard]!.includes(name))
      expect([owner, standby].some((name) => name && refusals[shard]!.includes(name))).toBe(false)
      if (able.length === 0) continue
      expect(able, 'who is leaving does not own it').toContain(owner)
      const others = able.filter((name) => name !== owner)
      if (others.length === 0) continue
      expect(others, 'nor follow it').toContain(standby)
      const apart = others.filter((name) => group(name) !== group(owner))
      if (apart.length > 0) expect(apart, 'in another zone').toContain(standby)
    }
  }
})
