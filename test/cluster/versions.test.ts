/** Who may take a shard whose actors a newer version of a machine may have written. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Member } from '../../src/cluster/placement.ts'
import { nextView, type Reports } from '../../src/cluster/planning.ts'
import { knows, newest, type Versions, without } from '../../src/cluster/versions.ts'
import type { View } from '../../src/cluster/view.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'
import { Load } from './load.ts'
import { Cluster } from './nodes.ts'

const SHARDS = 6
const versions = (machines: Record<string, number>): Versions => new Map(Object.entries(machines))
const V1 = versions({ order: 1 })
const V2 = versions({ order: 2 })

type Hosts = Record<string, Versions>

const membersOf = (hosts: Hosts, leaving: readonly string[] = []): Member[] =>
  Object.keys(hosts).map((name) => ({
    ...{ name, weight: 1, zone: null },
    leaving: leaving.includes(name),
  }))

interface Circumstances {
  leaving?: readonly string[]
  /** Machines that nobody is waited for any more. */
  unhosted?: readonly string[]
}

/** The next view of those who host this, who are as near as can be. */
function next(previous: View | undefined, hosts: Hosts, some: Circumstances = {}): View {
  const reports: Reports = {
    lag: () => 0,
    servesBy: () => undefined,
    machines: (name) => hosts[name] ?? new Map(),
    refuses: () => false,
  }
  const members = membersOf(hosts, some.leaving)
  const leaderEpoch = previous?.leaderEpoch ?? 1
  const unhosted = new Set(some.unhosted)
  const planning = { previous, members, reports, shardCount: SHARDS, leaderEpoch }
  const view = nextView({ ...planning, unhosted, seen: 0, wishes: NO_WISHES })
  if (!view) throw new Error('there is no next view')
  return view
}

/** Plans until nothing changes. */
function rest(previous: View | undefined, hosts: Hosts, some: Circumstances = {}): View {
  let view = next(previous, hosts, some)
  for (let round = 0; round < 30; round++) {
    const then = next(view, hosts, some)
    if (then === view) return view
    view = then
  }
  throw new Error('the views do not come to rest')
}

const shardsOf = (view: View, name: string) =>
  view.owners.flatMap((owner, shard) => (owner === name ? [shard] : []))

describe('versions', () => {
  it('are known by who hosts each machine in that version or a newer one', () => {
    expect(knows(V2, V1)).toBe(true)
    expect(knows(V1, V2)).toBe(false)
    expect(knows(versions({}), V1), 'not hosted at all').toBe(false)
    expect(knows(versions({ order: 1, bill: 1 }), V1)).toBe(true)
  })

  it('add up to the newest of each', () => {
    const both = newest(versions({ order: 2, bill: 1 }), versions({ bill: 3, mail: 1 }))
    expect(both).toEqual(versions({ order: 2, bill: 3, mail: 1 }))
    expect(newest(V2, V1), 'the same one when there is nothing newer').toBe(V2)
  })

  it('are the others without some machines', () => {
    const needs = versions({ order: 2, gone: 1 })
    expect(without(needs, new Set(['gone', 'other']))).toEqual(V2)
    expect(without(V2, new Set(['gone'])), 'the same one when nothing is left out').toBe(V2)
  })
})

