/** Orders of operators: what is refused, what they make of the placement, and what ends them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changesBy, plansOf, refusalOf, unownedIn } from '../../src/cluster/orders.ts'
import { nextView, type Planning, type Reports } from '../../src/cluster/planning.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import type { View } from '../../src/cluster/view.ts'
import { NO_WISHES, type Order, ordered } from '../../src/cluster/wishes.ts'
import { Load } from './load.ts'
import { Cluster } from './nodes.ts'
import { countOf, member } from './placement-rules.ts'

const by = 'op'
const drain = (node: string): Order => ({ kind: 'drain', node, by })
const undrain = (node: string): Order => ({ kind: 'undrain', node, by })
const move = (shard: number, to: string, isPinned = false): Order =>
  ({ kind: 'move', shard, to, isPinned, by }) as const
const unpin = (shard: number): Order => ({ kind: 'unpin', shard, by })

/** Everybody serves what the view names them for, and is near. */
const obedient = (view: View | undefined): Reports => ({
  lag: () => 0,
  servesBy: (name, shard) => (view?.owners[shard] === name ? 2 ** 40 : undefined),
  machines: () => NO_VERSIONS,
  refuses: () => false,
})

class Plans {
  readonly shardCount: number
  members
  wishes = NO_WISHES
  view: View | undefined
  reports: Partial<Reports> = {}

  constructor(names: readonly string[], shardCount = 12) {
    this.members = names.map((name) => member(name))
    this.shardCount = shardCount
    this.rest()
  }

  get planning(): Planning {
    const { view: previous, members, shardCount } = this
    const reports = { ...obedient(previous), ...this.reports }
    const fixed = { leaderEpoch: 1, unhosted: new Set<string>(), seen: 0 }
    const wishes = previous ? this.wishes : NO_WISHES
    return { previous, members, reports, shardCount, wishes, ...fixed }
  }

  /** Undefined when it is taken. */
  order(order: Order): string | undefined {
    const refused = refusalOf(order, this.planning)
    if (refused) return `${refused.code}: ${refused.message}`
    this.wishes = ordered(this.wishes, order, 1)
    return undefined
  }

  step(more: Partial<Planning> = {}): boolean {
    const next = nextView({ ...this.planning, ...more })!
    const isNew = next !== this.view
    this.view = next
    this.wishes = next.wishes
    return isNew
  }

  rest(): void {
    for (let round = 0; this.step(); round++) if (round > 100) throw new Error('it never rests')
  }

  count(name: string): number {
    return countOf(this.view!.owners).get(name) ?? 0
  }

  of(name: string): number {
    return this.view!.owners.indexOf(name)
  }
}

