/** Checkpoints, and a journal that changes while a store begins with one or a shard is taken. */
import { describe, expect, it } from 'vitest'
import type { MemoryCheckpoints } from '../../src/adapters/memory/index.ts'
import type { Log, StoreWrite } from '../../src/ports/index.ts'
import { hashBytes } from '../../src/protocol/index.ts'
import { EMPTY_DIGEST, encodeCheckpoint } from '../../src/shard/checkpoint-form.ts'
import { CheckpointLoading, type OtherTails, SlotReader, Tail } from '../../src/shard/index.ts'
import { actorKey, tailKey } from '../../src/shard/keys.ts'
import { encodeRecord } from '../../src/shard/slot-records.ts'
import { A, chunkOf, noted, scene, written } from './checkpoint-scene.ts'
import { bytesOf, quarantineOf, rowsOf, tailOf } from './journaled-judge.ts'
import { type JournaledNode, type Nodes, SHARD } from './journaled-nodes.ts'

/** What another node kept, and from where on it was asked for. */
function tailsOf({ name, nodes, store }: JournaledNode) {
  const asked: number[] = []
  const say = () => {}
  const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
  const otherTails: OtherTails = {
    collect: ({ from }, done) => {
      asked.push(from)
      const tail = new Tail(SHARD, store, log)
      const rows = [...tail.after(from - 1)]
      nodes.clock.defer(() => done([{ node: name, applied: tail.applied().slot, rows }], []))
      return { stop: () => {} }
    },
  }
  return { asked, otherTails }
}

/** Whole and empty: recorded before the journal lost its end and went on. */
function lostCheckpoint(checkpoints: MemoryCheckpoints, slot: number): void {
  const value = encodeCheckpoint({
    ...{ slot, hash: 'of a lost record', attempt: `lost ${slot}`, chunks: 0, rows: 0 },
    digest: EMPTY_DIGEST,
  })
  checkpoints.record(SHARD, slot, value, () => {})
}

/** Once checkpoints were asked for: a deposed leader answers for a moment. */
function denyOnce(node: JournaledNode, checkpoints: MemoryCheckpoints, denied: number): void {
  const list = checkpoints.list.bind(checkpoints)
  const read = node.line.read.bind(node.line)
  checkpoints.list = (shard, done) => {
    checkpoints.list = list
    node.line.read = (of, slot, answer) => {
      if (slot !== denied) return read(of, slot, answer)
      node.line.read = read
      node.nodes.clock.defer(() => answer({ kind: 'empty' }))
    }
    list(shard, done)
  }
}

describe('a taker whose store ends right before the first slot', () => {
  /** What happens when it asks for the slot behind the one that it applied. */
  async function taking(meanwhile: (nodes: Nodes, b: JournaledNode) => Promise<void>) {
    const { nodes, checkpoints, a, b } = await scene()
    a.kill()
    await b.serve()
    expect(await b.answer(b.note(A, '7'))).toBe('ok')
    expect(await b.answer(b.note(A, '8'))).toBe('ok')
    nodes.server.remove(SHARD, 8)
    const { asked, otherTails } = tailsOf(b)
    Object.assign(a.options, { commit: { checkpoints, otherTails } })
    const read = a.line.read.bind(a.line)
    a.line.read = (shard, slot, done) => {
      if (slot !== 9) return read(shard, slot, done)
      a.line.read = read
      void meanwhile(nodes, b).then(() => read(shard, slot, done))
    }
    await a.serve()
    return { asked, a, nodes }
  }

  it('asks all others when the journal loses its end at that moment', async () => {
    const { asked, a } = await taking(async (nodes) => nodes.loseLast(1))
    expect(asked, 'what is behind the end that is left').toEqual([11])
    expect(await a.seen(A)).toEqual(noted(8))
  })

  it('asks them also when another has begun to write it again', async () => {
    const { asked, a } = await taking(async (nodes, b) => {
      expect(await b.answer(b.note(A, '9'))).toBe('ok')
      const { slot, sequence, record } = nodes.server.slots(SHARD).at(-2)!
      nodes.loseLast(2)
      nodes.server.write({ shard: SHARD, slot, record, afterSequence: sequence - 1 })
    })
    expect(asked).toEqual([12])
    expect(await a.seen(A)).toEqual(noted(9))
  })

  it('does not claim over a newer owner that it has not seen', async () => {
    const claimed = taking(async (nodes, b) => {
      b.open(nodes.views + 5)
      await b.opening()
    })
    await expect(claimed).rejects.toThrow(/b owns the shard by view/)
  })
})

