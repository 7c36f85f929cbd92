/** A leader's own view: nobody acts by it before the registry has it, the leader itself neither. */
import { describe, expect, it } from 'vitest'
import { MemoryRegistry, MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { Leader } from '../../src/cluster/leader.ts'
import { DEFAULT_CLUSTER_LIMITS, HANDOFF_LAG_SLOTS_MAX } from '../../src/cluster/limits.ts'
import type { MemberBeat } from '../../src/cluster/members.ts'
import { decodeView, type View, ViewMemory, viewNumber } from '../../src/cluster/view.ts'
import { Views } from '../../src/cluster/views.ts'
import { Cluster, type TestNode } from './nodes.ts'
import { member } from './placement-rules.ts'

/** Who is dead is missed, and whoever leads has planned. */
const MISSED_MS = 10_000

/** A shard that this node follows, and that is not the leader's. */
function shardFollowedBy(cluster: Cluster, standby: TestNode): number {
  const { owners, standbys } = cluster.view()
  const shard = owners.findIndex(
    (name, at) => standbys[at] === standby.name && name !== cluster.leader().name,
  )
  if (shard < 0) throw new Error('no such shard')
  return shard
}

const held = (cluster: Cluster, node: TestNode): View[] =>
  node.puts.held.map(({ value }) => decodeView(value, cluster.shardCount))

describe('a leader that cannot write its view', () => {
  it('does not act by it: what it would acknowledge nobody would be asked for', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    const shard = shardFollowedBy(cluster, leader)
    const owner = cluster.at(cluster.view().owners[shard]!)
    const address = cluster.on(shard)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    await cluster.settle(1_000)
    const before = cluster.server.slots(shard).length
    leader.puts.isHolding = true
    owner.kill()
    await cluster.settle(MISSED_MS)
    expect(held(cluster, leader).at(-1)?.owners[shard], 'it has planned').toBe(leader.name)
    const answer = await cluster.answer(cluster.note(address, 'x', 1_000))
    // It dies, and the journal's server loses what was not synced.
    leader.kill()
    cluster.loseLast(shard, cluster.server.slots(shard).length - before)
    owner.restart()
    await cluster.until(() => cluster.isServed(), 'the others go on')
    expect(await cluster.seen(address)).toEqual(answer === 'ok' ? ['x'] : [])
    expect(answer, 'nobody was there to take it').not.toBe('ok')
  })

  it('goes on when it can, with the same view', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    const known = leader.node.status().viewNumber
    leader.puts.isHolding = true
    cluster.live.find((node) => node !== leader)!.kill()
    await cluster.settle(MISSED_MS)
    expect(leader.node.status().viewNumber).toBe(known)
    const tries = leader.puts.held.map(({ value }) => Buffer.from(value).toString('hex'))
    expect(tries.length).toBeGreaterThan(1)
    expect(new Set(tries).size, 'one view, written again and again').toBe(1)
    const [proposed] = held(cluster, leader)
    leader.puts.isHolding = false
    await cluster.until(() => leader.node.status().viewNumber > known, 'it is written', 2_000)
    expect(leader.node.status().viewNumber).toBe(viewNumber(proposed!))
    await cluster.until(() => cluster.isSettled(), 'all go by it')
  })

  it('acts by it when it reads it back, although it never learnt that it was written', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    const known = leader.node.status().viewNumber
    leader.puts.isHolding = true
    cluster.live.find((node) => node !== leader)!.kill()
    await cluster.until(() => leader.puts.held.length > 0, 'it has planned')
    leader.puts.held[0]!.arrive()
    await cluster.until(() => leader.node.status().viewNumber > known, 'it reads it', 2_000)
    await cluster.until(() => cluster.isServed(), 'and goes by it')
  })

  it('says in the next one whom it had named: what is under way may still arrive', async () => {
    const cluster = new Cluster({ shardCount: 16 })
    await cluster.started(['a', 'b', 'c', 'd'])
    const leader = cluster.leader()
    const heir = cluster.live.find((node) => node !== leader)!
    const shard = shardFollowedBy(cluster, heir)
    const owner = cluster.at(cluster.view().owners[shard]!)
    leader.puts.isHolding = true
    owner.kill()
    const names = (name: string) => () => held(cluster, leader).at(-1)?.owners[shard] === name
    await cluster.until(names(heir.name), 'its heir is named')
    const early = leader.puts.held.at(-1)!
    const [named] = held(cluster, leader).slice(-1)
    heir.kill()
    const isThird = () =>
      ![owner.name, heir.name].includes(held(cluster, leader).at(-1)!.owners[shard]!)
    await cluster.until(isThird, 'another is named')
    const views = held(cluster, leader)
    const texts = (some: readonly { value: Uint8Array }[]) =>
      new Set(some.map(({ value }) => Buffer.from(value).toString('hex'))).size
    expect(new Set(views.map(viewNumber)).size, 'no two with one number').toBe(
      texts(leader.puts.held),
    )
    const former = views.at(-1)!.former[shard]
    expect(former?.map(({ name }) => name)).toEqual([owner.name, heir.name])
    expect(former?.at(-1)?.until).toBeGreaterThanOrEqual(viewNumber(named!))
    leader.puts.isHolding = false
    await cluster.until(() => cluster.isServed(), 'they go on')
    const { viewNumber: now } = leader.node.status()
    early.arrive()
    owner.restart()
    heir.restart()
    await cluster.until(() => cluster.isSettled(), 'what came late moves nobody back')
    expect(leader.node.status().viewNumber).toBeGreaterThan(now)
  })
})

