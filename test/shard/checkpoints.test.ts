/** Checkpoints of a shard: what stands in one, and how a store that cannot go on begins with it. */
import { describe, expect, it } from 'vitest'
import { MemoryCheckpoints } from '../../src/adapters/memory/index.ts'
import { hashBytes, pack } from '../../src/protocol/index.ts'
import { appliedKey, loadingKey, TABLE } from '../../src/shard/keys.ts'
import { encodeRecord } from '../../src/shard/slot-records.ts'
import { A, chunkOf, noted, scene, writing, written } from './checkpoint-scene.ts'
import {
  appliedOf,
  bytesOf,
  judgeJournal,
  quarantineOf,
  rowsOf,
  tailOf,
} from './journaled-judge.ts'
import { type JournaledNode, Nodes, SHARD } from './journaled-nodes.ts'

describe('a checkpoint', () => {
  it('is what a new node begins with when the journal begins later', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    expect(await written(a, checkpoints)).toMatchObject({ kind: 'recorded', slot: 8 })
    expect(checkpoints.shown(SHARD).chunks, 'chunks are small').toBeGreaterThan(2)
    for (const n of [7, 8]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    nodes.server.remove(SHARD, 8)
    const before = rowsOf(a.store)
    await b.serve()
    expect(rowsOf(b.store)).toEqual(before)
    expect(tailOf(b.store), 'raw records of others do not travel').toEqual([9, 10, 11])
    expect(await b.seen(A)).toEqual(noted(8))
    expect(await b.answer(b.note(A, '9'))).toBe('ok')
    expect(await b.seen(A)).toEqual(noted(9))
  })

  it('is read once by a node that has nothing to lose', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    nodes.server.remove(SHARD, 7)
    const read = checkpoints.read.bind(checkpoints)
    const reads: number[] = []
    checkpoints.read = (chunk, done) => {
      reads.push(chunk.index)
      read(chunk, done)
    }
    await b.serve()
    expect(rowsOf(b.store)).toEqual(rowsOf(a.store))
    expect(reads).toEqual([...new Set(reads)])
  })

  it('holds every table of the shard but those of the node', () => {
    const own = Object.entries(TABLE).filter(
      ([, table]) => table <= TABLE.applied || table >= TABLE.tail,
    )
    expect(own.map(([name]) => name)).toEqual(['loading', 'applied', 'tail', 'quarantine'])
  })

  it('is not needed by a store that ends right before the first slot', async () => {
    const { nodes, checkpoints, a } = await scene()
    a.kill()
    nodes.server.remove(SHARD, 7)
    await a.serve()
    expect(await a.seen(A)).toEqual(noted(6))
    // Its last slot is gone as well: the next record names it.
    const b = await nodes.owner('b', { commit: { checkpoints } }).catch(() => undefined)
    expect(b, 'a new node has nothing to begin with').toBeUndefined()
    expect(await a.answer(a.note(A, '7'))).toBe('ok')
    a.kill()
    nodes.server.remove(SHARD, appliedOf(a.store))
    expect(nodes.server.slots(SHARD)).toEqual([])
    a.open()
    await a.opening()
    expect(a.stops).toMatchObject([{ why: expect.stringMatching(/emptied.*remove its stream/) }])
  })

  it('takes the place of rows that are behind, with what is behind it replayed', async () => {
    const { nodes, checkpoints, a, b } = await scene(2)
    a.engine.stop()
    await b.serve()
    expect(await b.seen(A)).toEqual(noted(2))
    const gone = 'counter/gone'
    expect(await b.answer(b.client.start(gone))).toBe('ok')
    b.kill()
    await a.serve()
    expect(await a.answer(a.client.delete(gone))).toBe('ok')
    for (const n of [3, 4]) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    const { slot } = (await written(a, checkpoints)) as { slot: number }
    expect(await a.answer(a.note(A, '5'))).toBe('ok')
    nodes.server.remove(SHARD, slot)
    const before = rowsOf(a.store)
    await b.serve()
    expect(rowsOf(b.store), 'nothing of the older rows is left').toEqual(before)
    expect(await b.seen(A)).toEqual(noted(5))
  })

  it.each([0, 8])(
    'takes the place of a store that has parted, with %i slots removed',
    async (to) => {
      const { checkpoints, a, b, nodes } = await scene()
      await b.serve()
      b.kill()
      const other = [[appliedKey(SHARD), pack([8, 'somethingelse000'])]] as const
      b.store.write({ writes: other, failed: () => {} })
      await nodes.settle()
      b.open()
      await b.opening()
      expect(b.stops, 'without one it is left as it is').toMatchObject([
        { kind: 'failed', why: expect.stringContaining('slot 8 holds another record') },
      ])
      await a.serve()
      await written(a, checkpoints)
      nodes.server.remove(SHARD, to)
      await b.serve()
      expect(await b.seen(A)).toEqual(noted(6))
      expect(b.lines.filter(({ message }) => message.includes('is loaded'))).toHaveLength(1)
    },
  )

  it('sets aside the records that are off the chain, and no others', async () => {
    const { nodes, checkpoints, a, b } = await scene(1)
    a.engine.stop()
    await b.serve()
    b.engine.stop()
    await a.serve()
    for (const text of ['lost 1', 'lost 2']) expect(await a.answer(a.note(A, text))).toBe('ok')
    const lost = bytesOf(nodes.server).slice(4)
    a.kill()
    nodes.loseLast(lost.length)
    await b.serve()
    for (const text of ['2', '3', '4']) expect(await b.answer(b.note(A, text))).toBe('ok')
    await written(b, checkpoints)
    expect(await b.answer(b.note(A, '5'))).toBe('ok')
    await a.serve()
    expect(await a.seen(A)).toEqual(noted(5))
    expect(rowsOf(a.store).filter((row) => !rowsOf(b.store).includes(row))).toEqual([])
    expect(quarantineOf(a.store)).toEqual(lost)
    expect(a.errors()).toContain('records of this store are off the chain: they are set aside')
    expect(tailOf(a.store).slice(0, 4), 'others may need them').toEqual([1, 2, 3, 4])
    expect(tailOf(a.store)).not.toContain(5)
  })
})