describe('an order to drain a node', () => {
  it('takes all its shards from it, a few at a time, until it is taken back', () => {
    const plans = new Plans(['a', 'b', 'c'], 60)
    expect(plans.order(drain('b'))).toBeUndefined()
    const left = []
    // Nobody serves what it is given, so what is under way stays so.
    const serving = new Map(plans.view!.owners.map((name, shard) => [shard, name]))
    plans.reports = { servesBy: (name, shard) => (serving.get(shard) === name ? 1 : undefined) }
    for (let round = 0; round < 4; round++) {
      plans.step()
      left.push(plans.count('b'))
    }
    expect(left[0], 'those whose standby is near').toBe(18)
    expect(left.slice(1), 'each goes on by one at least').toEqual([17, 16, 15])
    plans.step({ isBetweenBeats: true })
    expect(plans.count('b'), 'but not between two beats').toBe(15)
    plans.reports = {}
    plans.rest()
    expect([plans.count('a'), plans.count('b'), plans.count('c')]).toEqual([30, 0, 30])
    expect(plans.view!.standbys).not.toContain('b')
    expect(plans.view!.wishes.drains).toEqual([{ node: 'b', by, at: 1 }])
    expect(plans.order(drain('b')), 'it is so already').toBeUndefined()
    plans.members = plans.members.filter(({ name }) => name !== 'b')
    plans.rest()
    plans.members.push(member('b'))
    plans.rest()
    expect(plans.count('b'), 'it comes back and is still drained').toBe(0)
    expect(plans.order(undrain('b'))).toBeUndefined()
    plans.rest()
    expect(plans.count('b')).toBe(20)
  })

  it('leaves it what nobody else can take, also what it has lost by a restart, until somebody can', () => {
    const plans = new Plans(['a', 'b', 'c'])
    const shard = plans.of('b')
    const shards = () => plans.view!.owners.flatMap((owner, at) => (owner === 'b' ? [at] : []))
    expect(plans.order(drain('b'))).toBeUndefined()
    let isAlone = true
    plans.reports = { refuses: (name, at) => isAlone && at === shard && name !== 'b' }
    plans.rest()
    expect(shards()).toEqual([shard])
    plans.members = plans.members.filter(({ name }) => name !== 'b')
    plans.rest()
    expect(plans.view!.owners[shard], 'nobody who is there can').toBeNull()
    plans.members.push(member('b', { leaving: true }))
    plans.rest()
    expect(plans.view!.owners[shard], 'one that stops takes nothing').toBeNull()
    plans.members.pop()
    plans.members.push(member('b'))
    plans.rest()
    expect(shards()).toEqual([shard])
    const parted = 'has a store that has parted from the journal of the shard'
    expect(plansOf(plans.planning).unplaced).toEqual([
      { shard, keptBy: 'b', why: [`a ${parted}`, 'b is drained', `c ${parted}`] },
    ])
    isAlone = false
    plans.rest()
    expect(shards()).toEqual([])
  })

  it('has shards that are nobody told with the reasons of just these', () => {
    const plans = new Plans(['a', 'b', 'c'])
    expect(plans.order(drain('b'))).toBeUndefined()
    plans.reports = { refuses: (name, at) => (at === 1 ? name !== 'b' : at === 3 || at === 4) }
    plans.rest()
    expect(plans.view!.owners[1]).toBe('b')
    const parted = 'has a store that has parted from the journal of the shard'
    expect(unownedIn(plans.view!, plans.planning)).toEqual([
      { shards: [3, 4], why: `a ${parted}; b ${parted}; c ${parted}` },
    ])
    plans.reports = {}
    plans.rest()
    expect(unownedIn(plans.view!, plans.planning)).toEqual([])
  })

  it('is refused where nobody else could take them, and says of each why', () => {
    const plans = new Plans(['a', 'b', 'c', 'd', 'e'])
    plans.members[2] = member('c', { leaving: true })
    plans.members[3] = member('d', { weight: 0 })
    expect(plans.order(drain('b'))).toBeUndefined()
    plans.reports = { refuses: (name) => name === 'e' }
    expect(plans.order(drain('a'))).toBe(
      'conflict: nobody else could take its shards: b is drained; c is stopping; d has the weight 0; e has a store that has parted from the journal of the shard',
    )
    expect(new Plans(['a']).order(drain('a'))).toContain('it is the only node')
    expect(plans.order(drain('z'))).toMatch(/^not-found: the node z is not there; .*a, b, c, d, e$/)
    expect(plans.order(undrain('z'))).toMatch(/^not-found/)
    expect(plans.order(undrain('a')), 'it is so already').toBeUndefined()
  })

  it('is refused where only some of its shards could go', () => {
    const plans = new Plans(['a', 'b'])
    const shard = plans.of('a')
    const needs = plans.view!.needs.map((_, n) => new Map(n === shard ? [['m', 2]] : []))
    plans.view = { ...plans.view!, needs }
    plans.reports = { machines: (name) => new Map(name === 'a' ? [['m', 2]] : []) }
    expect(plans.order(drain('a'))).toBe(
      `conflict: nobody else could take its shards ${shard}: b does not host what the shard has: m in version 2`,
    )
  })
})

