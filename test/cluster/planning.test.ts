/** The next view: who owns what, step by step. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HANDOFF_LAG_SLOTS_MAX } from '../../src/cluster/limits.ts'
import type { Member } from '../../src/cluster/placement.ts'
import { nextView, type Planning, type Reports } from '../../src/cluster/planning.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import { VERSION_MAX, type View, viewNumber } from '../../src/cluster/view.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'

const member = (name: string, more: Partial<Member> = {}): Member => ({
  name,
  weight: 1,
  zone: null,
  leaving: false,
  ...more,
})
const members = (...names: string[]) => names.map((name) => member(name))
const SILENT: Reports = {
  lag: () => undefined,
  servesBy: () => undefined,
  machines: () => NO_VERSIONS,
  refuses: () => false,
}
const near = (slots = 0): Reports => ({ ...SILENT, lag: () => slots })

function next(previous: View | undefined, some: readonly Member[], more: Partial<Planning> = {}) {
  const planning = {
    ...{
      previous,
      members: some,
      reports: SILENT,
      shardCount: 6,
      leaderEpoch: previous?.leaderEpoch ?? 1,
      unhosted: new Set<string>(),
      wishes: previous?.wishes ?? NO_WISHES,
      seen: 0,
    },
  }
  const view = nextView({ ...planning, ...more })
  if (!view) throw new Error('there is no next view')
  return view
}

/** Plans until nothing changes. */
function rest(view: View, some: readonly Member[], reports: Reports): View {
  let at = view
  for (let round = 0; round < 50; round++) {
    const then = next(at, some, { reports })
    if (then === at) return at
    at = then
  }
  throw new Error('the views do not come to rest')
}

const owned = (view: View, name: string) => view.owners.filter((one) => one === name).length

