/** Nodes come, go, die and stand still: everything is served, by one of them, and nothing is lost. */
import { describe, expect, it } from 'vitest'
import { DEFAULT_CLUSTER_LIMITS } from '../../src/cluster/limits.ts'
import { judgeJournals, Load } from './load.ts'
import { Cluster } from './nodes.ts'

const ABC = ['a', 'b', 'c']
/** Silence, election, one view, handing on what a beat told too late, and taking. */
const FAILOVER_MS = 15_000

describe('a cluster', () => {
  it('elects one leader, and serves every shard once, evenly', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    expect(cluster.leaders()).toHaveLength(1)
    expect(Object.values(cluster.counts()).sort()).toEqual([2, 3, 3])
    for (let shard = 0; shard < 8; shard++) {
      const address = cluster.on(shard)
      expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
      expect(await cluster.answer(cluster.note(address, 'x'))).toBe('ok')
      expect(await cluster.seen(address)).toEqual(['x'])
    }
  })

  it('comes to rest: without news there is no new view', async () => {
    const cluster = new Cluster()
    const [a] = await cluster.started(ABC)
    const before = a!.node.status().viewNumber
    const slots = cluster.server.slots(0).length
    await cluster.settle(60_000)
    expect(a!.node.status().viewNumber).toBe(before)
    expect(cluster.server.slots(0), 'nor is anything written').toHaveLength(slots)
  })

  it.each(['leader', 'owner'] as const)('goes on when its %s is killed', async (who) => {
    for (const seed of [1, 2, 3]) {
      const cluster = new Cluster({ seed })
      await cluster.started(ABC)
      const load = await Load.on(cluster)
      await cluster.settle(2_000)
      const leader = cluster.leader()
      const victim = who === 'leader' ? leader : cluster.live.find((one) => one !== leader)!
      victim.kill()
      await cluster.until(() => cluster.isServed(), 'all is served', FAILOVER_MS)
      await cluster.until(() => cluster.isSettled(), 'it comes to rest')
      expect(Object.keys(cluster.counts())).not.toContain(victim.name)
      await load.judge()
      expect(load.failures).toEqual([])
      victim.restart()
      await cluster.until(() => cluster.isSettled(), 'it comes back')
      expect(Object.values(cluster.counts()).sort()).toEqual([2, 3, 3])
    }
  })

  it('a dead owner is replaced by its standby', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const { owners, standbys } = cluster.view()
    cluster.at('b').kill()
    await cluster.until(() => cluster.isServed(), 'all is served', FAILOVER_MS)
    const next = cluster.served()
    for (const [shard, owner] of owners.entries()) {
      expect(next[shard]).toBe(owner === 'b' ? standbys[shard] : owner)
    }
  })

  it('all nodes are killed, and come back with what they acknowledged', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const load = await Load.on(cluster, 60_000)
    await cluster.settle(2_000)
    for (const name of ABC) cluster.at(name).kill()
    await cluster.settle(5_000)
    for (const name of ABC) cluster.at(name).restart()
    await cluster.until(() => cluster.isSettled(), 'they come back')
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('a node that is killed and back at once takes its shards again', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const load = await Load.on(cluster)
    await cluster.settle(1_000)
    const before = cluster.served()
    cluster.at('b').restart()
    await cluster.until(() => cluster.isSettled(), 'it serves again', 5_000)
    expect(cluster.served()).toEqual(before)
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('a node joins: it is given its share, no more, and no command fails', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const load = await Load.on(cluster, 5_000)
    await cluster.settle(1_000)
    const before = cluster.served()
    cluster.node('c').start()
    await cluster.until(() => cluster.isSettled(), 'it has its share')
    const after = cluster.served()
    expect(Object.values(cluster.counts()).sort()).toEqual([2, 3, 3])
    expect(after.filter((name, shard) => name !== before[shard])).toEqual(['c', 'c'])
    await load.judge()
    expect(load.failures).toEqual([])
    for (const [shard, name] of after.entries()) {
      if (name !== 'c') continue
      const kinds = cluster.records(shard).flatMap((one) => (one.kind === 'batch' ? [] : one))
      expect(kinds.at(-2), 'the last owner let go first').toMatchObject({
        kind: 'release',
        to: 'c',
      })
      expect(kinds.at(-1)).toMatchObject({ kind: 'claim', node: 'c' })
    }
  })

  it('a node leaves: its shards are handed over, and no command fails', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const load = await Load.on(cluster, 5_000)
    const b = cluster.at('b')
    expect(await b.leave()).toBe('drained')
    expect(cluster.served()).not.toContain('b')
    b.stop()
    await cluster.until(() => cluster.isSettled(), 'it is gone')
    expect(cluster.counts()).toEqual({ a: 4, c: 4 })
    await load.judge()
    expect(load.failures).toEqual([])
    for (let shard = 0; shard < 8; shard++) {
      const records = cluster.records(shard)
      const claims = records.filter((one) => one.kind === 'claim')
      if (claims.at(-1)!.node === 'b') throw new Error('b claimed last')
    }
  })

  it('many shards go a few at a time, as soon as those before are there', async () => {
    const cluster = new Cluster({ shardCount: 24 })
    await cluster.started(ABC)
    const begunAtMs = cluster.clock.monotonic()
    let most = 0
    const leaving = cluster.at('b').leave()
    await cluster.until(
      () => {
        most = Math.max(most, cluster.served().filter((name) => name === undefined).length)
        return !cluster.served().includes('b')
      },
      'it serves nothing',
      20_000,
      1,
    )
    expect(await leaving).toBe('drained')
    expect(most).toBeLessThanOrEqual(2)
    const tookMs = cluster.clock.monotonic() - begunAtMs
    // 8 shards, 2 at once: with a leader that only plans with its beat that were 4 s.
    expect(tookMs).toBeLessThan(2 * DEFAULT_CLUSTER_LIMITS.leaderBeatMs)
  })

  it('callbacks go with their owner: one runs at a time, wherever that is', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    expect(await cluster.answer(cluster.client.start('listener/1'))).toBe('ok')
    const running = () => cluster.live.filter((node) => node.liveStarted.size > 0)
    const [before, ...others] = running()
    expect(others).toEqual([])
    expect(await before!.leave()).toBe('drained')
    expect(running().length, 'the next owner may not serve yet').toBeLessThanOrEqual(1)
    await cluster.until(() => running().length === 1, 'the next owner begins it')
    expect(running()[0]).not.toBe(before)
    before!.stop()
    const [second] = running()
    second!.freeze()
    await cluster.settle(FAILOVER_MS)
    expect(running()).toHaveLength(2)
    second!.thaw()
    await cluster.until(() => cluster.isSettled(), 'it comes to rest')
    expect(running()).toHaveLength(1)
  })

  it('a node that nobody can relieve leaves when its time is up, and serves till then', async () => {
    const cluster = new Cluster({ limits: { drainMs: 8_000 } })
    await cluster.started(['a'])
    const address = cluster.on(3)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    const leaving = cluster.at('a').leave()
    await cluster.settle(4_000)
    expect(cluster.isServed()).toBe(true)
    expect(await leaving).toBe('timed-out')
  })

  it('grows from one node to five and shrinks again under load', async () => {
    const cluster = new Cluster({ seed: 7 })
    await cluster.started(['a'])
    const load = await Load.on(cluster, 8_000)
    for (const name of ['b', 'c', 'd', 'e']) {
      cluster.node(name).start()
      await cluster.until(() => cluster.isSettled(), `${name} joins`)
    }
    expect(Object.values(cluster.counts()).sort()).toEqual([1, 1, 2, 2, 2])
    for (const name of ['a', 'c', 'e']) {
      expect(await cluster.at(name).leave()).toBe('drained')
      cluster.at(name).stop()
      await cluster.until(() => cluster.isSettled(), `${name} has left`)
    }
    await load.judge()
    expect(load.failures).toEqual([])
  })
})