describe('a journal that contradicts itself', () => {
  /** What a deposed leader says: the slot is not there. */
  function missing(node: JournaledNode, slot: number, times: number) {
    const read = node.line.read.bind(node.line)
    let left = times
    node.line.read = (shard, at, done) => {
      if (at !== slot || left === 0) return read(shard, at, done)
      left -= 1
      node.nodes.clock.defer(() => done({ kind: 'empty' }))
    }
  }

  it('is asked again about a slot that should be there', async () => {
    for (const slot of [3, 8]) {
      const { b } = await scene()
      missing(b, slot, 5)
      await b.serve()
      expect(await b.seen(A)).toEqual(noted(6))
    }
  })

  it('stops the taker when it has a hole', async () => {
    const { nodes, b } = await scene()
    missing(b, 3, Number.POSITIVE_INFINITY)
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('not all slots from 1 on') }])
    expect(judgeJournal(nodes.server)).toHaveLength(8)
  })

  it('stops the taker when its chain is broken, and no checkpoint hides it', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await b.serve()
    await written(b, checkpoints)
    b.kill()
    const rows = rowsOf(b.store)
    await a.serve()
    const { slot, sequence } = nodes.server.slots(SHARD).at(-1)!
    const stray = nodes.server.slots(SHARD)[2]!.record
    nodes.server.write({ shard: SHARD, slot: slot + 1, record: stray, afterSequence: sequence })
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('chain of records is broken') }])
    expect(rowsOf(b.store)).toEqual(rows)
    expect(b.lines.filter(({ message }) => message.includes('is loaded'))).toEqual([])
  })
})

