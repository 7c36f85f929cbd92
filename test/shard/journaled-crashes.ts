/**
 * Scenarios of the journaled path about what survives: the two copies of a batch, crashes between
 * its steps, a journal that lost its end, a disk that is full. See journaled-ownership.ts.
 */
import { expect } from 'vitest'
import { pack } from '../../src/protocol/index.ts'
import { appliedKey } from '../../src/shard/keys.ts'
import {
  appliedOf,
  bytesOf,
  judgeJournal,
  kinds,
  quarantineOf,
  rowsOf,
  tailOf,
} from './journaled-judge.ts'
import { type JournaledNode, type Nodes, type Parts, SHARD } from './journaled-nodes.ts'
import { started } from './journaled-ownership.ts'
import { decodeRecord } from './slot-record.ts'

const A = 'counter/a'

/** Sends a note and says whether it was answered, without waiting for it. */
function noting(node: JournaledNode, text: string, id: string, timeoutMs = 10_000) {
  const state = { answer: '' }
  void node
    .note(A, text, id, timeoutMs)
    .then(() => 'ok')
    .catch((thrown: { code: string }) => thrown.code)
    .then((answer) => {
      state.answer = answer
    })
  return state
}

/** Either the same node comes back, or the other takes over: what was committed is there, once. */
async function judgeSurvivors(
  how: 'restart' | 'takeover',
  nodes: Nodes,
  a: JournaledNode,
  { id, there }: { id: string; there: boolean },
): Promise<void> {
  const b = how === 'takeover' ? await nodes.owner('b') : a
  if (how === 'restart') await a.serve()
  expect(await b.seen(A)).toEqual(there ? ['x'] : [])
  const first = await nodes.run(b.note(A, 'x', id))
  expect(await nodes.run(b.note(A, 'x', id))).toEqual(first)
  expect(await b.seen(A), 'the command is applied once').toEqual(['x'])
  judgeJournal(nodes.server)
}

const HOW = ['restart', 'takeover'] as const