describe('nodes that stand still', () => {
  it('a leader that was frozen does no harm when it thaws', async () => {
    for (const seed of [1, 2, 3]) {
      const cluster = new Cluster({ seed })
      await cluster.started(ABC)
      const load = await Load.on(cluster)
      const old = cluster.leader()
      old.freeze()
      const others = () => cluster.leaders().filter((name) => name !== old.name)
      await cluster.until(() => others().length === 1, 'another leads', FAILOVER_MS)
      expect(old.node.status().leads, 'it may not act by its own clock').toBe(false)
      await cluster.until(() => cluster.served().every((n) => n && n !== old.name) || true, '')
      await cluster.settle(10_000)
      const view = cluster.view()
      old.thaw()
      await cluster.until(() => cluster.isSettled(), 'it comes to rest')
      expect(cluster.leaders()).toHaveLength(1)
      expect(cluster.view().leaderEpoch).toBe(view.leaderEpoch)
      await load.judge()
    }
  })

  it('an owner that was frozen finds its shards with others', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const load = await Load.on(cluster)
    const leader = cluster.leader()
    const frozen = cluster.live.find((one) => one !== leader)!
    const before = cluster.served()
    frozen.freeze()
    await cluster.settle(FAILOVER_MS)
    const view = cluster.view()
    expect(view.owners).not.toContain(frozen.name)
    frozen.thaw()
    await cluster.until(() => cluster.isSettled(), 'it comes to rest')
    expect(cluster.served()).not.toEqual(before)
    await load.judge()
    judgeJournals(cluster)
  })

  it('what was slow for a moment is not taken for dead by who stood still', async () => {
    const cluster = new Cluster()
    await cluster.started(ABC)
    const sinceMs = cluster.clock.monotonic()
    for (const name of ABC) cluster.at(name).freeze()
    await cluster.settle(30_000)
    for (const name of ABC) cluster.at(name).thaw()
    await cluster.settle(3_000)
    // Another may lead by then, and writes a view of its own.
    const views = cluster.live.flatMap((node) => node.said('info', 'a new view'))
    for (const { fields, atMs } of views) {
      if (atMs >= sinceMs) expect(fields).toMatchObject({ members: ABC })
    }
    expect(cluster.isSettled()).toBe(true)
  })
})
