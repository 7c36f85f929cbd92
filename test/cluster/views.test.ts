/** Views: their bytes, their order, and registries that show old ones. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { DEFAULT_CLUSTER_LIMITS } from '../../src/cluster/limits.ts'
import {
  decodeView,
  encodeView,
  type View,
  ViewMemory,
  viewNumber,
} from '../../src/cluster/view.ts'
import { Views } from '../../src/cluster/views.ts'
import type { Registry } from '../../src/ports/index.ts'
import { pack, unpack } from '../../src/protocol/index.ts'
import { nodeKey } from '../../src/shard/index.ts'
import { Load } from './load.ts'
import { Cluster } from './nodes.ts'

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const owner = fc.option(name)
const SHARDS = 3
const perShard = <T>(one: fc.Arbitrary<T>) =>
  fc.array(one, { minLength: SHARDS, maxLength: SHARDS })
const view: fc.Arbitrary<View> = fc.record({
  leaderEpoch: fc.integer({ min: 1, max: 2 ** 30 }),
  version: fc.integer({ min: 1, max: 2 ** 20 - 1 }),
  members: fc.array(
    fc.record({
      name,
      weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
      zone: fc.option(name),
      leaving: fc.boolean(),
    }),
    { maxLength: 4 },
  ),
  owners: perShard(owner),
  standbys: perShard(owner),
  former: perShard(fc.array(fc.record({ name, until: fc.nat() }), { maxLength: 2 })),
  needs: perShard(
    fc.uniqueArray(fc.tuple(name, fc.nat()), { selector: ([machine]) => machine, maxLength: 2 }),
  ).map((lists) => lists.map((pairs) => new Map(pairs))),
  unhosted: fc.uniqueArray(name, { maxLength: 2 }),
  wishes: fc.record({
    drains: fc.array(fc.record({ node: name, by: fc.string(), at: fc.nat() }), { maxLength: 2 }),
    moves: fc.array(
      fc.record({
        shard: fc.integer({ min: 0, max: SHARDS - 1 }),
        to: name,
        isPinned: fc.boolean(),
        by: fc.string(),
        at: fc.nat(),
      }),
      { maxLength: 2 },
    ),
  }),
})

const first: View = {
  leaderEpoch: 1,
  version: 2,
  members: [{ name: 'a', weight: 1, zone: null, leaving: false }],
  owners: ['a', 'a', null],
  standbys: [null, null, null],
  former: [[], [{ name: 'b', until: 7 }], []],
  needs: [new Map(), new Map([['m', 2]]), new Map()],
  unhosted: ['n'],
  wishes: { drains: [{ node: 'a', by: 'op', at: 5 }], moves: [] },
}

async function registered(cluster: Cluster): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined
  cluster.registry.get('view', (outcome) => {
    if (outcome.kind === 'found') bytes = outcome.value
  })
  await cluster.settle()
  return bytes!
}

const numberOf = (bytes: Uint8Array, shards = 8) => viewNumber(decodeView(bytes, shards))

describe('a view', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(view, (value) => {
        expect(decodeView(encodeView(value), SHARDS)).toEqual(value)
      }),
    )
  })

  it('is ordered by the epoch of its leader, then by its version', () => {
    fc.assert(
      fc.property(view, view, (a, b) => {
        const byEpoch = a.leaderEpoch - b.leaderEpoch || a.version - b.version
        expect(Math.sign(viewNumber(a) - viewNumber(b))).toBe(Math.sign(byEpoch))
      }),
    )
  })

  it('is refused when any part of it is not what it should be', () => {
    const good = unpack(encodeView(first)) as unknown[]
    const wrong: [at: number, value: unknown][] = [
      ...([
        [0, 1],
        [1, 0],
        [1, '1'],
        [2, -1],
        [2, 2 ** 20],
        [3, 'a'],
      ] as [number, unknown][]),
      ...([
        [4, ['a']],
        [4, [1, 2, 3]],
        [4, ['a.b', null, null]],
        [5, []],
      ] as [number, unknown][]),
      ...([
        [6, []],
        [6, [[], ['b'], []]],
        [6, [[], [['b', 'x']], []]],
        [7, undefined],
        [7, [[[]], [0, 0]]],
        [7, [[[]], [0, 0, 1]]],
        [7, [[[['m', 'x']]], [0, 0, 0]]],
        [8, undefined],
        [8, [1]],
        [9, undefined],
        [9, [[]]],
        [9, [[['a', 'op']], []]],
        [9, [[['a.b', 'op', 5]], []]],
        [9, [[], [[SHARDS, 'a', false, 'op', 5]]]],
        [9, [[], [[0, 'a.b', false, 'op', 5]]]],
        [9, [[], [[0, 'a', false, 7, 5]]]],
      ] as [number, unknown][]),
      [3, [['a', -1, null, false]]],
      [3, [['a', 1, 5, false]]],
      [3, [['', 1, null, false]]],
    ]
    for (const [at, value] of wrong) {
      const bytes = pack(good.map((field, index) => (index === at ? value : field)))
      expect(() => decodeView(bytes, SHARDS), `${at}: ${JSON.stringify(value)}`).toThrow(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
    expect(() => decodeView(encodeView(first), 4)).toThrow()
    expect(() => decodeView(Uint8Array.of(0xc1), SHARDS)).toThrow()
  })

  it('is remembered, the highest only, beyond a crash', async () => {
    const clock = new VirtualClock()
    const store = new MemoryStore({ clock })
    const memory = new ViewMemory(store, SHARDS, silentLog)
    const fail = (why: string) => {
      throw new Error(why)
    }
    const second = { ...first, leaderEpoch: 2, version: 1 }
    expect(memory.take(second, fail)).toBe(true)
    expect(memory.take({ ...first, version: 999 }, fail), 'an older one').toBe(false)
    expect(memory.take({ ...second, owners: [null, null, null] }, fail), 'the same').toBe(false)
    await clock.settle()
    const again = new ViewMemory(store.crash(), SHARDS, silentLog)
    expect(again.view).toEqual(second)
    expect(again.take({ ...first, version: 999 }, fail)).toBe(false)
    store.crash().get(nodeKey('view'))
  })
})

describe('a node that reads views', () => {
  const REGISTRY: Registry = {
    claim: () => {},
    put: () => {},
    get: (_key, done) => done({ kind: 'found', value: encodeView(first) }),
    list: () => {},
    remove: () => {},
    watch: () => ({ stop: () => {} }),
  }
  function viewsWith(changed: (view: View) => void) {
    const clock = new VirtualClock()
    const errors: object[] = []
    const log = { ...silentLog, error: (fields: object) => void errors.push(fields) }
    const memory = new ViewMemory(new MemoryStore({ clock }), SHARDS, log)
    const failed = (why: string) => {
      throw new Error(why)
    }
    const deps = { clock, log, memory, changed, failed, limits: DEFAULT_CLUSTER_LIMITS }
    return { views: new Views({ ...deps, registry: REGISTRY, shardCount: SHARDS }), errors }
  }

  it('takes no failure of what follows from a view for one of the view', () => {
    const { views, errors } = viewsWith(() => {
      throw new Error('this cannot be')
    })
    expect(() => views.read()).toThrow('this cannot be')
    expect(errors).toEqual([])
    expect(views.shown).toBe(viewNumber(first))
  })

  it('goes by none any more once it has stopped', () => {
    const taken: View[] = []
    const { views } = viewsWith((one) => taken.push(one))
    views.read()
    const known = taken.length
    views.stop()
    views.take({ ...first, version: 9 })
    expect([taken.length, views.number]).toEqual([known, viewNumber(first)])
  })
})

describe('a registry that shows an old view', () => {
  it('moves nobody, and the leader writes it over', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const old = await registered(cluster)
    cluster.node('c').start()
    await cluster.until(() => cluster.isSettled(), 'c joins')
    const now = numberOf(await registered(cluster))
    const served = cluster.served()
    expect(now).toBeGreaterThan(numberOf(old))
    cluster.registry.put('view', old, () => {})
    await cluster.settle(10)
    expect(numberOf(await registered(cluster))).toBe(numberOf(old))
    await cluster.settle(5_000)
    expect(cluster.served()).toEqual(served)
    for (const { node } of cluster.live) expect(node.status().viewNumber).toBe(now)
    expect(numberOf(await registered(cluster))).toBe(now)
  })

  it('and bytes that are no view at all', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const now = numberOf(await registered(cluster))
    cluster.registry.put('view', pack('nonsense'), () => {})
    await cluster.settle(10)
    const errors = cluster.live.flatMap((node) => node.said('error', 'cannot be read'))
    expect(errors).toHaveLength(2)
    await cluster.settle(5_000)
    expect(numberOf(await registered(cluster))).toBe(now)
    expect(cluster.isServed()).toBe(true)
  })

  it('does not fool a node that has been restarted', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const old = await registered(cluster)
    cluster.node('c').start()
    await cluster.until(() => cluster.isSettled(), 'c joins')
    const { viewNumber: now } = cluster.at('b').node.status()
    const b = cluster.at('b')
    b.staleView = old
    b.restart()
    await cluster.settle(1_000)
    expect(b.node.status().viewNumber).toBe(now)
  })

  it('does not fool a new leader: it waits for the view that members have seen', async () => {
    const cluster = new Cluster()
    const eager = { leaderSilenceMs: 5_000, leaderJitterMs: 1 }
    // They notice later than c that the leader is gone.
    const limits = { leaderSilenceMs: 9_000, memberGoneMs: 4_000 }
    for (const at of ['a', 'b']) cluster.node(at, { limits }).start()
    await cluster.until(() => cluster.isSettled(), 'they come up')
    const c = cluster.node('c', { limits: eager })
    c.start()
    await cluster.until(() => cluster.isSettled(), 'c joins')
    const old = await registered(cluster)
    const d = cluster.node('d', { limits })
    c.staleView = old
    d.start()
    const isGiven = () => cluster.view().owners.filter((one) => one === 'd').length === 2
    await cluster.until(isGiven, 'd has its share')
    await cluster.settle(3_000)
    expect(c.node.status().viewNumber).toBe(numberOf(old))
    const before = cluster.view()
    cluster.leader().kill()
    await cluster.until(() => cluster.leaders().includes('c'), 'c leads')
    await cluster.settle(5_000)
    expect(c.node.status().viewNumber, 'it does not plan yet').toBe(numberOf(old))
    c.staleView = undefined
    const { leaderEpoch } = before
    await cluster.until(() => cluster.view().leaderEpoch > leaderEpoch, 'it goes on from there')
    const kept = cluster.view().owners.filter((one, shard) => one === before.owners[shard])
    expect(kept).toHaveLength(6)
  })

  it('for ever: after a while the leader goes on from what it has', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const load = await Load.on(cluster)
    const old = await registered(cluster)
    const leader = cluster.leader()
    cluster.registry.put('view', old, () => {})
    const seen = { ...decodeView(old, 8), version: 500 }
    // A member says that it has seen a view which is gone with its leader.
    const [one] = cluster.live.filter((node) => node !== leader)
    one!.kill()
    const key = nodeKey('view')
    one!.store.write({ writes: [[key, encodeView(seen)]], failed: () => {} })
    await cluster.settle()
    one!.restart()
    leader.kill()
    await cluster.until(() => cluster.isServed(), 'it goes on', 60_000)
    await cluster.until(() => cluster.isSettled(), 'it comes to rest')
    await load.judge()
  })
})

describe('a registry that does not answer', () => {
  it.each(['put', 'get', 'list', 'claim'] as const)('%s: a node joins all the same', async (on) => {
    for (const happened of [true, false]) {
      const cluster = new Cluster()
      cluster.registry.failNext({ on, happened, count: 3 })
      await cluster.started(['a', 'b'])
      const load = await Load.on(cluster)
      cluster.registry.failNext({ on, happened, count: 7 })
      cluster.node('c').start()
      await cluster.until(() => cluster.isSettled(), 'c joins')
      await load.judge()
      expect(load.failures).toEqual([])
    }
  })
})
