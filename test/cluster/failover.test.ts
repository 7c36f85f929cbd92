/** How long it takes until others serve what a dead node had, and what is not a dead node. */
import { describe, expect, it } from 'vitest'
import { judgeJournals, Load } from './load.ts'
import { Cluster, type TestNode } from './nodes.ts'

const ABC = ['a', 'b', 'c']
/** To be noticed, and elected over where it led: the rest is a moment. */
const SERVED_MS = 1_500
/** Whoever takes somebody for gone has listened for a while. */
const LISTENED_MS = 10_000

async function started(seed: number): Promise<{ cluster: Cluster; leader: TestNode }> {
  const cluster = new Cluster({ seed })
  await cluster.started(ABC)
  await cluster.settle(LISTENED_MS)
  return { cluster, leader: cluster.leader() }
}

const viewsSince = (cluster: Cluster, sinceMs: number) =>
  cluster.live
    .flatMap((node) => node.said('info', 'a new view'))
    .filter(({ atMs }) => atMs >= sinceMs)

describe('what a dead node had', () => {
  it.each(['owner', 'leader'] as const)('is served again within a moment: %s', async (who) => {
    for (const seed of [1, 2, 3, 4]) {
      const { cluster, leader } = await started(seed)
      const load = await Load.on(cluster)
      await cluster.settle(seed * 77)
      const victim = who === 'leader' ? leader : cluster.live.find((one) => one !== leader)!
      victim.kill()
      await cluster.until(() => cluster.isServed(), 'all is served', SERVED_MS)
      expect(Object.keys(cluster.counts())).not.toContain(victim.name)
      await load.judge()
    }
  })

  it('is served again when it comes back before it was missed', async () => {
    const { cluster } = await started(5)
    const load = await Load.on(cluster)
    const before = cluster.served()
    cluster.at('b').kill()
    await cluster.settle(200)
    cluster.at('b').restart()
    await cluster.until(() => cluster.isServed(), 'all is served', SERVED_MS)
    expect(cluster.served()).toEqual(before)
    await load.judge()
  })

  it('waits for nobody that the leader does not know any more', async () => {
    const { cluster, leader } = await started(6)
    const victim = cluster.live.find((one) => one !== leader)!
    const shard = cluster.served().indexOf(victim.name)
    victim.kill()
    await cluster.until(() => cluster.isServed(), 'all is served', SERVED_MS)
    const heir = cluster.at(cluster.serving(shard)[0]!)
    const heard = heir.node.status().members.map(({ name }) => name)
    expect(heir === leader || heard.includes(victim.name), 'who is still heard of there').toBe(true)
  })
})

describe('a leader that goes', () => {
  it('stops no shard when it dies', async () => {
    const { cluster, leader } = await started(7)
    await leader.leave()
    const load = await Load.on(cluster)
    leader.kill()
    const { leaderEpoch } = cluster.view()
    while (cluster.view().leaderEpoch === leaderEpoch || cluster.leaders().length === 0) {
      expect(cluster.isServed()).toBe(true)
      await cluster.settle(10)
    }
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('says so when it stops, and another leads at once', async () => {
    const { cluster, leader } = await started(8)
    await leader.leave()
    leader.stop()
    await cluster.until(() => cluster.leaders().length === 1, 'another leads', 400)
    expect(cluster.isServed()).toBe(true)
  })
})

describe('the first node of a cluster', () => {
  it('serves at once: there is no leader to wait for', async () => {
    const cluster = new Cluster()
    cluster.node('a').start()
    await cluster.until(() => cluster.isServed(), 'it serves all', 500)
  })
})

describe('a node that is not dead', () => {
  it('keeps its shards while its connection is made anew', async () => {
    const { cluster, leader } = await started(9)
    const sinceMs = cluster.clock.monotonic()
    for (const node of cluster.live) {
      node.transport.isCut = true
      await cluster.settle(400)
      node.transport.isCut = false
      await cluster.settle(2_000)
    }
    expect(viewsSince(cluster, sinceMs)).toEqual([])
    expect(cluster.leaders()).toEqual([leader.name])
  })

  it('nor does anybody lose any when the server of all starts again, whoever is back first', async () => {
    for (const order of [ABC, ['b', 'c', 'a'], ['c', 'a', 'b']]) {
      const { cluster, leader } = await started(10)
      const sinceMs = cluster.clock.monotonic()
      for (const node of cluster.live) node.transport.isCut = true
      await cluster.settle(1_000)
      for (const name of order) {
        cluster.at(name).transport.isCut = false
        await cluster.settle(1_200)
      }
      await cluster.settle(10_000)
      expect(viewsSince(cluster, sinceMs)).toEqual([])
      expect(cluster.leaders()).toEqual([leader.name])
    }
  })

  it('loses its shards once, not each time, where its connection comes and goes', async () => {
    const { cluster, leader } = await started(11)
    const load = await Load.on(cluster, 60_000)
    const flaky = cluster.live.find((one) => one !== leader)!
    const sinceMs = cluster.clock.monotonic()
    for (let n = 0; n < 10; n++) {
      flaky.transport.isCut = true
      await cluster.settle(1_500)
      flaky.transport.isCut = false
      await cluster.settle(3_000)
    }
    const isMember = viewsSince(cluster, sinceMs).map(({ fields }) =>
      (fields['members'] as string[]).includes(flaky.name),
    )
    expect(isMember.filter((is, at) => !is && isMember[at - 1] !== false)).toHaveLength(1)
    await cluster.until(() => cluster.isSettled(), 'it comes to rest')
    expect(Object.values(cluster.counts()).sort()).toEqual([2, 3, 3])
    await load.judge()
    judgeJournals(cluster)
  })

  it('keeps its shards while it stands still for less than the silence', async () => {
    const { cluster } = await started(12)
    const sinceMs = cluster.clock.monotonic()
    for (const node of cluster.live) {
      node.freeze()
      await cluster.settle(3_000)
      node.thaw()
      await cluster.settle(3_000)
    }
    expect(viewsSince(cluster, sinceMs)).toEqual([])
  })
})

describe('a node that may not hear any more what it is sent', () => {
  it.each(['leader', 'owner'] as const)(
    'gives its shards away while it lives, and comes back: %s',
    async (which) => {
      const { cluster, leader } = await started(12)
      const deaf = which === 'leader' ? leader : cluster.live.find((one) => one !== leader)!
      const others = cluster.live.filter((one) => one !== deaf)
      deaf.transport.isDeaf = true
      const isRid = () => {
        const view = others[0]!.node.status().view
        return view?.owners.every((owner) => owner !== null && owner !== deaf.name) === true
      }
      await cluster.until(isRid, 'others are named', 20_000)
      await cluster.settle(10_000)
      const { shards, leads } = deaf.node.status()
      expect([leads, shards.filter(({ role }) => role === 'owner')]).toEqual([false, []])
      expect(isRid(), 'and it is not named again').toBe(true)
      const address = cluster.on(0)
      expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
      deaf.transport.isDeaf = false
      await cluster.until(() => cluster.isSettled(), 'it has its share again', 20_000)
    },
  )
})