describe('an order to move a shard', () => {
  it('is over when it is there and nothing takes it back; one other is swapped for it', () => {
    const plans = new Plans(['a', 'b', 'c'])
    const shard = plans.view!.owners.findIndex((owner, n) => {
      return owner === 'a' && plans.view!.standbys[n] === 'c'
    })
    expect(changesBy(move(shard, 'b'), plans.planning)).toContainEqual({
      shard,
      from: 'a',
      to: 'b',
    })
    expect(plans.order(move(shard, 'b'))).toBeUndefined()
    plans.step()
    expect(plans.view!.owners[shard], 'its standby follows first').toBe('a')
    expect(plans.view!.wishes.moves).toHaveLength(1)
    plans.rest()
    expect(plans.view!.owners[shard]).toBe('b')
    expect([plans.count('a'), plans.count('b'), plans.count('c')]).toEqual([4, 4, 4])
    expect(plans.view!.wishes.moves).toEqual([])
  })

  it('brings whatever shard to whatever node, and leaves all with as much', () => {
    const ways = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 5 })
    const sizes = fc.tuple(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 5, max: 30 }))
    fc.assert(
      fc.property(sizes, ways, ([nodes, shardCount], some) => {
        const names = [...'abcde'].slice(0, nodes)
        const plans = new Plans(names, shardCount)
        for (const [n, m] of some) {
          const [shard, to] = [n % shardCount, names[m % nodes]!]
          expect(plans.order(move(shard, to))).toBeUndefined()
          // It arrives first: whatever goes back for it is behind.
          plans.reports = { lag: (_, other) => (other === shard ? 0 : 1_000) }
          plans.rest()
          plans.reports = {}
          plans.rest()
          expect(plans.view!.owners[shard]).toBe(to)
          expect(plans.view!.wishes.moves, 'it is over').toEqual([])
          const counts = names.map((name) => plans.count(name))
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is remembered when it is a pin, also while its node is away', () => {
    const plans = new Plans(['a', 'b', 'c'])
    const shard = plans.of('a')
    plans.order(move(shard, 'b', true))
    plans.rest()
    const pin = { shard, to: 'b', isPinned: true, by, at: 1 }
    expect(plans.view!.wishes.moves).toEqual([pin])
    expect(plans.order(move(shard, 'b')), 'it is there').toBeUndefined()
    plans.rest()
    expect(plans.view!.wishes.moves, 'a move to there is no word against it').toEqual([pin])
    expect(plans.order(move(shard, 'c'))).toMatch(/^conflict: .*pinned to b \(by op\): unpin it/)
    plans.members = plans.members.filter(({ name }) => name !== 'b')
    plans.rest()
    expect(plans.view!.owners[shard]).not.toBe('b')
    plans.members.push(member('b'))
    plans.rest()
    expect(plans.view!.owners[shard]).toBe('b')
    expect(plans.order(unpin(shard))).toBeUndefined()
    expect(plans.order(unpin(shard)), 'it is so already').toBeUndefined()
    plans.rest()
    expect(plans.view!.wishes.moves).toEqual([])
    expect(plans.view!.owners[shard], 'it need not go').toBe('b')
  })

  it('ends with its node when it is no pin', () => {
    const plans = new Plans(['a', 'b', 'c'])
    plans.order(move(plans.of('a'), 'b'))
    plans.step()
    plans.members = plans.members.filter(({ name }) => name !== 'b')
    plans.step()
    expect(plans.view!.wishes.moves).toEqual([])
  })

  it('is refused for a node that could not take it, and for what is not there', () => {
    const plans = new Plans(['a', 'b', 'c'])
    const shard = plans.of('a')
    plans.reports = { refuses: (name, n) => name === 'c' && n === shard }
    expect(plans.order(move(shard, 'c'))).toMatch(/^conflict: c cannot take the shard \d+: it has/)
    plans.order(drain('b'))
    expect(plans.order(move(shard, 'b'))).toMatch(/^conflict: b cannot take .*: it is drained$/)
    expect(plans.order(move(shard, 'z'))).toMatch(/^not-found: the node z/)
    expect(plans.order(move(12, 'a'))).toMatch(/^not-found: there is no shard 12: .* 0 to 11$/)
    for (const none of [-1, 0.5, Number.NaN, 12]) {
      expect(plans.order(move(none, 'a')), `shard ${none}`).toMatch(/^not-found: there is no shard/)
      expect(plans.order(unpin(none)), `shard ${none}`).toMatch(/^not-found: there is no shard/)
    }
  })
})