describe('the next view', () => {
  it('says of each shard what its owners may have written', () => {
    const view = rest(undefined, { a: V1, b: V2 })
    for (const shard of shardsOf(view, 'a')) expect(view.needs[shard]).toEqual(V1)
    for (const shard of shardsOf(view, 'b')) expect(view.needs[shard]).toEqual(V2)
    const then = next(view, { a: V2, b: V2 })
    expect(then.needs).toEqual(then.needs.map(() => V2))
  })

  it('gives no shard of a newer version to a node of an older one', () => {
    const before = rest(undefined, { a: V1, b: V1, c: V2 })
    const ofNew = shardsOf(before, 'c')
    expect(ofNew).toHaveLength(2)
    const alone = next(before, { a: V1, b: V1 })
    expect(alone.owners.flatMap((name, shard) => (name === null ? [shard] : []))).toEqual(ofNew)
    expect(ofNew.map((shard) => alone.needs[shard])).toEqual([V2, V2])
    const two = rest(alone, { a: V1, b: V2 })
    expect(ofNew.filter((shard) => two.owners[shard] !== 'b')).toEqual([])
    expect(two.owners).not.toContain(null)
  })

  it('lets nodes of an older version have what only such had', () => {
    const before = rest(undefined, { a: V1, b: V1, c: V1 })
    const then = rest(before, { a: V1, c: V2 })
    expect([shardsOf(then, 'a').length, shardsOf(then, 'c').length]).toEqual([3, 3])
  })

  it('names no standby that could not go on, as long as there is another', () => {
    const view = rest(undefined, { a: V1, b: V2, c: V2 })
    for (const shard of [...shardsOf(view, 'b'), ...shardsOf(view, 'c')]) {
      expect(['b', 'c']).toContain(view.standbys[shard])
      expect(view.standbys[shard]).not.toBe(view.owners[shard])
    }
    const two = rest(undefined, { a: V1, b: V2 })
    for (const shard of shardsOf(two, 'b')) expect(two.standbys[shard]).toBeNull()
  })

  it('leaves it with who is leaving while nobody else can take it', () => {
    const before = rest(undefined, { a: V1, b: V2 })
    const ofNew = shardsOf(before, 'b')
    expect(shardsOf(rest(before, { a: V1, b: V2 }, { leaving: ['b'] }), 'b')).toEqual(ofNew)
    expect(shardsOf(rest(before, { a: V2, b: V2 }, { leaving: ['b'] }), 'b')).toEqual([])
  })

  it('gives it to who is leaving before nobody has it, and only what that follows', () => {
    const before = rest(undefined, { a: V1, b: V2, c: V2 })
    const followed = shardsOf(before, 'b').filter((shard) => before.standbys[shard] === 'c')
    const view = rest(before, { a: V1, c: V2 }, { leaving: ['c'] })
    expect(shardsOf(view, 'c')).toEqual(
      [...shardsOf(before, 'c'), ...followed].sort((a, b) => a - b),
    )
    expect(shardsOf(view, 'a')).toEqual(shardsOf(before, 'a'))
  })

  it('takes it from a node that came back in an older version', () => {
    const before = rest(undefined, { a: V2, b: V2 })
    const then = next(before, { a: V2, b: V1 })
    expect(shardsOf(then, 'b')).toEqual([])
    expect(shardsOf(then, 'a')).toHaveLength(SHARDS)
  })

  it('goes on without a machine that nobody is waited for any more, and does not forget it', () => {
    const both = versions({ order: 1, away: 1 })
    const before = rest(undefined, { a: both })
    const mixed = rest(before, { a: both, b: V2 })
    expect(shardsOf(mixed, 'b'), 'it may have written actors of it').toEqual([])
    const silent = next(mixed, { b: V2 })
    expect(silent.owners, 'its only host may be silent for a moment').not.toContain('b')
    const without = next(silent, { b: V2 }, { unhosted: ['away'] })
    expect(shardsOf(without, 'b')).toHaveLength(SHARDS)
    expect(without.unhosted).toEqual(['away'])
    const again = rest(without, { a: versions({ order: 2, away: 1 }), b: V2 })
    expect(shardsOf(again, 'a'), 'who knows it is back').toHaveLength(SHARDS)
    expect(again.unhosted).toEqual([])
  })

  it('never names who does not know what any owner before may have written', () => {
    const hosts = fc.dictionary(fc.constantFrom(...'abcd'), fc.constantFrom(1, 2, 3), {
      minKeys: 1,
    })
    fc.assert(
      fc.property(fc.array(hosts, { minLength: 1, maxLength: 8 }), (history) => {
        let view: View | undefined
        const written = new Array<number>(SHARDS).fill(0)
        for (const numbers of history) {
          const present = Object.entries(numbers).map(([n, order]) => [n, versions({ order })])
          view = next(view, Object.fromEntries(present) as Hosts)
          view.owners.forEach((owner, shard) => {
            if (owner === null) {
              const able = Object.values(numbers).some((version) => version >= written[shard]!)
              expect(able, `shard ${shard} waits, and somebody could take it`).toBe(false)
            } else expect(numbers[owner]).toBeGreaterThanOrEqual(written[shard]!)
            written[shard] = Math.max(written[shard]!, numbers[owner ?? ''] ?? 0)
          })
        }
        const last = Object.entries(history.at(-1)!).map(([n, order]) => [n, versions({ order })])
        rest(view, Object.fromEntries(last) as Hosts)
      }),
    )
  })
})

describe('a cluster that is upgraded', () => {
  it('node by node, serves everything all the time', async () => {
    const cluster = new Cluster()
    const names = ['a', 'b', 'c']
    await cluster.started(names)
    const load = await Load.on(cluster)
    for (const name of names) {
      await cluster.at(name).leave()
      cluster.at(name).version = 2
      cluster.at(name).restart()
      await cluster.until(() => cluster.isSettled(), `${name} is back`)
    }
    await load.judge()
    expect(load.failures).toEqual([])
    for (const address of load.addresses) {
      expect((await cluster.run(cluster.client.get(address))).version).toBe(2)
    }
  })

  it('waits for a node that knows what the first new one has written', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const c = cluster.at(cluster.node('c').name)
    c.version = 2
    c.restart()
    await cluster.until(() => cluster.isSettled(), 'c joins')
    const ofNew = cluster.served().flatMap((name, shard) => (name === 'c' ? [shard] : []))
    expect(ofNew.length).toBeGreaterThanOrEqual(2)
    c.kill()
    const isGone = () => cluster.view().members.length === 2
    await cluster.until(isGone, 'c is missed')
    await cluster.settle(5_000)
    expect(cluster.served().flatMap((name, n) => (name === undefined ? [n] : []))).toEqual(ofNew)
    const said = cluster.live.flatMap((node) => node.said('error', 'nobody who is there can take'))
    expect(said.at(-1)!.fields).toMatchObject({ shards: ofNew })
    cluster.at('a').version = 2
    cluster.at('a').restart()
    await cluster.until(() => cluster.isServed(), 'a can take them')
    for (const shard of ofNew) expect(cluster.serving(shard)).toEqual(['a'])
  })

  it('an owner that starts again in an older version does not take its shards by the old view', async () => {
    const cluster = new Cluster()
    for (const name of ['a', 'b']) {
      cluster.node(name).version = 2
      cluster.at(name).restart()
    }
    await cluster.until(() => cluster.isSettled(), 'they come up')
    const old = cluster.live.find((node) => node !== cluster.leader())!
    const sinceMs = cluster.clock.monotonic()
    old.version = 1
    old.restart()
    const isWithOther = () => cluster.served().every((name) => name && name !== old.name)
    await cluster.until(isWithOther, 'the other has all')
    expect(old.said('info', 'serves a shard').filter(({ atMs }) => atMs >= sinceMs)).toEqual([])
  })
})