export const crashes: Record<string, (parts: Parts) => Promise<void>> = {
  'a reply waits for the slot and for the flush': async (parts) => {
    for (const first of ['slot', 'flush'] as const) {
      const { nodes, a } = await started(parts)
      await freezeFlush(nodes, a)
      const flush = () => a.store.flush()
      const release = () => a.connection.release()
      a.connection.hold()
      const noted = noting(a, 'x', `${nodes.clock.now()}-x`)
      await nodes.settle(5)
      for (const step of first === 'slot' ? [release, flush] : [flush, release]) {
        expect(noted.answer).toBe('')
        expect(appliedOf(a.store), 'not applied either').toBe(3)
        step()
        await nodes.settle(50)
      }
      expect(noted.answer).toBe('ok')
    }
  },

  'a crash after the slot was acknowledged, before the flush': async (parts) => {
    for (const how of HOW) {
      const { nodes, a } = await started(parts)
      const id = `${nodes.clock.now()}-x`
      await freezeFlush(nodes, a)
      const noted = noting(a, 'x', id)
      await nodes.settle(50)
      expect(noted.answer).toBe('')
      expect(kinds(nodes.server)).toBe('cbcb')
      a.kill({ manualFlush: false })
      expect(tailOf(a.store)).toEqual([1, 2, 3])
      await judgeSurvivors(how, nodes, a, { id, there: true })
    }
  },

  'a crash after the flush, before the slot was won': async (parts) => {
    for (const fate of ['arrive', 'lose'] as const) {
      for (const how of HOW) {
        const { nodes, a } = await started(parts)
        const id = `${nodes.clock.now()}-x`
        a.connection.hold()
        const noted = noting(a, 'x', id)
        await nodes.settle(50)
        a.kill()
        expect(noted.answer).not.toBe('ok')
        expect(tailOf(a.store)).toEqual([1, 2, 3])
        // What a dead node has sent may still land, now or after the other's claim.
        if (fate === 'arrive') a.connection.release('arrive')
        else a.connection.release('lose')
        await nodes.settle()
        await judgeSurvivors(how, nodes, a, { id, there: fate === 'arrive' })
      }
    }
  },

  'a crash after it was applied and answered, before that was flushed': async (parts) => {
    for (const lost of [false, true]) {
      const { nodes, a } = await started(parts)
      const id = `${nodes.clock.now()}-x`
      await freezeFlush(nodes, a)
      const noted = noting(a, 'x', id)
      await nodes.settle(5)
      a.store.flush()
      await nodes.settle(50)
      expect(noted.answer).toBe('ok')
      const before = bytesOf(nodes.server)
      a.kill({ manualFlush: false })
      expect([appliedOf(a.store), tailOf(a.store)]).toEqual([3, [1, 2, 3, 4]])
      if (lost) nodes.loseLast(2)
      await judgeSurvivors('restart', nodes, a, { id, there: true })
      expect(bytesOf(nodes.server).slice(0, before.length)).toEqual(before)
    }
  },

  'what a fenced owner had flushed does not come back when it restarts': async (parts) => {
    const { nodes, a } = await started(parts)
    a.connection.hold()
    noting(a, 'x', `${nodes.clock.now()}-x`)
    await nodes.settle(5)
    expect(tailOf(a.store)).toEqual([1, 2, 3])
    const b = await nodes.owner('b')
    // Of another actor: what is written later would hide what came back.
    expect(await b.answer(b.client.start('counter/b'))).toBe('ok')
    a.kill()
    a.connection.release('lose')
    await a.serve()
    expect(await a.seen(A)).toEqual([])
    expect(rowsOf(a.store)).toEqual(rowsOf(b.store))
    expect(kinds(nodes.server)).toBe('cbcbc')
    expect(tailOf(a.store)).toEqual([1, 2, 3, 4, 5])
    expect(quarantineOf(a.store), 'it was never acknowledged').toEqual([])
  },

  'a row of the tail that never reached the journal is not applied, but dropped': async (parts) => {
    const { nodes, a } = await started(parts)
    a.connection.hold()
    noting(a, 'x', `${nodes.clock.now()}-x`)
    await nodes.settle(5)
    a.kill()
    a.connection.release('lose')
    await nodes.settle()
    await a.serve()
    expect(await a.seen(A)).toEqual([])
    expect(kinds(nodes.server)).toBe('cbc')
    expect(a.errors()).toEqual([])
  },

  'a journal that lost its end is written again from the tail, byte for byte': async (parts) => {
    for (const lost of [1, 2, 4, 6]) {
      const { nodes, a } = await started(parts)
      for (const text of ['1', '2', '3', '4']) expect(await a.answer(a.note(A, text))).toBe('ok')
      const before = bytesOf(nodes.server)
      a.kill()
      nodes.loseLast(lost)
      const from = a.said.length
      await a.serve()
      expect(bytesOf(nodes.server).slice(0, before.length)).toEqual(before)
      expect(kinds(nodes.server)).toBe('cbbbbbc')
      const written = a.said.slice(from).filter(({ on }) => on === 'write')
      const slots = Array.from({ length: lost + 1 }, (_, index) => 7 - lost + index)
      expect(
        written.map(({ slot }) => slot),
        'oldest first',
      ).toEqual(slots)
      expect(a.errors()).toEqual([expect.stringContaining('shorter than this store remembers')])
      expect(await a.seen(A)).toEqual(['1', '2', '3', '4'])
    }
  },

  'an end that is lost while it is written again is written once more': async (parts) => {
    const { nodes, a } = await started(parts, { journal: { latencyMs: () => 10 } })
    for (const text of ['1', '2', '3']) expect(await a.answer(a.note(A, text))).toBe('ok')
    const before = bytesOf(nodes.server)
    a.kill()
    nodes.loseLast(1_000)
    a.open()
    for (let ms = 0; ms < 500 && nodes.server.slots(SHARD).length < 3; ms++) await nodes.settle(1)
    nodes.loseLast(2)
    await a.opening()
    expect(bytesOf(nodes.server).slice(0, before.length)).toEqual(before)
    expect(await a.seen(A)).toEqual(['1', '2', '3'])
  },

  'a living owner whose journal lost its end lets go, and takes it again': async (parts) => {
    for (const how of ['restart', 'new leader'] as const) {
      const { nodes, a } = await started(parts)
      const id = `${nodes.clock.now()}-x`
      // A new leader of a replicated stream breaks no connection.
      if (how === 'restart') nodes.loseLast(1)
      else nodes.server.loseLast(SHARD, 1)
      const noted = noting(a, 'x', id, 1_000)
      await nodes.settle(1_100)
      expect(noted.answer, 'it may have happened').toBe('no-answer')
      expect(a.stops).toMatchObject([{ kind: 'lost' }])
      await a.serve()
      expect(await a.seen(A)).toEqual(['x'])
      await nodes.run(a.note(A, 'x', id))
      expect(await a.seen(A)).toEqual(['x'])
      judgeJournal(nodes.server)
    }
  },

  'an older store claims what joins, and says that the journal may have lost its end': async (
    parts,
  ) => {
    const { nodes, a } = await started(parts)
    const b = await nodes.owner('b')
    expect(await b.answer(b.note(A, 'kept'))).toBe('ok')
    b.engine.stop()
    await a.serve()
    for (const text of ['gone 1', 'gone 2']) expect(await a.answer(a.note(A, text))).toBe('ok')
    a.kill()
    expect(kinds(nodes.server)).toBe('cbcbcbb')
    nodes.loseLast(2)
    await b.serve()
    expect(await b.seen(A)).toEqual(['kept'])
    expect(kinds(nodes.server)).toBe('cbcbcc')
    expect(b.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('lost its end') }),
    )
    // The other has applied what is now off the chain: its store is not to be used.
    a.open()
    await a.opening()
    expect(a.opened).toMatchObject({ code: 'unavailable' })
    expect(a.stops).toMatchObject([{ kind: 'failed', why: expect.stringContaining('slot 7') }])
    expect(a.lines.at(-1)).toMatchObject({ level: 'error', fields: { slots: [7] } })
    expect(tailOf(a.store), 'and is left as it is').toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(kinds(nodes.server), 'and has written nothing').toBe('cbcbcc')
  },

  'records off the chain that were not applied are set aside and reported': async (parts) => {
    const { nodes, a } = await started(parts)
    await freezeFlush(nodes, a)
    const b = nodes.node('b')
    const noted = noting(a, 'x', `${nodes.clock.now()}-x`)
    await nodes.settle(5)
    a.store.flush()
    await nodes.settle(5)
    expect(noted.answer).toBe('ok')
    const lost = bytesOf(nodes.server)[3]
    a.kill({ manualFlush: false })
    expect([appliedOf(a.store), tailOf(a.store)]).toEqual([3, [1, 2, 3, 4]])
    nodes.loseLast(1)
    await b.serve()
    expect(await b.answer(b.note(A, 'y'))).toBe('ok')
    await a.serve()
    expect(await a.seen(A)).toEqual(['y'])
    expect(quarantineOf(a.store)).toEqual([lost])
    expect(a.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: { shard: SHARD, slots: [4] },
        message: expect.stringContaining('set aside'),
      }),
    )
    expect(kinds(nodes.server)).toBe('cbccbc')
  },

  'a lost end that this store cannot give back stops the shard loudly': async (parts) => {
    const { nodes, a } = await started(parts)
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    a.kill()
    // Another has claimed where our end was lost: ours does not join any more.
    nodes.loseLast(2)
    const b = nodes.node('b')
    await b.serve()
    a.open()
    await a.opening()
    expect(a.stops).toMatchObject([
      { kind: 'failed', why: expect.stringContaining('does not join') },
    ])
    expect(kinds(nodes.server), 'no claim with a gap before it').toBe('cc')
  },

  'a store that is not a prefix of the journal is refused, with the reason': async (parts) => {
    const { nodes, a } = await started(parts)
    a.kill()
    const writes = [[appliedKey(SHARD), pack([2, 'somethingelse000'])]] as const
    a.store.write({ writes, failed: () => {} })
    await nodes.settle()
    a.open()
    await a.opening()
    expect(a.stops).toMatchObject([
      { kind: 'failed', why: expect.stringContaining('slot 2 holds another record') },
    ])
    nodes.server.remove(SHARD, 2)
    a.open()
    await a.opening()
    expect(a.stops[1]).toMatchObject({ kind: 'failed' })
    expect(nodes.server.slots(SHARD)).toEqual([])
  },

  'removed slots that no checkpoint covers are not jumped over': async (parts) => {
    const { nodes, a } = await started(parts)
    for (const text of ['1', '2']) expect(await a.answer(a.note(A, text))).toBe('ok')
    nodes.server.remove(SHARD, 2)
    const b = nodes.node('b')
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ kind: 'failed', why: expect.stringContaining('removed') }])
    expect(nodes.server.slots(SHARD).map(({ slot }) => slot)).toEqual([3, 4])
    await a.restart()
    expect(await a.seen(A)).toEqual(['1', '2'])
  },

  'a record of a later version stops the taker, and is not guessed at': async (parts) => {
    const { nodes, a } = await started(parts)
    a.kill()
    const record = pack([2, 'x', 'whatever it says'])
    nodes.server.write({ shard: SHARD, slot: 3, record, afterSequence: 2 })
    a.open()
    await a.opening()
    const why = 'slot 3 holds a record that this version cannot read: the bytes are not'
    expect(a.stops).toMatchObject([{ kind: 'failed', why: expect.stringContaining(why) }])
  },

  'a tail that cannot be written: no reply, no next slot, and the journal has the batch': async (
    parts,
  ) => {
    for (const fails of ['tail', 'flush', 'apply'] as const) {
      const { nodes, a } = await started(parts)
      const id = `${nodes.clock.now()}-x`
      if (fails === 'tail') a.store.failNext('full')
      if (fails === 'flush') a.store.failNextFlush()
      const noted = noting(a, 'x', id, 3_000)
      await nodes.settle()
      if (fails === 'apply') {
        expect(noted.answer).toBe('ok')
        a.connection.hold()
        noting(a, 'y', `${id}y`, 3_000)
        await nodes.settle(5)
        a.store.failNext('full')
        a.connection.release()
        await nodes.settle(5)
      }
      expect(a.stops).toMatchObject([{ kind: 'failed' }])
      const slots = nodes.server.slots(SHARD).length
      const next = noting(a, 'z', `${id}z`, 1_000)
      await nodes.settle(4_000)
      expect(noted.answer).toBe(fails === 'apply' ? 'ok' : 'no-answer')
      expect(next.answer).toBe('unavailable')
      expect(nodes.server.slots(SHARD)).toHaveLength(slots)
      await a.restart()
      expect(await a.seen(A)).toEqual(fails === 'apply' ? ['x', 'y'] : ['x'])
      await nodes.run(a.note(A, 'x', id))
      expect(await a.seen(A)).toEqual(fails === 'apply' ? ['x', 'y'] : ['x'])
      judgeJournal(nodes.server)
    }
  },

  'every node keeps the records that it wrote or applied, claims included': async (parts) => {
    const { nodes, a } = await started(parts)
    const b = await nodes.owner('b')
    for (let n = 0; n < 600; n++) await nodes.run(b.note(A, String(n)))
    await a.serve()
    for (const { store } of [a]) {
      const kept = bytesOf(nodes.server)
      expect(tailOf(store)).toEqual(kept.map((_, index) => index + 1))
      expect(appliedOf(store)).toBe(kept.length)
    }
    expect(decodeRecord(bytesOf(nodes.server).at(-1)!)).toMatchObject({ kind: 'claim', node: 'a' })
    expect(await a.seen(A)).toHaveLength(600)
  },
}

/** Restarts the node with a store whose flushes the test commands. */
async function freezeFlush(nodes: Nodes, a: JournaledNode): Promise<void> {
  a.kill({ manualFlush: true })
  a.open()
  for (let round = 0; round < 10; round++) {
    await nodes.settle()
    a.store.flush()
  }
  expect(a.opened).toBe('serves')
}