describe('a journal that this version cannot read', () => {
  it('stops the taker, and its store stays as it is', async () => {
    const { nodes, checkpoints, a, b } = await scene()
    await written(a, checkpoints)
    await b.serve()
    b.kill()
    const rows = rowsOf(b.store)
    const { slot, sequence } = nodes.server.slots(SHARD).at(-1)!
    const later = pack([2, 'x', 'whatever it says'])
    const prev = hashBytes(later)
    const who = { node: 'c', claimId: 'c', viewVersion: 0, serverId: 'memory-0-1' }
    const claim = encodeRecord({ kind: 'claim', prev, ...who })
    for (const [index, record] of [later, claim].entries()) {
      const at = { slot: slot + 1 + index, afterSequence: sequence + index }
      nodes.server.write({ shard: SHARD, record, ...at })
    }
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('cannot read') }])
    expect(rowsOf(b.store)).toEqual(rows)
    expect(b.lines.filter(({ message }) => message.includes('is loaded'))).toEqual([])
  })
})

it('a journal that is empty is not new where there is a checkpoint, be it of another form', async () => {
  const nodes = new Nodes()
  const checkpoints = new MemoryCheckpoints({ clock: nodes.clock })
  checkpoints.record(SHARD, 7, Buffer.from(pack([1, 7])), () => {})
  await nodes.settle(20)
  const a = nodes.node('a', { commit: { checkpoints } })
  a.open()
  await a.opening()
  const why = expect.stringContaining('there is a checkpoint of slot 7')
  expect(a.stops).toMatchObject([{ kind: 'failed', why }])
  expect(nodes.server.slots(SHARD)).toEqual([])
})

describe('which checkpoint is loaded', () => {
  async function two() {
    const all = await scene()
    const { a, b, checkpoints, nodes } = all
    const first = (await written(a, checkpoints)) as { slot: number }
    expect(await a.answer(a.note(A, '7'))).toBe('ok')
    const second = (await written(a, checkpoints)) as { slot: number }
    expect(await a.answer(a.note(A, '8'))).toBe('ok')
    const open = async () => {
      b.open()
      await b.opening()
      return b.opened
    }
    nodes.server.remove(SHARD, first.slot)
    return { ...all, first: first.slot, second: second.slot, open }
  }

  it.each(['gone', 'changed'] as const)('not one with a chunk that is %s', async (how) => {
    const { b, checkpoints, second, open } = await two()
    checkpoints.damage(chunkOf(second, 1), how)
    expect(await open()).toBe('serves')
    expect(b.errors()).toContain('a checkpoint is of no use')
    expect(await b.seen(A)).toEqual(noted(8))
  })

  it('none, when no one is whole: then the store stays as it is', async () => {
    const { b, checkpoints, first, second, open, nodes } = await two()
    const rows = [[Uint8Array.of(0, 0, TABLE.actor, 1), pack('x')]] as const
    b.store.write({ writes: rows, failed: () => {} })
    for (const slot of [first, second]) checkpoints.damage(chunkOf(slot), 'gone')
    expect(await open()).toMatchObject({ code: 'unavailable' })
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('no checkpoint covers') }])
    await nodes.settle(100)
    expect(rowsOf(b.store)).toHaveLength(1)
  })

  it('not one of another chain', async () => {
    const { b, checkpoints, second, open } = await two()
    const list = checkpoints.list.bind(checkpoints)
    checkpoints.list = (shard, done) =>
      list(shard, (outcome) => {
        if (outcome.kind === 'unknown') return done(outcome)
        const [older, newer] = outcome.records
        // The same chunks under the hash of another record.
        const value = Buffer.from(newer!.value)
        const at = value.indexOf(Buffer.from('attempt')) - 10
        value[at] = value[at] === 0x30 ? 0x31 : 0x30
        done({ kind: 'listed', records: [older!, { slot: second, value }] })
      })
    expect(await open()).toBe('serves')
    expect(b.errors()).toContain('a checkpoint is of no use')
    expect(await b.seen(A)).toEqual(noted(8))
  })

  it('the newest again, when slots behind the chosen one are removed meanwhile', async () => {
    const { nodes, a, b, checkpoints, second } = await two()
    const third = (await written(a, checkpoints)) as { slot: number }
    expect(await a.answer(a.note(A, '9'))).toBe('ok')
    checkpoints.damage(chunkOf(third.slot), 'gone')
    const read = checkpoints.read.bind(checkpoints)
    let reads = 0
    checkpoints.read = (chunk, done) => {
      if (chunk.slot === second) reads += 1
      if (reads === 2) {
        reads += 1
        void written(a, checkpoints)
        nodes.server.remove(SHARD, third.slot)
      }
      read(chunk, done)
    }
    b.open()
    await b.opening()
    expect(b.opened).toBe('serves')
    expect(reads, 'the chosen one was being read').toBeGreaterThan(2)
    expect(second).toBeLessThan(third.slot)
    expect(await b.seen(A)).toEqual(noted(9))
  })

  it('asks again whatever is unknown', async () => {
    const { b, checkpoints, open } = await two()
    checkpoints.failNext({ on: 'list', happened: false, count: 3 })
    checkpoints.failNext({ on: 'read', happened: false, count: 7 })
    expect(await open()).toBe('serves')
    expect(await b.seen(A)).toEqual(noted(8))
  })
})