describe('the next view', () => {
  it('places everything at the first time', () => {
    const view = next(undefined, members('b', 'a'))
    expect(view.members.map(({ name }) => name)).toEqual(['a', 'b'])
    expect([owned(view, 'a'), owned(view, 'b')]).toEqual([3, 3])
    expect(view).toMatchObject({ leaderEpoch: 1, version: 1 })
    expect(view.former.flat()).toEqual([])
  })

  it('is the same one when nothing changes', () => {
    const view = next(undefined, members('a', 'b'))
    expect(next(view, members('b', 'a'))).toBe(view)
  })

  it('is one of its own for every leader, once', () => {
    const view = { ...next(undefined, members('a', 'b')), version: 7 }
    const then = next(view, members('b', 'a'), { leaderEpoch: 9 })
    expect(then).toEqual({ ...view, leaderEpoch: 9, version: 1 })
    expect(next(then, members('b', 'a'), { leaderEpoch: 9 })).toBe(then)
  })

  it('is a new one above what members have seen, even if nothing else changes', () => {
    const view = next(undefined, members('a', 'b'))
    const seen = viewNumber({ leaderEpoch: 3, version: 9 })
    const then = next(view, members('a', 'b'), { leaderEpoch: 4, seen })
    expect(then).toEqual({ ...view, leaderEpoch: 4, version: 1 })
    expect(viewNumber(then)).toBeGreaterThan(seen)
    expect(next(then, members('a', 'b'), { leaderEpoch: 4, seen })).toBe(then)
  })

  it('begins at version 1 with a new epoch, and is newer', () => {
    const view = { ...next(undefined, members('a', 'b')), version: 77 }
    const then = next(view, members('a'), { leaderEpoch: 2 })
    expect(then).toMatchObject({ leaderEpoch: 2, version: 1 })
    expect(viewNumber(then)).toBeGreaterThan(viewNumber(view))
    expect(next(view, members('a')).version).toBe(78)
  })

  it('does not exist when the versions of an epoch are used up', () => {
    const view = { ...next(undefined, members('a', 'b')), version: VERSION_MAX }
    const unhosted = new Set<string>()
    const fixed = { reports: SILENT, shardCount: 6, unhosted, seen: 0, wishes: NO_WISHES }
    const planning = { ...fixed, previous: view }
    expect(nextView({ ...planning, members: members('a'), leaderEpoch: 1 })).toBeUndefined()
    expect(nextView({ ...planning, members: members('a'), leaderEpoch: 2 })).toBeDefined()
  })

  it('hands over only to a standby that has said that it is near', () => {
    const before = next(undefined, members('a', 'b'))
    const all = members('a', 'b', 'c')
    const named = next(before, all)
    expect(named.owners, 'whoever lives goes on').toEqual(before.owners)
    expect(named.standbys.filter((name) => name === 'c').length).toBeGreaterThanOrEqual(2)
    expect(next(named, all), 'silence is no readiness').toBe(named)
    expect(next(named, all, { reports: near(HANDOFF_LAG_SLOTS_MAX) })).toBe(named)
    const handed = next(named, all, { reports: near(HANDOFF_LAG_SLOTS_MAX - 1) })
    expect(owned(handed, 'c')).toBe(2)
    // Being near before it was named standby counts for nothing.
    expect(next(before, all, { reports: near() }).owners).toEqual(before.owners)
  })

  describe('while shards are handed over', () => {
    const wishes = { ...NO_WISHES, drains: [{ node: 'b', by: 'op', at: 1 }] }
    const all = members('a', 'b', 'c', 'd')
    const shards = 16
    /** All serve what they are named for. */
    const then = (
      view: View,
      some: readonly Member[],
      reports: Partial<Reports> = {},
      other: Partial<Planning> = {},
    ): View => {
      const servesBy = (name: string, shard: number) =>
        view.owners[shard] === name ? viewNumber(view) : undefined
      const heard = { ...near(), servesBy, ...reports }
      const more = { wishes, shardCount: shards, isBetweenBeats: true }
      return next(view, some, { ...more, reports: heard, ...other })
    }
    const whole = () => {
      let view = next(undefined, all, { shardCount: shards })
      for (let round = 0; round < 5; round++) {
        view = next(view, all, { shardCount: shards, reports: near() })
      }
      return view
    }

    it('who is to have none stands by for none of them, and no other standby changes before all have moved', () => {
      const began = whole()
      const moved = new Set<number>()
      let view = began
      for (let rounds = 0; owned(view, 'b') > 0; rounds++) {
        expect(rounds).toBeLessThan(shards)
        const before = view
        view = then(view, all)
        view.owners.forEach((owner, shard) => {
          if (owner !== before.owners[shard]) {
            expect(before.owners[shard]).toBe('b')
            moved.add(shard)
          }
          const standby = view.standbys[shard]
          if (moved.has(shard)) expect(['b', null, owner]).not.toContain(standby)
          else expect(standby).toBe(began.standbys[shard])
        })
      }
      expect(moved.size).toBe(owned(began, 'b'))
      expect(then(view, all).standbys).not.toContain('b')
    })

    it('who had a shard stands by for it, if it is to have others, or nobody else can', () => {
      const two = next(undefined, members('a', 'b'), { shardCount: shards })
      const named = next(two, members('a', 'b', 'c'), { shardCount: shards })
      const given = then(named, members('a', 'b', 'c'), {}, { wishes: NO_WISHES })
      const shard = given.owners.indexOf('c')
      expect(given.standbys[shard]).toBe(named.owners[shard])
      const alone = then(two, members('a', 'b'))
      const left = two.owners.findIndex((owner, n) => owner === 'b' && alone.owners[n] === 'a')
      expect(alone.standbys[left]).toBe('b')
    })

    it('standbys wait until the last one serves, but for no shard that gets no nearer', () => {
      const four = next(undefined, all, { shardCount: shards })
      const joined = members('a', 'b', 'c', 'd', 'e')
      const far = { lag: () => HANDOFF_LAG_SLOTS_MAX }
      const standby = (view: View) => view.standbys.filter((name) => name === 'e').length
      const moving = then(four, joined, far, { wishes: NO_WISHES })
      const due = standby(moving)
      expect(then(moving, joined, far, { wishes: NO_WISHES })).toBe(moving)
      const still = then(moving, joined, far, { wishes: NO_WISHES, isStill: true })
      expect(standby(still)).toBeGreaterThan(due)

      let view = whole()
      while (owned(view, 'b') > 0) view = then(view, all)
      const silent = { servesBy: () => undefined }
      expect(then(view, all, silent)).toBe(view)
      expect(then(view, all, silent, { isStill: true })).not.toBe(view)
      expect(then(view, all)).not.toBe(view)
    })

    it('a standby that is dead is replaced all the same', () => {
      const began = then(whole(), all)
      expect(owned(began, 'b')).toBeGreaterThan(0)
      const shard = began.owners.findIndex((owner, n) => owner !== 'b' && began.standbys[n] === 'd')
      const left = then(
        began,
        all.filter(({ name }) => name !== 'd'),
      )
      expect(owned(left, 'b'), 'others are still on their way').toBeGreaterThan(0)
      expect([null, 'd']).not.toContain(left.standbys[shard])
    })

    describe('one who has others to catch up with', () => {
      const [some, more] = [members('a', 'b'), members('a', 'b', 'c')]
      const shardCount = 12
      const began = next(next(undefined, some, { shardCount }), more, { shardCount })
      const due = began.standbys.flatMap((name, shard) => (name === 'c' ? [shard] : []))
      const given = (lag: number | undefined, present = more, other: Partial<Planning> = {}) => {
        const reports = { ...SILENT, lag: (_: string, of: number) => (of === due[0] ? lag : 0) }
        return owned(next(began, present, { shardCount, reports, ...other }), 'c')
      }

      it('is given nothing, unless nobody knows how far it is', () => {
        expect(due.length).toBeGreaterThanOrEqual(4)
        expect(given(HANDOFF_LAG_SLOTS_MAX)).toBe(0)
        expect(given(HANDOFF_LAG_SLOTS_MAX - 1)).toBe(2)
        expect(given(undefined)).toBe(2)
      })

      it('but not for ever', () => {
        expect(given(HANDOFF_LAG_SLOTS_MAX, more, { isStill: true })).toBe(2)
      })

      it('takes from one that leaves or is drained, and what an operator moves', () => {
        const other = began.owners[due[1]!]!
        const leaving = more.map((one) => ({ ...one, leaving: one.name === other }))
        expect(given(HANDOFF_LAG_SLOTS_MAX, leaving)).toBeGreaterThan(0)
        const order = { by: 'op', at: 1 }
        const drained = { ...NO_WISHES, drains: [{ node: other, ...order }] }
        expect(given(HANDOFF_LAG_SLOTS_MAX, more, { wishes: drained })).toBeGreaterThan(0)
        const move = { shard: due[1]!, to: 'c', isPinned: true, ...order }
        const pinned = { ...NO_WISHES, moves: [move] }
        expect(given(HANDOFF_LAG_SLOTS_MAX, more, { wishes: pinned })).toBe(1)
      })
    })
  })

  it('replaces the dead at once, by its standby', () => {
    const before = rest(next(undefined, members('a', 'b', 'c')), members('a', 'b', 'c'), near())
    const then = next(before, members('a', 'c'))
    before.owners.forEach((owner, shard) => {
      expect(then.owners[shard]).toBe(owner === 'b' ? before.standbys[shard] : owner)
    })
  })

  it('by its standby also when that has its share already; the rest follows from there', () => {
    const all = members('a', 'b', 'c')
    const before: View = {
      ...next(undefined, all),
      owners: ['a', 'a', 'b', 'b', 'c', 'c'],
      standbys: ['c', 'c', 'a', 'a', 'a', 'a'],
    }
    const then = next(before, members('a', 'c'))
    expect(then.owners).toEqual(['a', 'a', 'a', 'a', 'c', 'c'])
    const moving = then.standbys.flatMap((name, shard) => (name === 'c' ? [shard] : []))
    expect(moving.length).toBeGreaterThanOrEqual(1)
    expect(owned(rest(then, members('a', 'c'), near()), 'a')).toBe(3)
  })

  it('by a standby that leaves or is drained as well, until another has what it has', () => {
    const all = members('a', 'b', 'c')
    const before = rest(next(undefined, all), all, near())
    const shard = before.owners.indexOf('b')
    const heir = before.standbys[shard]!
    const others = all.filter(({ name }) => name !== 'b')
    const last = others.find(({ name }) => name !== heir)!.name
    const leaving = others.map((one) => ({ ...one, leaving: one.name === heir }))
    const taken = next(before, leaving)
    expect([taken.owners[shard], taken.standbys[shard]]).toEqual([heir, last])
    expect(next(taken, leaving).owners[shard]).toBe(heir)
    expect(rest(taken, leaving, near()).owners[shard]).toBe(last)
    const wishes = { ...NO_WISHES, drains: [{ node: heir, by: 'op', at: 1 }] }
    const drained = next(before, others, { wishes })
    expect([drained.owners[shard], drained.standbys[shard]]).toEqual([heir, last])
  })

  it('not by one that is dead as well', () => {
    const all = members('a', 'b', 'c')
    const before = rest(next(undefined, all), all, near())
    const shard = before.owners.indexOf('b')
    const left = all.filter(({ name }) => name !== 'b' && name !== before.standbys[shard])
    expect(next(before, left).owners[shard]).toBe(left[0]!.name)
  })

  it('gives a shard to nobody whose store has parted from its journal', () => {
    const all = members('a', 'b', 'c')
    const before = rest(next(undefined, all), all, near())
    const shard = before.owners.indexOf('b')
    const refusing = (...names: string[]): Reports => ({
      ...near(),
      refuses: (name, of) => of === shard && names.includes(name),
    })
    const without = (...names: string[]) => rest(before, all, refusing(...names))
    const heir = before.standbys[shard]!
    const third = [...'abc'].find((name) => name !== 'b' && name !== heir)!
    const owner = next(before, all, { reports: refusing('b') })
    expect([owner.owners[shard], owner.standbys[shard]]).toEqual([heir, third])
    const standby = without(heir)
    expect([standby.owners[shard], standby.standbys[shard]]).toEqual(['b', third])
    const both = without('b', heir)
    expect([both.owners[shard], both.standbys[shard]]).toEqual([third, null])
    expect(without('a', 'b', 'c').owners[shard]).toBeNull()
  })

  it('remembers who may have written what nobody else has, until the next owner has claimed', () => {
    const all = members('a', 'b', 'c')
    const before = rest(next(undefined, all), all, near())
    const shard = before.owners.indexOf('b')
    const dead = next(before, members('a', 'c'))
    const former = [{ name: 'b', until: viewNumber(before) }]
    expect(dead.former[shard]).toEqual(former)
    const serves = (by: number): Reports => ({
      ...near(),
      servesBy: (name) => (name === dead.owners[shard] ? by : undefined),
    })
    expect(next(dead, members('a', 'c'), { reports: SILENT }).former[shard]).toEqual(former)
    const old = next(dead, members('a', 'c'), { reports: serves(viewNumber(before)) })
    expect(old.former[shard], 'by a claim that b may have claimed over').toEqual(former)
    const settled = next(dead, members('a', 'c'), { reports: serves(viewNumber(dead)) })
    expect(settled.former[shard]).toEqual([])
  })

  it('remembers who serves by a view that is lost', () => {
    const all = members('a', 'b', 'c')
    const before = rest(next(undefined, all), all, near())
    const shard = before.owners.indexOf('b')
    const by = { b: viewNumber(before), c: viewNumber(before) + 3 }
    const serves = (claims: Record<string, number>): Reports => ({
      ...near(),
      servesBy: (name, of) => (of === shard ? claims[name] : undefined),
    })
    const seen = by.c
    const then = next(before, all, { leaderEpoch: 2, seen, reports: serves(by) })
    expect(then.former[shard]).toEqual([{ name: 'c', until: by.c }])
    const gone = next(then, members('a', 'b'), { reports: serves({ b: by.b }) })
    expect(gone.former[shard], 'also when it is dead').toEqual(then.former[shard])
    const anew = next(then, all, { reports: serves({ ...by, b: viewNumber(then) }) })
    expect(anew.former[shard], 'until the owner has claimed by a newer one').toEqual([])
  })

  it('remembers all of a row of owners that never served', () => {
    const all = members('a', 'b', 'c', 'd')
    let view = rest(next(undefined, all), all, near())
    const shard = 0
    const gone: string[] = []
    while (gone.length < 3) {
      gone.push(view.owners[shard]!)
      view = next(
        view,
        all.filter(({ name }) => !gone.includes(name)),
      )
    }
    expect(view.former[shard]!.map(({ name }) => name)).toEqual(gone)
  })

  it('comes to rest in balance, whatever happened to whom', () => {
    const roster = ['a', 'b', 'c', 'd', 'e']
    const some = fc.subarray(roster, { minLength: 1 })
    const step = fc.record({
      live: some,
      leaving: some,
      lag: fc.constantFrom(0, 63, 64, undefined),
    })
    const steps = fc.array(step, { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(steps, fc.constantFrom(1, 7, 16), (history, shardCount) => {
        let view: View | undefined
        let present: Member[] = []
        for (const { live, leaving, lag } of history) {
          present = live.map((name) => member(name, { leaving: leaving.includes(name) }))
          const reports = { ...SILENT, lag: () => lag }
          const before: View | undefined = view
          view = next(view, present, { reports, shardCount })
          for (const [shard, owner] of view.owners.entries()) {
            const isLive = owner !== null && live.includes(owner)
            const hasTaker = present.some((one) => !one.leaving)
            if (hasTaker) expect(isLive, 'whoever owns lives').toBe(true)
            const old = before?.owners[shard]
            if (!old || old === owner || !live.includes(old)) continue
            expect(owner, 'the living hand over to their standby').toBe(before!.standbys[shard])
            expect(lag).toBeLessThan(HANDOFF_LAG_SLOTS_MAX)
          }
        }
        const takers = present.filter((one) => !one.leaving).map(({ name }) => name)
        let last = view!
        for (let round = 0; ; round++) {
          const then = next(last, present, { reports: near(), shardCount })
          if (then === last) break
          last = then
          expect(round, 'it comes to rest').toBeLessThan(30)
        }
        if (takers.length === 0) return
        const counts = takers.map((name) => owned(last, name))
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        expect(counts.reduce((sum, n) => sum + n, 0)).toBe(shardCount)
      }),
    )
  })
})