async function registered(cluster: Cluster): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined
  cluster.registry.get('view', (outcome) => {
    if (outcome.kind === 'found') bytes = outcome.value
  })
  await cluster.settle()
  return bytes!
}

describe('a leader whose reads go back', () => {
  it('does not look for the view that it wrote itself', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    const known = leader.node.status().viewNumber
    leader.staleView = await registered(cluster)
    leader.puts.isHolding = true
    const [dead, other] = cluster.live.filter((node) => node !== leader)
    dead!.kill()
    await cluster.until(() => leader.puts.held.length > 0, 'it has planned')
    leader.puts.held[0]!.arrive()
    await cluster.until(() => other!.node.status().viewNumber > known, 'another has read it', 3_000)
    await cluster.settle(2_000)
    expect(leader.node.status().viewNumber, 'it does not know').toBe(known)
    leader.puts.isHolding = false
    await cluster.until(() => leader.node.status().viewNumber > known, 'it writes again', 2_000)
  })

  it('acts by what it knows to be written', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const leader = cluster.leader()
    leader.staleView = await registered(cluster)
    cluster.live.find((node) => node !== leader)!.kill()
    await cluster.until(() => cluster.isServed(), 'its shards are served', 2 * MISSED_MS)
    const numbers = cluster.live.map(({ node }) => node.status().viewNumber)
    expect(new Set(numbers).size).toBe(1)
  })
})

/** It leads while the test says so, and hears of a view that it cannot read, or of none. */
function alone(seen: number, shardCount = 2) {
  const clock = new VirtualClock()
  const registry = new MemoryRegistry({ clock })
  const elected: { epoch: number | undefined; resign: () => void } = {
    epoch: 3,
    resign: () => {},
  }
  const beat: MemberBeat = {
    ...member('b'),
    ...{
      bootId: 'b-1',
      viewNumber: seen,
      serves: [],
      lags: [],
      machines: new Map(),
      refuses: [],
    },
  }
  const members = {
    live: () => [beat],
    lag: (_name: string, _shard: number): number | undefined => undefined,
    servesBy: (_name: string, _shard: number): number | undefined => undefined,
    machines: () => beat.machines,
    refuses: () => false,
  }
  const shared = {
    name: 'a',
    clock,
    registry,
    log: silentLog,
    limits: DEFAULT_CLUSTER_LIMITS,
    shardCount,
  }
  const memory = new ViewMemory(new MemoryStore({ clock }), shardCount, silentLog)
  const views = new Views({ ...shared, memory, changed: () => {}, failed: () => {} })
  const leader = new Leader({ ...shared, views, members, election: elected })
  leader.start()
  return { clock, registry, views, leader, elected, members, beat }
}

