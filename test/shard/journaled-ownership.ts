/**
 * Scenarios of the journaled path about who owns a shard: claims, fencing, unknown outcomes, reads.
 * Each runs with the real parts (journaled-ownership.test.ts) and with broken ones, which have to
 * make it fail (journaled-mutants.test.ts).
 */
import { expect } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import type { JournalFault } from '../../src/adapters/memory/journal.ts'
import type { ShardQuery } from '../../src/protocol/index.ts'
import { claims, judgeJournal, kinds, tailOf } from './journaled-judge.ts'
import { type JournaledNode, Nodes, type Parts, SHARD } from './journaled-nodes.ts'

const A = 'counter/a'

/** An owner with an actor: slot 1 is the claim, slot 2 the actor. */
export async function started(
  parts: Parts,
  options = {},
): Promise<{ nodes: Nodes; a: JournaledNode }> {
  const nodes = new Nodes({ parts })
  const a = await nodes.owner('a', options)
  expect(await a.answer(a.client.start(A))).toBe('ok')
  return { nodes, a }
}

export const ownership: Record<string, (parts: Parts) => Promise<void>> = {
  'of two that claim at once exactly one serves, and the other is told': async (parts) => {
    for (let seed = 1; seed <= 60; seed++) {
      const nodes = new Nodes({ parts })
      const random = new SeededRandom(seed)
      const latencyMs = () => Math.floor(random.fraction() * 4)
      const both = ['a', 'b'].map((name) => nodes.node(name, { journal: { latencyMs } }))
      for (const node of both) node.open(1)
      for (const node of both) await node.opening()
      const [winner, loser] = both[0]!.opened === 'serves' ? both : both.toReversed()
      expect(winner!.opened).toBe('serves')
      expect(loser!.opened).toMatchObject({ code: 'unavailable' })
      expect(loser!.stops).toMatchObject([{ kind: 'lost' }])
      expect(tailOf(loser!.store), 'what did not win is not kept').toEqual([])
      expect(await winner!.answer(winner!.client.start(A))).toBe('ok')
      expect(await loser!.answer(loser!.client.start(A, undefined, { timeoutMs: 100 }))).toBe(
        'unavailable',
      )
      expect(claims(nodes.server)).toEqual([`${winner!.name}@1`])
    }
  },

  'a loser that a newer view names claims over the winner': async (parts) => {
    for (let seed = 1; seed <= 60; seed++) {
      const nodes = new Nodes({ parts })
      const random = new SeededRandom(seed)
      const latencyMs = () => Math.floor(random.fraction() * 4)
      const a = nodes.node('a', { journal: { latencyMs } })
      const b = nodes.node('b', { journal: { latencyMs } })
      a.open(1)
      b.open(2)
      await a.opening()
      await b.opening()
      expect(b.opened).toBe('serves')
      expect(claims(nodes.server).at(-1)).toBe('b@2')
      const started = await a.answer(a.client.start(A, undefined, { timeoutMs: 100 }))
      expect(started).toBe('unavailable')
      expect(kinds(nodes.server)).toMatch(/^c{1,2}$/)
    }
  },

  'a claim that a batch of the old owner beat is tried again': async (parts) => {
    const { nodes, a } = await started(parts)
    const b = nodes.node('b', { journal: { latencyMs: () => 10 } })
    b.open()
    for (let ms = 0; ms < 100 && b.said.at(-1)?.on !== 'write'; ms++) await nodes.settle(1)
    expect(b.said.at(-1)).toMatchObject({ on: 'write', slot: 3 })
    expect(await a.answer(a.note(A, 'between'))).toBe('ok')
    await b.opening()
    expect(b.opened).toBe('serves')
    expect(kinds(nodes.server)).toBe('cbbc')
    expect(await b.seen(A)).toEqual(['between'])
  },

  'an owner with a batch under way is fenced, and the batch never happened': async (parts) => {
    const { nodes, a } = await started(parts)
    a.connection.hold()
    const noted = a.answer(a.note(A, 'x', `${nodes.clock.now()}-x`))
    await nodes.settle()
    expect(tailOf(a.store)).toEqual([1, 2, 3])
    const b = await nodes.owner('b')
    expect(await b.seen(A)).toEqual([])
    a.connection.release()
    expect(await noted).toBe('unavailable')
    expect(a.stops).toMatchObject([{ kind: 'lost' }])
    expect(a.engine.status()).toMatchObject({ state: 'stopped', residentCount: 0 })
    expect(tailOf(a.store), 'its row is gone').toEqual([1, 2])
    expect(tailOf(a.store.crash()), 'from the disk, too').toEqual([1, 2])
    // The same command, sent again where the shard is served now: once, and twice the same answer.
    const id = `${nodes.clock.now() - 2_000}-x`
    const first = await nodes.run(b.note(A, 'x', id))
    expect(await nodes.run(b.note(A, 'x', id))).toEqual(first)
    expect(await b.seen(A)).toEqual(['x'])
    expect(kinds(nodes.server)).toBe('cbcb')
  },

  'the caller who was told to try again may do so elsewhere with the same id': async (parts) => {
    const { nodes, a } = await started(parts)
    const id = `${nodes.clock.now()}-same`
    expect(await a.answer(a.note(A, 'once', id))).toBe('ok')
    const b = await nodes.owner('b')
    await nodes.run(b.note(A, 'once', id))
    expect(await b.seen(A)).toEqual(['once'])
  },

  'a node that was frozen between step and write thaws into a shard of another': async (parts) => {
    const { nodes, a } = await started(parts)
    a.connection.hold()
    const frozen = a.answer(a.note(A, 'frozen', undefined, 500_000))
    await nodes.settle(120_000)
    const b = await nodes.owner('b')
    for (const text of ['1', '2', '3']) expect(await b.answer(b.note(A, text))).toBe('ok')
    a.connection.release()
    await nodes.settle(1_000)
    expect(a.stops).toMatchObject([{ kind: 'lost' }])
    expect(await b.seen(A)).toEqual(['1', '2', '3'])
    expect(kinds(nodes.server)).toBe('cbcbbb')
    await nodes.settle(500_000)
    expect(await frozen).toBe('unavailable')
  },

  'a command is taken once, whichever way its write became unknown': async (parts) => {
    const cases: { fault: Omit<JournalFault, 'on'>; tries: number }[] = [
      { fault: { happened: true }, tries: 1 },
      { fault: { happened: false }, tries: 2 },
      { fault: { happened: false, count: 5 }, tries: 6 },
      { fault: { happened: false, landsAfterMs: 2 }, tries: 2 },
      { fault: { happened: false, landsAfterMs: 60 }, tries: 2 },
    ]
    for (const { fault, tries } of cases) {
      const { nodes, a } = await started(parts)
      a.connection.failNext({ on: 'write', ...fault })
      let answered = false
      const noted = a.answer(a.note(A, 'x')).finally(() => {
        answered = true
      })
      await nodes.settle()
      const certain = nodes.server.slots(SHARD).length === 3
      expect(answered, 'not before it is certain').toBe(certain)
      expect(await noted).toBe('ok')
      await nodes.settle(100)
      expect(new Set(a.triesOf(3).map(String)).size, 'identical bytes').toBe(1)
      expect(a.triesOf(3).length).toBeLessThanOrEqual(tries)
      expect(await a.answer(a.note(A, 'y'))).toBe('ok')
      expect(await a.seen(A)).toEqual(['x', 'y'])
      expect(kinds(nodes.server)).toBe('cbbb')
    }
  },

  'a write that lands after another claimed is refused, one that landed before is ours': async (
    parts,
  ) => {
    for (const landsAfterMs of [10, 1_000]) {
      const { nodes, a } = await started(parts)
      a.connection.failNext({ on: 'write', happened: false, landsAfterMs })
      const noted = a.answer(a.note(A, 'late', undefined, 10_000))
      await nodes.settle()
      a.connection.hold()
      await nodes.settle(100)
      const landed = nodes.server.slots(SHARD).length === 3
      expect(landed).toBe(landsAfterMs === 10)
      const b = await nodes.owner('b')
      await nodes.settle(2_000)
      a.connection.release()
      await nodes.settle(100)
      if (!landed) await nodes.settle(10_000)
      expect(await noted).toBe(landed ? 'ok' : 'unavailable')
      expect(await b.seen(A)).toEqual(landed ? ['late'] : [])
      expect(kinds(nodes.server)).toBe(landed ? 'cbbc' : 'cbc')
      // Its own batch stood: it learns of the other with what it does next.
      await a.answer(a.client.get(A, { timeoutMs: 100 }))
      expect(a.stops).toMatchObject([{ kind: 'lost' }])
    }
  },

  'refused by our own earlier try: acknowledged': async (parts) => {
    const { nodes, a } = await started(parts)
    // The first try arrives a moment after the second was sent, and before the second arrives.
    a.connection.failNext({ on: 'write', happened: false, landsAfterMs: 5 })
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    const writes = a.said.filter(({ on, slot }) => on === 'write' && slot === 3)
    expect(writes.map(({ answer }) => answer)).toEqual(['unknown', 'refused'])
    expect(kinds(nodes.server)).toBe('cbb')
  },

  'a batch with nothing to write is confirmed before it answers': async (parts) => {
    const { nodes, a } = await started(parts)
    const ends = () => a.said.filter(({ on }) => on === 'end').length
    const before = ends()
    a.connection.hold()
    let read = false
    const reading = a.seen(A).finally(() => {
      read = true
    })
    await nodes.settle()
    expect(read).toBe(false)
    a.connection.release()
    expect(await reading).toEqual([])
    expect(ends()).toBe(before + 1)
    expect(kinds(nodes.server), 'nothing was written').toBe('cb')
  },

  'a deposed owner answers no read, and no refusal either': async (parts) => {
    const questions: ((node: JournaledNode) => Promise<unknown>)[] = [
      ({ client }) => client.get(A, { timeoutMs: 100 }),
      ({ client }) => client.history(A, { timeoutMs: 100 }),
      // Judged on heads that are no longer true: the actor is there already, or unknown.
      ({ client }) => client.start(A, undefined, { timeoutMs: 100 }),
      ({ client }) => client.send('counter/b', { type: 'OFF' }, { timeoutMs: 100 }),
      ({ client }) => client.dryRun(A, { op: 'send', event: { type: 'OFF' } }, { timeoutMs: 100 }),
      ({ client }) => client.list({ filter: {}, sort: { by: 'id' }, limit: 10 }),
      ({ client }) => client.count(),
    ]
    for (const ask of questions) {
      const { nodes, a } = await started(parts)
      const b = await nodes.owner('b')
      expect(await b.answer(b.client.start('counter/b'))).toBe('ok')
      expect(await b.answer(b.client.delete(A))).toBe('ok')
      expect(await a.answer(ask(a))).toBe('unavailable')
      expect(a.stops).toMatchObject([{ kind: 'lost' }])
    }
  },

  'a count or list shows nothing of a batch that is not committed': async (parts) => {
    const { nodes, a } = await started(parts)
    const answers: unknown[] = []
    const count: ShardQuery = { kind: 'count', filter: {} }
    // The question is asked, then a batch is begun before its answer can come.
    a.engine.query(count, (answer) => void answers.push(answer))
    a.connection.hold()
    const pending = a.answer(a.client.start('counter/b', undefined, { timeoutMs: 500 }))
    await nodes.settle()
    a.engine.query(count, (answer) => void answers.push(answer))
    await nodes.settle()
    expect(answers).toEqual([])
    const b = await nodes.owner('b')
    a.connection.release()
    await nodes.settle(1_000)
    expect(await pending).toBe('unavailable')
    for (const answer of answers) expect(answer).toMatchObject({ error: { code: 'unavailable' } })
    expect(answers).toHaveLength(2)
    expect(await nodes.run(b.client.count())).toMatchObject([{ count: 1 }])
  },

  'questions are answered while commands never cease': async (parts) => {
    const { nodes, a } = await started(parts, { journal: { latencyMs: () => 3 } })
    let asked = 0
    let stop = false
    const ask = () => {
      if (stop) return
      a.engine.query({ kind: 'count', filter: {} }, (answer) => {
        if ('ok' in answer) asked += 1
        nodes.clock.defer(ask)
      })
    }
    ask()
    const noting = (async () => {
      for (let n = 0; n < 50; n++) await a.note(A, String(n))
    })()
    expect(await a.answer(noting)).toBe('ok')
    stop = true
    await nodes.settle(100)
    expect(a.stops, 'a question does not depose its owner').toEqual([])
    expect(asked).toBeGreaterThan(20)
    judgeJournal(nodes.server)
  },

  'after a long silence the end is read before anything is written': async (parts) => {
    const { nodes, a } = await started(parts)
    await nodes.settle(31_000)
    const from = a.said.length
    expect(await a.answer(a.note(A, 'x'))).toBe('ok')
    expect(a.said.slice(from).map(({ on }) => on)).toEqual(['end', 'write'])
    expect(await a.answer(a.note(A, 'y'))).toBe('ok')
    expect(a.said.slice(from).map(({ on }) => on)).toEqual(['end', 'write', 'write'])
    await nodes.settle(31_000)
    const b = await nodes.owner('b')
    const after = a.said.length
    expect(await a.answer(a.note(A, 'z', undefined, 100))).toBe('unavailable')
    expect(a.said.slice(after).map(({ on }) => on)).toEqual(['end'])
    expect(tailOf(a.store), 'nothing of it was kept').toEqual([1, 2, 3, 4])
    expect(await b.seen(A)).toEqual(['x', 'y'])
  },

  'on a new connection the end is read before anything is written': async (parts) => {
    // The server lost our end, and what another wrote there ends at the very same sequence.
    const { nodes, a } = await started(parts)
    const b = nodes.node('b')
    nodes.loseLast(1)
    await b.serve()
    expect(nodes.server.slots(SHARD)).toHaveLength(2)
    expect(await a.answer(a.note(A, 'x', undefined, 500))).toBe('no-answer')
    expect(a.said.at(-1), 'the write went nowhere').toMatchObject({ on: 'end' })
    expect(a.stops).toMatchObject([{ kind: 'lost' }])
    expect(kinds(nodes.server)).toBe('cc')
  },

  'a record that is larger than a message of the journal stops the shard at once': async (
    parts,
  ) => {
    const nodes = new Nodes({ parts })
    const a = await nodes.owner('a', { commit: { recordBytesMax: 4_000 } })
    expect(await a.answer(a.client.start(A))).toBe('ok')
    const grown = a.client.send(A, { type: 'BIG', by: 5_000 }, { timeoutMs: 100 })
    expect(await a.answer(grown)).toBe('unavailable')
    expect(a.stops).toMatchObject([{ kind: 'failed', why: expect.stringContaining('4000') }])
    expect(kinds(nodes.server)).toBe('cb')
  },
}
