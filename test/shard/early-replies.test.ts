/** Replies leave once slot and tail are there; what reads or steps waits for the rows. */
import { describe, expect, it } from 'vitest'
import type { Store, StoreTransaction } from '../../src/ports/index.ts'
import type { Command, Outcome } from '../../src/protocol/index.ts'
import { appliedKey, tailKey } from '../../src/shard/keys.ts'
import { type JournaledNode, Nodes, SHARD } from './journaled-nodes.ts'

/** Holds back what writes to a key, and everything behind it, until it is let go. */
function holding(store: Store, isHeld: (key: Uint8Array) => boolean): { letGo: () => void } {
  const write = store.write.bind(store)
  let held: StoreTransaction[] | undefined
  store.write = (transaction) => {
    if (!held && transaction.writes.some(([key]) => isHeld(key))) held = []
    if (held) held.push(transaction)
    else write(transaction)
  }
  return {
    letGo: () => {
      store.write = write
      for (const transaction of held ?? []) write(transaction)
    },
  }
}

const isSame = (key: Uint8Array) => (other: Uint8Array) => Buffer.compare(key, other) === 0

async function scene(): Promise<{ nodes: Nodes; a: JournaledNode; replies: string[] }> {
  const nodes = new Nodes()
  const a = await nodes.owner('a')
  await nodes.run(a.client.start('counter/x'))
  return { nodes, a, replies: [] }
}

it('replies before the rows are applied, and goes on only when they are', async () => {
  const { nodes, a, replies } = await scene()
  const { letGo } = holding(a.store, isSame(appliedKey(SHARD)))
  await nodes.run(a.note('counter/x', 'first'))
  const second = a.note('counter/x', 'second').then(() => replies.push('second'))
  const read = a.seen('counter/x').then((seen) => replies.push(seen.join()))
  await nodes.settle(200)
  expect(replies).toEqual([])
  letGo()
  await nodes.run(Promise.all([second, read]))
  expect(replies).toEqual(['second', 'first,second'])
})

it('answers a list of the same batch from its rows, once they are there', async () => {
  const { nodes, a, replies } = await scene()
  const { letGo } = holding(a.store, isSame(appliedKey(SHARD)))
  const started = a.client.start('counter/y').then(() => replies.push('started'))
  const listed = a.client
    .list({ filter: { machine: 'counter' }, sort: { by: 'id' } })
    .then(({ rows }) => {
      replies.push(rows.map(({ address }) => address).join())
    })
  await nodes.settle(200)
  expect(replies).toEqual(['started'])
  letGo()
  await nodes.run(Promise.all([started, listed]))
  expect(replies).toEqual(['started', 'counter/x,counter/y'])
})

it('does not reply before the tail is flushed', async () => {
  const { nodes, a, replies } = await scene()
  const slot = a.commit.last!.slot + 1
  const { letGo } = holding(a.store, isSame(tailKey(SHARD, slot)))
  const first = a.note('counter/x', 'first').then(() => replies.push('first'))
  await nodes.settle(200)
  expect(replies).toEqual([])
  letGo()
  await nodes.run(first)
})

it('loses nothing that it replied to when it dies before the rows are applied', async () => {
  const { nodes, a } = await scene()
  holding(a.store, isSame(appliedKey(SHARD)))
  await nodes.run(a.note('counter/x', 'first'))
  await a.restart()
  expect(await nodes.run(a.seen('counter/x'))).toEqual(['first'])
})

it('counts what a batch has answered, although that was told before', async () => {
  const { nodes, a } = await scene()
  const before = a.engine.status().commits
  await nodes.run(a.note('counter/x', 'first'))
  await nodes.settle(20)
  const { count, commands } = a.engine.status().commits
  expect([count - before.count, commands - before.commands]).toEqual([1, 1])
})

describe('an owner that ends before the rows of what is certain are applied', () => {
  /** A note and a count in one batch, and another copy of the note behind it. */
  async function ended(how: (a: JournaledNode) => void): Promise<Record<string, string>> {
    const { nodes, a } = await scene()
    const told: Record<string, string> = {}
    const tell = (who: string) => (outcome: Outcome) => {
      told[who] = 'ok' in outcome ? 'ok' : outcome.error.code
    }
    const command: Command = {
      ...{ op: 'send', event: { type: 'NOTE', text: 'once' } },
      ...{ address: 'counter/x', id: `${nodes.clock.now()}-once` },
    }
    const { letGo } = holding(a.store, isSame(appliedKey(SHARD)))
    a.engine.submit(command, 10, tell('first'))
    a.engine.query({ kind: 'count', filter: {} }, tell('count'))
    await nodes.settle(200)
    expect(told).toEqual({ first: 'ok' })
    a.engine.submit(command, 10, tell('copy'))
    a.engine.submit({ ...command, id: `${nodes.clock.now()}-new` }, 10, tell('new'))
    how(a)
    letGo()
    await nodes.settle(200)
    return told
  }

  it('tells a second copy what the first was told, and readers to ask elsewhere', async () => {
    const told = await ended((a) => a.engine.stop())
    expect(told).toEqual({ first: 'ok', copy: 'ok', count: 'unavailable', new: 'unavailable' })
  })

  it('and as it hands over it waits for them', async () => {
    const told = await ended((a) => a.engine.letGo('b', () => {}))
    expect(told).toEqual({ first: 'ok', copy: 'ok', count: 'ok', new: 'moved' })
  })
})

describe('an owner that ends while it is in doubt what becomes of its batch', () => {
  it('tells readers to ask elsewhere, and nobody what may have happened', async () => {
    const { nodes, a } = await scene()
    const told: Record<string, string> = {}
    const tell = (who: string) => (outcome: Outcome) => {
      told[who] = 'ok' in outcome ? 'ok' : outcome.error.code
    }
    const id = `${nodes.clock.now()}-once`
    const event = { type: 'NOTE', text: 'once' }
    const slot = a.commit.last!.slot + 1
    holding(a.store, isSame(tailKey(SHARD, slot)))
    a.engine.submit({ op: 'send', address: 'counter/x', event, id }, 10, tell('note'))
    a.engine.query({ kind: 'count', filter: {} }, tell('count'))
    await nodes.settle(200)
    expect(told).toEqual({})
    a.engine.stop()
    await nodes.settle(200)
    expect(told).toEqual({ count: 'unavailable' })
  })

  it('refuses all of a batch that has written nothing', async () => {
    const { nodes, a } = await scene()
    const told: string[] = []
    a.line.end = () => {}
    const get: Command = { op: 'get', address: 'counter/x' }
    a.engine.submit(get, 10, (outcome) => told.push('ok' in outcome ? 'ok' : outcome.error.code))
    await nodes.settle(200)
    expect(told).toEqual([])
    a.engine.stop()
    await nodes.settle(200)
    expect(told).toEqual(['unavailable'])
  })
})
