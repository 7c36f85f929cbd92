/** Following the journal of an owner, and what becomes of a journal that goes back. */
import { describe, expect, it } from 'vitest'
import {
  MemoryCheckpoints,
  MemoryJournal,
  type MemoryJournalServer,
  MemoryStore,
  type VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { DEFAULT_CLUSTER_LIMITS as limits } from '../../src/cluster/limits.ts'
import { Standby } from '../../src/cluster/standby.ts'
import type { Log } from '../../src/ports/index.ts'
import { pack } from '../../src/protocol/index.ts'
import { actorKey, loadingKey } from '../../src/shard/keys.ts'
import { READ_TURN_LIMITS, ReadTurns } from '../../src/shard/read-turns.ts'
import { appliedOf, bytesOf, quarantineOf, rowsOf, tailOf } from '../shard/journaled-judge.ts'
import { type JournaledNode, Nodes, REAL, SHARD } from '../shard/journaled-nodes.ts'
import { started } from '../shard/journaled-ownership.ts'
import { writeJournal } from '../shard/long-journal.ts'

const A = 'counter/a'

class Follower {
  readonly clock: VirtualClock
  readonly store: MemoryStore
  readonly journal: MemoryJournal
  readonly checkpoints: MemoryCheckpoints
  readonly errors: object[] = []
  readonly failures: string[] = []
  readonly parted: string[] = []
  standby!: Standby
  readonly turns: ReadTurns
  changes = 0

  constructor(clock: VirtualClock, server: MemoryJournalServer, store?: MemoryStore) {
    this.clock = clock
    this.store = store ?? new MemoryStore({ clock })
    this.journal = new MemoryJournal({ clock, server, latencyMs: () => 10 })
    this.checkpoints = new MemoryCheckpoints({ clock })
    this.turns = new ReadTurns({ clock })
    this.start()
  }

  start(): void {
    const nothing = () => {}
    const error = (fields: object) => void this.errors.push(fields)
    const log: Log = { debug: nothing, info: nothing, warn: nothing, error, child: () => log }
    const { clock, store, journal } = this
    this.standby = new Standby({
      ...{ shard: SHARD, clock, store, journal, log, limits, turns: this.turns },
      checkpoints: this.checkpoints,
      changed: () => {
        this.changes += 1
      },
      parted: (why) => void this.parted.push(why),
      failed: (why) => void this.failures.push(why),
    })
    this.standby.start()
  }

  stop(): void {
    this.standby.stop(() => {})
  }
}

async function followed(notes = 3): Promise<{ nodes: Nodes; a: JournaledNode; f: Follower }> {
  const { nodes, a } = await started(REAL)
  for (let n = 0; n < notes; n++) expect(await a.answer(a.note(A, String(n)))).toBe('ok')
  const f = new Follower(nodes.clock, nodes.server)
  expect(f.standby.lag, 'before it has looked').toBeUndefined()
  await nodes.settle(2_000)
  return { nodes, a, f }
}

describe('a standby', () => {
  it('has what its owner has, raw records included', async () => {
    const { nodes, a, f } = await followed(600)
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
    expect(tailOf(f.store)).toEqual(tailOf(a.store))
    expect([f.standby.lag, appliedOf(f.store)]).toEqual([0, 602])
    expect(await a.answer(a.note(A, 'more'))).toBe('ok')
    await nodes.settle(1_000)
    expect([f.standby.lag, appliedOf(f.store)]).toEqual([0, 603])
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
  })

  it('takes batches of a hundred thousand rows together', async () => {
    const nodes = new Nodes()
    writeJournal(nodes.server, 300, 600)
    const f = new Follower(nodes.clock, nodes.server)
    await nodes.settle(2_000)
    expect([f.standby.lag, rowsOf(f.store).length]).toEqual([0, 180_000])
  })

  it('says how far behind it is, and goes on where it stopped', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    for (let n = 0; n < 100; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    f.start()
    // Each question takes 10 ms: the end, the newest slot that it has, and then what follows.
    await nodes.settle(15)
    expect(f.standby.lag).toBeUndefined()
    await nodes.settle(10)
    expect(f.standby.lag).toBe(100)
    await nodes.settle(1_000)
    expect(f.standby.lag).toBe(0)
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
  })

  it('is near as soon as it has nearly everything, and that is said once', async () => {
    const { nodes, a, f } = await followed()
    expect(f.changes).toBe(1)
    for (let n = 0; n < 100; n++) {
      expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
      await nodes.settle(50)
    }
    await nodes.settle(1_000)
    expect([f.standby.lag, f.changes], 'not with every slot').toEqual([0, 1])
  })

  it('that has much to read waits for its turn, and gives it back', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    for (let n = 0; n < 600; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    const goOn = f.turns.hold()
    f.start()
    await nodes.settle(1_000)
    expect(f.standby.lag).toBe(600)
    goOn()
    await nodes.settle(2_000)
    expect(f.standby.lag).toBe(0)
    const turns = Array.from({ length: READ_TURN_LIMITS.atOnce }, () => {
      const turn = { hasBegun: false }
      f.turns.enter('follow', () => {
        turn.hasBegun = true
      })
      return turn
    })
    await nodes.settle(1)
    expect(turns.every(({ hasBegun }) => hasBegun)).toBe(true)
  })

  it('that was near and has much to read now is not near while it waits', async () => {
    const { nodes, a, f } = await followed()
    expect(f.standby.lag).toBe(0)
    f.turns.hold()
    f.journal.hold()
    for (let n = 0; n < 600; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    f.journal.release()
    await nodes.settle(1_000)
    expect([f.standby.lag, f.changes], 'and that is said').toEqual([600, 2])
    await nodes.settle(2 * READ_TURN_LIMITS.holdMs)
    expect([f.standby.lag, f.changes]).toEqual([0, 3])
  })

  it('that was near and has a page to read goes on being near', async () => {
    const { nodes, a, f } = await followed()
    f.turns.hold()
    f.journal.hold()
    for (let n = 0; n < 200; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    f.journal.release()
    await nodes.settle(1_000)
    expect([f.standby.lag, f.changes]).toEqual([0, 1])
  })

  it('does not say that it is near, or far, while the journal is silent', async () => {
    const { nodes, a, f } = await followed()
    f.journal.hold()
    await nodes.settle(limits.tailRequestMs + 2_000)
    expect([f.standby.lag, f.changes], 'and that is said').toEqual([undefined, 2])
    f.journal.release()
    await nodes.settle(1_000)
    expect([f.standby.lag, f.changes]).toEqual([0, 3])
    f.stop()
    for (let n = 0; n < 600; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    f.start()
    // Nobody answers what it reads, once it knows how much that is.
    await nodes.settle(25)
    expect(f.standby.lag).toBe(600)
    f.journal.hold()
    await nodes.settle(limits.tailRequestMs)
    expect(f.standby.lag).toBeUndefined()
    f.journal.release()
    await nodes.settle(2_000)
    expect(f.standby.lag).toBe(0)
  })

  it('that stops while the journal is silent says nothing any more', async () => {
    const { nodes, f } = await followed()
    f.journal.hold()
    await nodes.settle(2_000)
    f.stop()
    await nodes.settle(2 * limits.tailRequestMs)
    expect(f.changes).toBe(1)
  })

  it('that loads a checkpoint is as far as it was, but not near', async () => {
    const { nodes, a, f } = await followed()
    const fresh = new Follower(nodes.clock, nodes.server)
    for (const { checkpoints, journal } of [f, fresh]) {
      // None is shown, and nobody says so.
      checkpoints.list = () => {}
      journal.hold()
    }
    const last = appliedOf(f.store) + 100
    for (let n = 0; n < 100; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    for (let slot = 1; slot <= last - 50; slot++) nodes.server.remove(SHARD, slot)
    f.journal.release()
    fresh.journal.release()
    await nodes.settle(2_000)
    expect([f.standby.lag, fresh.standby.lag]).toEqual([undefined, last])
    expect([...f.errors, ...fresh.errors]).toEqual([])
  })

  it('that is stopped while it waits wants no turn any more', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    for (let n = 0; n < 100; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    f.turns.hold()
    f.start()
    await nodes.settle(1_000)
    f.stop()
    await nodes.settle(2 * READ_TURN_LIMITS.holdMs)
    expect([f.standby.lag, appliedOf(f.store)]).toEqual([100, 5])
  })

  it('stops only when the store has taken what was under way', async () => {
    const { nodes, a, f } = await followed()
    for (let n = 0; n < 10; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    const before = appliedOf(f.store)
    for (let round = 0; round < 2_000; round++) {
      await nodes.settle(1)
      // Between the call and the deferred write.
      let stopped: number | undefined
      const write = f.store.write.bind(f.store)
      f.store.write = (transaction) => {
        write(transaction)
        f.standby.stop(() => {
          stopped = appliedOf(f.store)
        })
        expect(stopped).toBeUndefined()
        f.store.write = write
      }
      await nodes.settle(1_000)
      if (stopped === undefined) continue
      expect(stopped).toBeGreaterThan(before)
      return
    }
    throw new Error('it wrote nothing')
  })

  it('waits while the journal is shorter than its store, and goes on when it is written again', async () => {
    const { nodes, a, f } = await followed()
    const before = bytesOf(nodes.server)
    nodes.loseLast(2)
    await nodes.settle(2_000)
    expect(f.standby.lag).toBeUndefined()
    expect(f.errors).toEqual([])
    await a.answer(a.client.get(A, { timeoutMs: 100 }))
    await a.serve()
    await nodes.settle(2_000)
    expect(bytesOf(nodes.server).slice(0, before.length)).toEqual(before)
    expect(f.standby.lag).toBe(0)
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
  })

  it('parts with a journal that holds something else than it has applied', async () => {
    const { nodes, a, f } = await followed()
    a.kill()
    nodes.loseLast(2)
    // Another goes on without asking anybody.
    const b = await nodes.owner('b')
    for (let n = 0; n < 5; n++) expect(await b.answer(b.note(A, `b${n}`))).toBe('ok')
    const rows = rowsOf(f.store)
    await nodes.settle(5_000)
    expect(f.standby.lag, 'nobody takes it for ready').toBeUndefined()
    expect(f.errors).toEqual([{ shard: SHARD, why: expect.stringContaining('another record') }])
    expect(f.parted).toEqual([expect.stringContaining('another record')])
    expect(rowsOf(f.store), 'it is left as it is').toEqual(rows)
  })

  it('checks the chain within the same copy as well', async () => {
    const { nodes, a, f } = await followed()
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    const slots = nodes.server.slots(SHARD)
    const stray = slots[2]!.record
    const at = slots.at(-1)!
    nodes.server.write({
      shard: SHARD,
      slot: at.slot + 1,
      record: stray,
      afterSequence: at.sequence,
    })
    await nodes.settle(3_000)
    expect(f.errors).toEqual([{ shard: SHARD, why: expect.stringContaining('chain') }])
  })

  it('does not jump over slots that were removed', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    for (let n = 0; n < 4; n++) expect(await a.answer(a.note(A, `x${n}`))).toBe('ok')
    const last = nodes.server.slots(SHARD).at(-1)!.slot
    nodes.server.remove(SHARD, last - 1)
    f.start()
    await nodes.settle(3_000)
    expect(f.errors).toHaveLength(1)
    expect(f.standby.lag).toBeUndefined()
  })

  it('goes on when its last slot is gone and the next one names it', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    nodes.server.remove(SHARD, appliedOf(f.store) - 1)
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    nodes.server.remove(SHARD, appliedOf(f.store))
    f.start()
    await nodes.settle(3_000)
    expect([f.errors, f.standby.lag]).toEqual([[], 0])
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
  })

  it('begins again where a checkpoint was half loaded', async () => {
    const { nodes, a, f } = await followed()
    f.stop()
    const half = [
      [loadingKey(SHARD), pack(true)],
      [actorKey(SHARD, 'counter/half'), pack('half')],
    ] as const
    f.store.write({ writes: half, failed: () => {} })
    await nodes.settle()
    f.start()
    await nodes.settle(3_000)
    expect([f.errors, f.standby.lag]).toEqual([[], 0])
    expect(rowsOf(f.store)).toEqual(rowsOf(a.store))
    expect(f.store.get(loadingKey(SHARD))).toBeUndefined()
  })

  it('a candidate of its own past is dropped or set aside when the slot holds another record', async () => {
    const { nodes, a } = await started(REAL)
    a.connection.hold()
    const noted = a.answer(a.note(A, 'never', undefined, 100))
    await nodes.settle(5)
    a.kill()
    a.connection.release('lose')
    await nodes.settle(200)
    expect(['no-answer', 'unavailable']).toContain(await noted)
    expect(tailOf(a.store)).toEqual([1, 2, 3])
    const b = await nodes.owner('b')
    expect(await b.answer(b.note(A, 'b'))).toBe('ok')
    const f = new Follower(nodes.clock, nodes.server, a.store)
    await nodes.settle(2_000)
    expect(rowsOf(f.store)).toEqual(rowsOf(b.store))
    expect(quarantineOf(f.store)).toEqual([])
    expect(f.standby.lag).toBe(0)
  })

  it('a disk that is full is told', async () => {
    const { nodes, a, f } = await followed()
    f.store.failNext('full')
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    await nodes.settle(2_000)
    expect(f.failures).toHaveLength(1)
  })
})