describe('a store that begins with a checkpoint', () => {
  it('sets aside what was never applied of it as well', async () => {
    const { nodes, checkpoints, a, b } = await scene(1)
    a.engine.stop()
    await b.serve()
    b.engine.stop()
    await a.serve()
    expect(await a.answer(a.note(A, 'lost'))).toBe('ok')
    const last = bytesOf(nodes.server).at(-1)!
    // On its way when its owner died, and never in the journal.
    const candidate = encodeRecord({
      ...{ kind: 'batch', prev: hashBytes(last), serverId: 'memory-0-1' },
      ...{ epoch: { slot: 5, claimId: 'whoever' }, batchId: 'b', writes: [] },
    })
    a.store.write({ writes: [[tailKey(SHARD, 7), candidate]], failed: () => {} })
    await nodes.settle()
    a.kill()
    nodes.loseLast(2)
    await b.serve()
    for (const text of ['2', '3', '4']) expect(await b.answer(b.note(A, text))).toBe('ok')
    await written(b, checkpoints)
    await a.serve()
    expect(await a.seen(A)).toEqual(noted(4))
    expect(quarantineOf(a.store).at(-1)).toEqual(Buffer.from(candidate))
    expect(tailOf(a.store)).not.toContain(7)
  })

  it('does not begin with one from beyond the end once the journal has gone on', async () => {
    const { nodes, checkpoints, a, b } = await scene(2)
    await written(a, checkpoints)
    for (const n of [3, 4]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    await written(a, checkpoints)
    // Nobody kept what is lost.
    nodes.loseLast(2)
    a.kill()
    await b.serve()
    nodes.server.remove(SHARD, 3)
    b.engine.stop()
    expect(checkpoints.shown(SHARD).slots).toEqual([4, 6])
    const c = nodes.node('c', { commit: { checkpoints } })
    await c.serve()
    expect(await c.seen(A)).toEqual(noted(2))
  })

  it('begins with one from beyond the end while what is lost may come back', async () => {
    const { nodes, checkpoints, a } = await scene(2)
    await written(a, checkpoints)
    for (const n of [3, 4]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 3)
    nodes.loseLast(1)
    const { asked, otherTails } = tailsOf(a)
    const c = nodes.node('c', { commit: { checkpoints, otherTails } })
    await c.serve()
    expect(asked).toEqual([6])
    expect(await c.seen(A)).toEqual(noted(4))
  })

  it('does not go on below one while what is lost may come back', async () => {
    const { nodes, checkpoints, a } = await scene(2)
    await written(a, checkpoints)
    for (const n of [3, 4]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 3)
    nodes.loseLast(1)
    const c = nodes.node('c', { commit: { checkpoints } })
    c.open()
    await c.opening()
    expect(c.stops).toMatchObject([{ why: expect.stringContaining('has applied slot 6') }])
    expect(nodes.server.slots(SHARD).map(({ slot }) => slot)).toEqual([4, 5])
  })

  it('is not hindered by a journal that denies a slot for a moment', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 7)
    const read = b.line.read.bind(b.line)
    const list = checkpoints.list.bind(checkpoints)
    let left = 0
    checkpoints.list = (shard, done) => {
      checkpoints.list = list
      left = 6
      list(shard, done)
    }
    b.line.read = (shard, slot, done) => {
      if (left === 0) return read(shard, slot, done)
      left -= 1
      nodes.clock.defer(() => done({ kind: 'empty' }))
    }
    await b.serve()
    expect(left).toBe(0)
    expect(await b.seen(A)).toEqual(noted(6))
  })

  it.each([7, 8])('does not begin with one of another chain, with %i slots removed', async (to) => {
    const { nodes, checkpoints, b } = await scene()
    lostCheckpoint(checkpoints, 8)
    await nodes.settle()
    expect(nodes.server.slots(SHARD)).toHaveLength(8)
    const claim = await nodes.owner('a2')
    claim.engine.stop()
    nodes.server.remove(SHARD, to)
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('no checkpoint covers') }])
    expect(b.errors()).toContain('a checkpoint is of no use')
  })

  it.each([
    ['its slot', 8],
    ['the end', 20],
  ])('does not count a denial of %s for a loss', async (_what, slot) => {
    const { nodes, checkpoints, a } = await scene(2)
    await written(a, checkpoints)
    for (const n of [3, 4, 5, 6]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    nodes.server.remove(SHARD, 3)
    lostCheckpoint(checkpoints, slot)
    nodes.loseLast(1)
    const { otherTails } = tailsOf(a)
    const gone = slot > 8
    if (gone) await a.serve()
    const c = nodes.node('c', { commit: { checkpoints, otherTails } })
    denyOnce(c, checkpoints, gone ? nodes.server.slots(SHARD).at(-1)!.slot : slot)
    await c.serve()
    expect(await c.seen(A)).toEqual(noted(6))
    const loaded = c.lines.filter(({ message }) => message.includes('is loaded'))
    expect(loaded, 'the right one at once').toMatchObject([{ fields: { slot: 4 } }])
  })

  it.each(['gone', 'changed'] as const)(
    'takes another when a chunk is %s, and nothing was read through',
    async (how) => {
      const { nodes, checkpoints, a, b } = await scene()
      await written(a, checkpoints)
      expect(await a.answer(a.note(A, '7'))).toBe('ok')
      await written(a, checkpoints)
      nodes.server.remove(SHARD, 8)
      checkpoints.damage(chunkOf(9, 2), how)
      await b.serve()
      expect(b.errors()).toContain('a checkpoint is of no use')
      expect(await b.seen(A)).toEqual(noted(7))
      expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
    },
  )

  it('takes another when one is damaged after it was read through', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    expect(await a.answer(a.note(A, '7'))).toBe('ok')
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 8)
    const row: StoreWrite = [actorKey(SHARD, 'counter/gone'), Uint8Array.of(1)]
    b.store.write({ writes: [row], failed: () => {} })
    const read = checkpoints.read.bind(checkpoints)
    let reads = 0
    checkpoints.read = (chunk, done) => {
      if (chunk.slot === 9 && chunk.index === 1 && ++reads === 2) checkpoints.damage(chunk, 'gone')
      read(chunk, done)
    }
    await b.serve()
    expect(reads).toBe(2)
    expect(await b.seen(A)).toEqual(noted(7))
    expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
  })

  it('writes nothing any more when it is stopped, and says when what was under way is taken', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    const { clock } = nodes
    const say = () => {}
    const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
    const deps = { shard: SHARD, store: b.store, checkpoints, clock, log }
    const loading = new CheckpointLoading(deps, new SlotReader(SHARD, b.line, clock))
    const told: string[] = []
    const row: StoreWrite = [actorKey(SHARD, 'counter/gone'), Uint8Array.of(1)]
    b.store.write({ writes: [row], failed: () => {} })
    await nodes.settle()
    const write = b.store.write.bind(b.store)
    b.store.write = (transaction) => {
      const visible = () => {
        told.push('visible')
        transaction.visible?.()
      }
      write({ ...transaction, visible })
      loading.stop(() => told.push('stopped'))
    }
    loading.load(({ kind }) => told.push(kind))
    await nodes.settle(5_000)
    expect(told).toEqual(['visible', 'stopped'])
  })

  it('finds those that were recorded since it asked', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    expect(await a.answer(a.note(A, '7'))).toBe('ok')
    nodes.server.remove(SHARD, 8)
    const list = checkpoints.list.bind(checkpoints)
    let lists = 0
    checkpoints.list = (shard, done) => {
      lists += 1
      if (lists > 1) return list(shard, done)
      list(shard, (outcome) => {
        // While they are looked at a newer one takes their place.
        void written(a, checkpoints).then(() => checkpoints.lose(SHARD, 8))
        done(outcome)
      })
    }
    const read = checkpoints.read.bind(checkpoints)
    checkpoints.read = (chunk, done) => {
      if (chunk.slot !== 8) return read(chunk, done)
      nodes.clock.after(200, () => read(chunk, done))
    }
    await b.serve()
    expect(await b.seen(A)).toEqual(noted(7))
  })
})