describe('a leader that looks for a view that members have seen', () => {
  const SEEN = viewNumber({ leaderEpoch: 2, version: 7 })
  const waitMs = DEFAULT_CLUSTER_LIMITS.viewWaitMs

  it('goes on without it after a while', async () => {
    const { clock, views } = alone(SEEN)
    await clock.settle(waitMs - 100)
    expect(views.number).toBe(0)
    await clock.settle(2_000)
    expect(views.number).toBe(viewNumber({ leaderEpoch: 3, version: 1 }))
  })

  it.each([3, 5])('and waits anew when it may lead again, by epoch %i', async (epoch) => {
    const { clock, views, elected } = alone(SEEN)
    await clock.settle(waitMs / 2)
    elected.epoch = undefined
    await clock.settle(waitMs)
    elected.epoch = epoch
    await clock.settle(waitMs - 1_100)
    expect(views.number, 'it has not looked for long yet').toBe(0)
    await clock.settle(3_000)
    expect(views.number).toBe(viewNumber({ leaderEpoch: epoch, version: 1 }))
  })
})

describe('shards that could move, but for one that gets no nearer', () => {
  it('wait for it as long as it may take to catch up', async () => {
    const { clock, views, members, beat } = alone(0, 8)
    const named = (...names: string[]) => names.map((name) => ({ ...beat, name }))
    const owners = (name: string) => views.view!.owners.filter((one) => one === name).length
    members.servesBy = (name, shard) =>
      views.view?.owners[shard] === name ? views.number : undefined
    members.live = () => named('a', 'b')
    await clock.settle(1_500)
    members.live = () => named('a', 'b', 'c')
    await clock.settle(1_500)
    const stuck = views.view!.standbys.indexOf('c')
    members.lag = (_name, shard) => (shard === stuck ? HANDOFF_LAG_SLOTS_MAX : 0)
    await clock.settle(DEFAULT_CLUSTER_LIMITS.catchUpMs - 5_000)
    expect(owners('c')).toBe(0)
    await clock.settle(10_000)
    expect(owners('c')).toBeGreaterThan(0)
  })
})

describe('an order to a leader that has asked twice what was before it', () => {
  it('stands in the view that is said to have it', async () => {
    const { clock, registry, views, leader } = alone(0)
    // As it begins, it asks once; this is told by a further read.
    leader.act()
    const put = registry.put.bind(registry)
    const puts: (() => void)[] = []
    registry.put = (key, value, done) => void puts.push(() => put(key, value, done))
    const get = registry.get.bind(registry)
    const reads: (() => void)[] = []
    registry.get = (key, done) => void reads.push(() => get(key, done))
    await clock.settle()
    expect([puts.length, reads.length], 'its first view is on its way').toEqual([1, 1])
    const pin = { kind: 'move', shard: 1, to: 'b', isPinned: true, by: 'op' } as const
    let told = ''
    leader.order(pin, false, ({ kind }) => {
      told = kind
    })
    const arrive = async (some: (() => void)[]) => {
      for (const call of some.splice(0)) call()
      await clock.settle()
    }
    await arrive(reads)
    while (told === '') {
      leader.act()
      await arrive(puts)
      await arrive(reads)
    }
    expect(told).toBe('taken')
    expect(views.view?.wishes.moves).toMatchObject([{ shard: 1, to: 'b' }])
  })
})
