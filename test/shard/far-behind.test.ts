/** A store that is far behind when its node takes the shard: no more is held at once than fits. */
import { describe, expect, it } from 'vitest'
import { MemoryStore, VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Log, StoreRange, StoreRow, StoreWrite } from '../../src/ports/index.ts'
import { actorKey, TABLE, tailKey } from '../../src/shard/keys.ts'
import { ReadTurn, ReadTurns } from '../../src/shard/read-turns.ts'
import { Tail } from '../../src/shard/tail.ts'
import { A, noted, scene, written } from './checkpoint-scene.ts'
import { appliedOf, rowsOf, tailOf } from './journaled-judge.ts'
import { type JournaledNode, Nodes, SHARD } from './journaled-nodes.ts'
import { writeJournal } from './long-journal.ts'

const NOTES = 520
/** The claim and the actor. */
const SLOTS = NOTES + 2

const SLOW = { journal: { latencyMs: () => 1 } }

async function following({ nodes, store }: JournaledNode, applied: number): Promise<void> {
  for (let ms = 0; appliedOf(store) < applied && ms < 1_000; ms++) await nodes.settle(1)
}

/** How many bytes, and rows, are read of a store at once: between two of its writes. */
function watch(store: MemoryStore): { rowsMax: number; bytesMax: number } {
  const seen = { rowsMax: 0, bytesMax: 0 }
  let now = { rows: 0, bytes: 0 }
  const range = store.range.bind(store)
  store.range = function* (options: StoreRange): Generator<StoreRow> {
    for (const row of range(options)) {
      now.rows += 1
      now.bytes += row.value.length
      seen.rowsMax = Math.max(seen.rowsMax, now.rows)
      seen.bytesMax = Math.max(seen.bytesMax, now.bytes)
      yield row
    }
  }
  const write = store.write.bind(store)
  store.write = (transaction) => {
    now = { rows: 0, bytes: 0 }
    write(transaction)
  }
  return seen
}

describe('a taker that is far behind', () => {
  it('holds no more of the journal than a page', async () => {
    const { a, b } = await scene(NOTES)
    const read = b.line.read.bind(b.line)
    let heldMax = 0
    b.line.read = (shard, slot, done) => {
      // The newest is looked at before all others.
      if (slot < SLOTS) heldMax = Math.max(heldMax, slot - appliedOf(b.store))
      read(shard, slot, done)
    }
    await b.serve()
    expect(heldMax).toBe(256)
    expect(await b.seen(A)).toEqual(noted(NOTES))
    expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
    expect(tailOf(b.store)).toEqual(noted(SLOTS + 1).map(Number))
  })

  it('waits for its turn, and gives it back when it has the shard or is stopped', async () => {
    const { nodes } = await scene(NOTES)
    const turns = new ReadTurns({ clock: nodes.clock, atOnce: 1, turnMs: 60_000 })
    const other = new ReadTurn(turns, 'serve')
    other.take(() => {})
    const b = nodes.node('b', { commit: { turns } })
    b.open()
    await nodes.settle(1_000)
    expect([b.opened, appliedOf(b.store)]).toEqual(['no', 0])
    other.end()
    await b.opening()
    expect(b.opened).toBe('serves')
    const c = nodes.node('c', { commit: { turns }, ...SLOW })
    c.open(99)
    await following(c, 256)
    expect(appliedOf(c.store)).toBe(256)
    c.engine.stop()
    let isFree = false
    new ReadTurn(turns, 'serve').take(() => {
      isFree = true
    })
    await nodes.settle(1)
    expect(isFree).toBe(true)
  })

  it('waits for nobody when it is near', async () => {
    const { a, nodes } = await scene(20)
    const turns = new ReadTurns({ clock: nodes.clock, atOnce: 0 })
    const b = nodes.node('b', { commit: { turns } })
    await b.serve()
    expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
  })

  it('goes on where it was cut short', async () => {
    const { nodes } = await scene(NOTES)
    const b = nodes.node('slow', SLOW)
    for (const applied of [256, 512]) {
      b.open()
      await following(b, applied)
      b.kill()
      expect(appliedOf(b.store)).toBe(applied)
    }
    expect(nodes.server.slots(SHARD)).toHaveLength(SLOTS)
    await b.serve()
    expect(await b.seen(A)).toEqual(noted(NOTES))
  })

  it('touches the store no more once it is stopped', async () => {
    const { nodes } = await scene(NOTES)
    const b = nodes.node('slow', SLOW)
    b.open()
    const write = b.store.write.bind(b.store)
    b.store.write = (transaction) => {
      write(transaction)
      if (transaction.writes.length < 256) return
      b.engine.stop()
      b.store.get = () => {
        throw new Error('the store is closed')
      }
    }
    await nodes.settle(1_000)
    expect(b.stops).toMatchObject([{ kind: 'lost' }])
  })

  it('says that its disk is full', async () => {
    const { nodes } = await scene(NOTES)
    const b = nodes.node('slow', SLOW)
    b.open()
    await following(b, 256)
    b.store.failNext('full')
    await b.opening()
    await nodes.settle(1_000)
    expect(b.stops).toMatchObject([{ kind: 'failed' }])
    expect(nodes.server.slots(SHARD)).toHaveLength(SLOTS)
  })

  it('takes batches of a hundred thousand rows together', async () => {
    const nodes = new Nodes()
    writeJournal(nodes.server, 300, 600)
    const a = await nodes.owner('a')
    expect(a.store.count(Uint8Array.of(0, SHARD, TABLE.history), tailKey(SHARD, 0))).toBe(180_000)
  })
})

describe('what is dropped', () => {
  it('is not read, raw records least of all', () => {
    const clock = new VirtualClock()
    const store = new MemoryStore({ clock })
    const say = () => {}
    const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
    const slots = [...noted(2_000).map(Number), 1_000_000]
    const writes = slots.map((slot): StoreWrite => [tailKey(SHARD, slot), new Uint8Array(100)])
    store.write({ writes, failed: () => {} })
    return clock.settle(0).then(() => {
      const seen = watch(store)
      const tail = new Tail(SHARD, store, log)
      const keys = (to: number) => tail.upTo(to, 1_000).map((key) => Buffer.from(key))
      expect(keys(0)).toEqual([])
      expect(keys(3)).toEqual([1, 2, 3].map((slot) => tailKey(SHARD, slot)))
      expect(keys(1_500)).toHaveLength(1_000)
      expect(keys(1_500).at(-1)).toEqual(tailKey(SHARD, 1_000))
      expect(seen.rowsMax).toBeLessThan(10)
    })
  })

  it('goes part by part, by its bytes', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 7)
    const large = noted(40).map((n): StoreWrite => {
      return [actorKey(SHARD, `counter/${n}`), new Uint8Array(1_000_000)]
    })
    const small = noted(5_000).map((n): StoreWrite => {
      return [actorKey(SHARD, `counter/small-${n}`), new Uint8Array(1)]
    })
    b.store.write({ writes: [...large, ...small], failed: () => {} })
    await nodes.settle()
    const seen = watch(b.store)
    await b.serve()
    expect(await b.seen(A)).toEqual(noted(6))
    expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
    expect(seen.bytesMax).toBeLessThan(10_000_000)
    expect(seen.rowsMax).toBeLessThan(2_000)
  })
})