describe('a journal that is gone as a whole', () => {
  it.each(['another node', 'a checkpoint'])(
    'is not begun anew when %s knows of it',
    async (who) => {
      const { nodes, checkpoints, a } = await scene()
      await written(a, checkpoints)
      nodes.server.remove(SHARD, 7)
      a.engine.stop()
      // Its records go with their slots.
      const gone = noted(7).map((slot): StoreWrite => [tailKey(SHARD, Number(slot)), null])
      a.store.write({ writes: gone, failed: () => {} })
      await nodes.settle()
      const { otherTails } = tailsOf(a)
      nodes.server.wipe(SHARD)
      const commit = who === 'another node' ? { otherTails } : { checkpoints }
      const c = nodes.node('c', { commit })
      c.open()
      await c.opening()
      const why = expect.stringContaining('the journal is empty, but')
      expect(c.stops).toMatchObject([{ why }])
      expect(nodes.server.slots(SHARD)).toEqual([])
    },
  )

  it('is begun by whoever knows of nothing', async () => {
    const { nodes, checkpoints } = await scene(0)
    nodes.server.wipe(SHARD)
    const other = nodes.node('other')
    const { otherTails } = tailsOf(other)
    await nodes.owner('c', { commit: { checkpoints, otherTails } })
    expect(nodes.server.slots(SHARD)).toHaveLength(1)
  })
})