describe('a load that is cut short', () => {
  it('is recognised and begun again, wherever it was cut', async () => {
    let cuts = 0
    for (let step = 0; ; step++) {
      const { nodes, checkpoints, a, b } = await scene(3)
      await b.serve()
      b.kill()
      await a.serve()
      expect(await a.answer(a.note(A, '4'))).toBe('ok')
      const { slot } = (await written(a, checkpoints)) as { slot: number }
      nodes.server.remove(SHARD, slot - 1)
      let writes = 0
      const write = b.store.write.bind(b.store)
      b.store.write = (transaction) => {
        writes += 1
        if (writes <= step) write(transaction)
      }
      b.open()
      for (let round = 0; round < 40 && b.opened === 'no'; round++) await nodes.settle(5)
      if (b.opened === 'serves') break
      b.kill()
      if (b.store.get(loadingKey(SHARD))) cuts += 1
      await b.serve()
      expect(b.store.get(loadingKey(SHARD)), `cut behind write ${step}`).toBeUndefined()
      expect(await b.seen(A), `cut behind write ${step}`).toEqual(noted(4))
      expect(rowsOf(b.store)).toEqual(rowsOf(b.store).filter((row) => !row.startsWith('000001')))
    }
    expect(cuts, 'of them in the middle').toBeGreaterThan(3)
  })

  it('leaves nothing behind when the journal has everything', async () => {
    const { nodes, a, b } = await scene(2)
    const half = [
      [appliedKey(SHARD), a.store.get(appliedKey(SHARD))!],
      [loadingKey(SHARD), pack(true)],
      [Uint8Array.of(0, SHARD, TABLE.actor, 0x61), pack('half')],
    ] as const
    b.store.write({ writes: half, failed: () => {} })
    await nodes.settle()
    a.engine.stop()
    const before = rowsOf(a.store)
    await b.serve()
    expect(rowsOf(b.store)).toEqual(before)
    expect(b.store.get(loadingKey(SHARD))).toBeUndefined()
  })
})