describe('what a leader says of its plans', () => {
  it('who goes where and waits for what', () => {
    const plans = new Plans(['a', 'b', 'c'])
    const shard = plans.of('a')
    plans.order(move(shard, 'b'))
    plans.reports = { lag: () => 100 }
    plans.step()
    const { handovers, unplaced } = plansOf(plans.planning)
    expect(unplaced).toEqual([])
    expect(handovers).toContainEqual({ shard, from: 'a', to: 'b', lag: 100, waitsFor: 'standby' })
    plans.reports = {}
    const ready = plansOf(plans.planning).handovers.find((one) => one.shard === shard)
    expect(ready).toMatchObject({ waitsFor: 'turn' })
    plans.step()
    plans.reports = { servesBy: () => undefined }
    const named = plansOf(plans.planning).handovers.find((one) => one.shard === shard)
    expect(named).toEqual({ shard, from: 'a', to: 'b', lag: 0, waitsFor: 'claim' })
  })

  it('why nobody has a shard, or one that should not', () => {
    const plans = new Plans(['a', 'b'])
    plans.members = [member('a', { leaving: true })]
    plans.step()
    const { unplaced } = plansOf(plans.planning)
    const keepers = unplaced.map(({ keptBy }) => keptBy)
    expect(keepers, 'also what it stood by for').toEqual(Array.from({ length: 12 }, () => 'a'))
    expect(unplaced[0]!.why).toEqual(['a is stopping'])
    plans.members = [member('c', { leaving: true })]
    plans.step()
    const nobodys = plansOf(plans.planning).unplaced.filter(({ keptBy }) => keptBy === null)
    expect(nobodys, 'of which c has nothing').toHaveLength(12)
  })
})

describe('a cluster under orders', () => {
  const outcome = async (cluster: Cluster, at: string, order: Order, isDryRun = false) => {
    let told: unknown
    cluster.at(at).node.order(order, isDryRun, (how) => {
      told = how.kind === 'taken' ? how.changes : how.error.code
    })
    await cluster.until(() => told !== undefined, 'an outcome')
    return told
  }

  it('drains a node that goes on, and remembers it through leaders and restarts', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const load = await Load.on(cluster)
    const leader = cluster.leader()
    const node = cluster.live.find((one) => one !== leader)!
    expect(await outcome(cluster, node.name, drain(node.name)), 'not the leader').toBe(
      'unavailable',
    )
    await outcome(cluster, leader.name, drain(node.name), true)
    await cluster.settle(3_000)
    expect(cluster.counts()[node.name], 'a dry run').toBeGreaterThan(0)
    const has = cluster.counts()[node.name]!
    expect(await outcome(cluster, leader.name, drain(node.name))).toHaveLength(has)
    const isEmpty = () => cluster.isServed() && (cluster.counts()[node.name] ?? 0) === 0
    await cluster.until(isEmpty, 'it is drained')
    leader.kill()
    await cluster.until(() => cluster.leaders().length === 1, 'another leads')
    node.restart()
    await cluster.until(isEmpty, 'everything is served')
    await cluster.settle(10_000)
    expect(isEmpty(), 'it stays drained').toBe(true)
    leader.restart()
    await cluster.until(() => cluster.view().members.length === 3, 'all are back')
    await outcome(cluster, cluster.leader().name, undrain(node.name))
    await cluster.until(() => cluster.isSettled(), 'it has shards again')
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('tells who ordered only once the registry has it, and when another leads that it is not known', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    const shard = cluster.view().owners.indexOf(leader.name)
    const to = cluster.live.find((one) => one !== leader)!.name
    leader.puts.isHolding = true
    const told: string[] = []
    leader.node.order(move(shard, to), false, ({ kind }) => void told.push(kind))
    await cluster.settle(3_000)
    expect(told).toEqual([])
    leader.puts.isHolding = false
    await cluster.until(() => told.length > 0, 'it is written')
    expect(told).toEqual(['taken'])
    await cluster.until(() => cluster.view().owners[shard] === to, 'it moves')
    await cluster.until(() => cluster.isSettled(), 'it is there')
    expect(cluster.view().wishes.moves).toEqual([])
    leader.puts.isHolding = true
    let code = ''
    leader.node.order(drain(to), false, (how) => {
      code = how.kind === 'refused' ? how.error.code : how.kind
    })
    leader.node.stop()
    expect(code).toBe('no-answer')
  })
})
