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
import { ViewMemory } from '../../src/cluster/view.ts'
import { Views } from '../../src/cluster/views.ts'
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
  const views = new Views({
    ...{ clock, limits, shardCount, failed: fail },
    log: silentLog,
    registry: new MemoryRegistry({ clock }),
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
  return { keep, ask, clock }
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