describe('writing a checkpoint', () => {
  it('asks again whatever is unknown, and records once', async () => {
    const { a, checkpoints } = await scene()
    for (const happened of [true, false]) {
      for (const on of ['write', 'read', 'record'] as const) checkpoints.failNext({ on, happened })
    }
    expect(await written(a, checkpoints)).toMatchObject({ kind: 'recorded', slot: 8 })
    expect(checkpoints.shown(SHARD).slots).toEqual([8])
    expect(await written(a, checkpoints), 'the same again').toMatchObject({ kind: 'recorded' })
  })

  it('leaves the slot to whoever was first', async () => {
    const { nodes, a, b, checkpoints } = await scene()
    await b.serve()
    expect(await written(b, checkpoints)).toMatchObject({ kind: 'recorded', slot: 9 })
    const c = nodes.node('c')
    c.store = b.store
    expect(await written(c, checkpoints)).toMatchObject({
      kind: 'abandoned',
      why: expect.stringContaining('another has recorded'),
    })
    nodes.server.remove(SHARD, 8)
    await nodes.owner('d', { commit: { checkpoints } })
    expect(appliedOf(a.store)).toBe(8)
  })

  it('is given up by a store that has parted from the journal, at its beginning and at its end', async () => {
    for (const loseAt of ['beginning', 'end'] as const) {
      const { nodes, a, checkpoints } = await scene()
      if (loseAt === 'beginning') nodes.server.loseLast(SHARD, 1)
      const { told } = writing(a, checkpoints)
      const write = checkpoints.write.bind(checkpoints)
      let writes = 0
      checkpoints.write = (chunk, bytes, done) => {
        writes += 1
        if (chunk.index === 2 && loseAt === 'end') nodes.server.loseLast(SHARD, 1)
        write(chunk, bytes, done)
      }
      for (let round = 0; round < 50 && told.length === 0; round++) await nodes.settle(20)
      expect(told).toEqual([{ kind: 'abandoned', why: expect.stringContaining('slot 8') }])
      const { slots, chunks } = checkpoints.shown(SHARD)
      expect([slots, chunks], 'nothing is left of it').toEqual([[], 0])
      expect(writes > 0).toBe(loseAt === 'end')
    }
  })

  it('shows one moment, whatever is committed meanwhile, and ends with its snapshot', async () => {
    const { nodes, a, b, checkpoints } = await scene()
    const write = checkpoints.write.bind(checkpoints)
    const notes: Promise<string>[] = []
    checkpoints.write = (chunk, bytes, done) => {
      notes.push(a.answer(a.note(A, `${7 + chunk.index}`)))
      write(chunk, bytes, done)
    }
    expect(await written(a, checkpoints)).toMatchObject({ kind: 'recorded', slot: 8 })
    expect(notes.length).toBeGreaterThan(2)
    expect(new Set(await Promise.all(notes))).toEqual(new Set(['ok']))
    checkpoints.write = write
    nodes.server.remove(SHARD, 8)
    await b.serve()
    expect(await b.seen(A)).toEqual(noted(6 + notes.length))
  })

  it('keeps its snapshot open no longer than it reads from it', async () => {
    const { a, checkpoints } = await scene()
    const take = a.store.snapshot.bind(a.store)
    const open = new Set<unknown>()
    a.store.snapshot = () => {
      const snapshot = take()
      const close = snapshot.close.bind(snapshot)
      open.add(snapshot)
      return Object.assign(snapshot, {
        close: () => {
          open.delete(snapshot)
          close()
        },
      })
    }
    const write = checkpoints.write.bind(checkpoints)
    const read = checkpoints.read.bind(checkpoints)
    const seen: [string, number][] = []
    checkpoints.write = (...args) => {
      seen.push(['write', open.size])
      write(...args)
    }
    checkpoints.read = (...args) => {
      seen.push(['read', open.size])
      read(...args)
    }
    await written(a, checkpoints)
    expect(new Set(seen.map(String))).toEqual(new Set(['write,1', 'read,0']))
  })

  it('is given up when the snapshot is', async () => {
    const { nodes, checkpoints, a } = await scene()
    a.kill({ snapshotOpenMaxMs: 200 })
    await a.serve()
    checkpoints.failNext({ on: 'write', happened: true, count: 8 })
    checkpoints.failNext({ on: 'remove', happened: false, count: 2 })
    const { told } = writing(a, checkpoints)
    for (let round = 0; round < 100 && told.length === 0; round++) await nodes.settle(200)
    expect(told).toEqual([{ kind: 'abandoned', why: expect.stringContaining('given up') }])
    expect(checkpoints.shown(SHARD), 'nothing is left of it').toEqual({ slots: [], chunks: 0 })
    expect(judgeJournal(nodes.server).length).toBe(9)
  })
})
