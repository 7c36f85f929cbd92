/** Giving a tail: what was under way when a member let go is part of it. */
import { expect, it } from 'vitest'
import {
  MemoryRegistry,
  MemoryStore,
  MemoryTransport,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { DEFAULT_CLUSTER_LIMITS as limits } from '../../src/cluster/limits.ts'
import { Tails } from '../../src/cluster/tails.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import { encodeView, type View, ViewMemory } from '../../src/cluster/view.ts'
import { VIEW_KEY, Views } from '../../src/cluster/views.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'
import { pack, subjectsOf, unpack } from '../../src/protocol/index.ts'
import { tailKey } from '../../src/shard/keys.ts'

function member() {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock })
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  const shardCount = 2
  const fail = (why: string) => {
    throw new Error(why)
  }
  const registry = new MemoryRegistry({ clock })
  const views = new Views({
    ...{ clock, limits, shardCount, failed: fail },
    ...{ log: silentLog, registry },
    memory: new ViewMemory(store, shardCount, silentLog),
    changed: () => {},
  })
  const keep = (slot: number) =>
    store.write({ writes: [[tailKey(1, slot), pack(slot)]], failed: () => {} })
  const tails = new Tails({
    ...{ name: 'a', clock, store, transport, subjects, limits, shardCount, views, failed: fail },
    log: silentLog,
    // As an owner does whose slot is under way: its row is on its way to the store.
    yieldTo: () => keep(2),
  })
  tails.start()
  const ask = async (request: unknown) => {
    let answer: unknown
    const payload = pack(request)
    transport.request({ subject: subjects.tail('a'), payload, timeoutMs: 100 }, (outcome) => {
      answer = outcome.kind === 'reply' ? unpack(outcome.payload) : outcome.kind
    })
    await clock.settle(200)
    return answer
  }
  const view: View = {
    ...{ leaderEpoch: 1, version: 1, owners: [null, null], standbys: [null, null] },
    members: ['a', 'b', 'c'].map((name) => ({ name, weight: 1, zone: null, leaving: false })),
    ...{ former: [[], []], needs: [NO_VERSIONS, NO_VERSIONS], unhosted: [], wishes: NO_WISHES },
  }
  /** Another member, which answers late. */
  const answerAfter = (name: string, delayMs: number) =>
    transport.subscribe(subjects.tail(name), {}, ({ reply }) => {
      clock.after(delayMs, () => reply?.(pack(['rows', 7, [], true])))
    })
  const know = () => {
    views.take(view)
    registry.put(VIEW_KEY, encodeView(view), () => {})
  }
  /** The registry has a newer view, of which nothing was heard yet. */
  const change = (newer: Partial<View>) =>
    registry.put(VIEW_KEY, encodeView({ ...view, version: 2, ...newer }), () => {})
  return { keep, ask, clock, tails, answerAfter, know, change }
}

it('a tail holds what was on its way to the store', async () => {
  const { keep, ask, clock } = member()
  keep(1)
  await clock.settle()
  const rows = [1, 2].map((slot) => [slot, Buffer.from(pack(slot))])
  expect(await ask([1, 1, 5])).toEqual(['rows', 0, rows, true])
  expect(await ask([1, 2, 5])).toEqual(['rows', 0, rows.slice(1), true])
  expect(await ask([0, 1, 5]), 'of that shard only').toEqual(['rows', 0, [], true])
})

it.each([[[2, 1, 5]], [[1, -1, 5]], [[1, 1]], ['x'], [{}]])(
  'a request that cannot be read is not answered: %j',
  async (request) => {
    expect(await member().ask(request)).toBe('timeout')
  },
)

it('asks who is named by the view that the registry has now', async () => {
  const { clock, tails, answerAfter, know, change } = member()
  know()
  answerAfter('b', 10)
  answerAfter('c', 10)
  change({ former: [[], [{ name: 'd', until: 7 }]] })
  let nodes: string[] | undefined
  tails.collect({ shard: 1, from: 1, claimants: [], heard: [] }, (some) => {
    nodes = some.map(({ node }) => node)
  })
  await clock.settle(1_000)
  expect([nodes, tails.waitsFor(1)]).toEqual([undefined, ['d']])
  answerAfter('d', 10)
  await clock.settle(5_000)
  expect(nodes).toEqual(['b', 'c', 'd'])
})

it('asks who has claimed, whether or not a view names it', async () => {
  const { clock, tails, answerAfter, know } = member()
  know()
  for (const name of ['b', 'c', 'd']) answerAfter(name, 10)
  let nodes: string[] | undefined
  tails.collect({ shard: 1, from: 1, claimants: ['d', 'b'], heard: ['c'] }, (some) => {
    nodes = some.map(({ node }) => node)
  })
  await clock.settle(1_000)
  expect(nodes, 'but for who has answered before').toEqual(['b', 'd'])
})

it('says who was given up, and has not answered all the same', async () => {
  const { clock, tails, answerAfter, know } = member()
  know()
  answerAfter('b', 1_000)
  let collected: { nodes: string[]; givenUp: readonly string[] } | undefined
  const collect = () => {
    collected = undefined
    tails.collect({ shard: 1, from: 1, claimants: [], heard: [] }, (some, givenUp) => {
      collected = { nodes: some.map(({ node }) => node), givenUp }
    })
  }
  collect()
  await clock.settle(10)
  expect([tails.giveUp('b'), tails.giveUp('x')]).toEqual([[1], []])
  await clock.settle(2_000)
  expect([collected, tails.waitsFor(1)]).toEqual([undefined, ['c']])
  tails.giveUp('c')
  await clock.settle()
  expect(collected).toEqual({ nodes: ['b'], givenUp: ['c'] })
  collect()
  answerAfter('c', 10)
  await clock.settle(5_000)
  expect(collected, 'who was given up before is asked again').toMatchObject({ givenUp: [] })
})
