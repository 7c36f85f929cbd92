/** From one owner to the next: what the old one still does, and how long the new one waits. */
import { describe, expect, it } from 'vitest'
import { encodeView, viewNumber } from '../../src/cluster/view.ts'
import { tailKey } from '../../src/shard/keys.ts'
import { kinds, tailOf } from '../shard/journaled-judge.ts'
import { Nodes, REAL, SHARD } from '../shard/journaled-nodes.ts'
import { started } from '../shard/journaled-ownership.ts'
import { decodeRecord } from '../shard/slot-record.ts'
import { judgeJournals, Load } from './load.ts'
import { Cluster } from './nodes.ts'

const A = 'counter/a'

describe('an engine that lets go', () => {
  it('finishes its slot, refuses the rest as moved, and says in the journal to whom', async () => {
    const { nodes, a } = await started(REAL)
    a.connection.hold()
    const first = a.answer(a.note(A, 'under way', undefined, 5_000))
    await nodes.settle()
    const second = a.answer(a.note(A, 'waits', undefined, 50))
    await nodes.settle()
    let ended = 0
    a.engine.letGo('b', () => {
      ended += 1
    })
    expect(a.engine.state).toBe('leaving')
    const third = a.answer(a.note(A, 'late', undefined, 50))
    const asked = a.answer(a.client.count({}, { timeoutMs: 50 }))
    await nodes.settle(200)
    expect([await second, await third, await asked]).toEqual(['moved', 'moved', 'moved'])
    expect(ended).toBe(0)
    a.connection.release()
    expect(await first).toBe('ok')
    await nodes.settle(50)
    expect([ended, a.engine.state, a.stops]).toEqual([1, 'stopped', []])
    expect(kinds(nodes.server)).toBe('cbbr')
    const release = decodeRecord(nodes.server.slots(SHARD)[3]!.record)
    expect(release).toMatchObject({ kind: 'release', to: 'b', serverId: 'memory-0-1' })
    expect(tailOf(a.store), 'releases are kept as well').toEqual([1, 2, 3, 4])
    const stale = nodes.node('stale')
    stale.open(0)
    await stale.opening()
    expect(stale.opened, 'by a view that is older than the last claim').not.toBe('serves')
    const b = nodes.node('b')
    // Nobody owns it now: the view need not be newer.
    await b.serve(1)
    expect(await b.seen(A)).toEqual(['under way'])
  })

  it('without anything under way it lets go at once; while it takes, without a word', async () => {
    const { nodes, a } = await started(REAL)
    let ended = 0
    a.engine.letGo('b', () => {
      ended += 1
    })
    await nodes.settle(20)
    expect([ended, kinds(nodes.server)]).toEqual([1, 'cbr'])
    const b = nodes.node('b', { journal: { latencyMs: () => 10 } })
    b.open()
    b.engine.letGo('c', () => {
      ended += 1
    })
    await nodes.settle(200)
    expect([ended, kinds(nodes.server), b.engine.state]).toEqual([2, 'cbr', 'stopped'])
  })

  it('does not wait for its own disk: nobody is told of anything', async () => {
    const { nodes, a } = await started(REAL)
    const write = a.store.write.bind(a.store)
    const released = tailKey(SHARD, 3)
    a.store.write = (transaction) => {
      if (!transaction.writes.some(([key]) => Buffer.compare(key, released) === 0))
        write(transaction)
    }
    let ended = 0
    a.engine.letGo('b', () => {
      ended += 1
    })
    await nodes.settle(20)
    expect([ended, kinds(nodes.server)]).toEqual([1, 'cbr'])
    const b = nodes.node('b')
    await b.serve(1)
    expect(tailOf(b.store), 'who claims behind it has it').toEqual([1, 2, 3, 4])
  })

  it('that was fenced meanwhile ends as lost', async () => {
    const { nodes, a } = await started(REAL)
    await nodes.owner('b')
    let ended = 0
    a.engine.letGo('b', () => {
      ended += 1
    })
    await nodes.settle(50)
    expect([ended, a.stops.length, kinds(nodes.server)]).toEqual([1, 1, 'cbc'])
    expect(tailOf(a.store), 'its release is not kept').toEqual([1, 2])
  })

  it('after a long silence reads the end before it writes the release', async () => {
    const { nodes, a } = await started(REAL)
    await nodes.settle(31_000)
    const from = a.said.length
    a.engine.letGo('b', () => {})
    await nodes.settle(50)
    expect(a.said.slice(from).map(({ on }) => on)).toEqual(['end', 'write'])
  })
})

describe('the next owner', () => {
  it('asks the journal for no more than its end, what it lacks, and the claim', async () => {
    const { nodes, a } = await started(REAL)
    a.engine.letGo('a', () => {})
    await nodes.settle(20)
    const from = a.said.length
    await a.serve()
    const asked = a.said.slice(from).map(({ on }) => on)
    expect(asked, 'the release once, and not the claim before').toEqual(['end', 'read', 'write'])
  })

  it('waits until the old one has let go', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const load = await Load.on(cluster)
    await cluster.settle(1_000)
    const before = cluster.served()
    cluster.node('c').start()
    const named = () => cluster.view().owners.indexOf('c')
    const standing = () => cluster.view().standbys.indexOf('c')
    await cluster.until(() => standing() >= 0, 'c is named standby')
    // The slots of those that have to let go are under way and stay so.
    const names = new Set(cluster.view().standbys.flatMap((n, s) => (n === 'c' ? before[s]! : [])))
    const olds = [...names].map((name) => cluster.at(name))
    for (const old of olds) old.journal.connection.hold()
    await cluster.until(() => named() >= 0, 'c is named owner', 20_000, 1)
    const shard = named()
    expect(names).toContain(before[shard])
    await cluster.settle(5_000)
    expect(cluster.serving(shard)).not.toContain('c')
    for (const old of olds) old.journal.connection.release()
    await cluster.until(() => cluster.isSettled(), 'it is handed over')
    await load.judge()
    expect(load.failures).toEqual([])
    const marks = cluster.records(shard).filter(({ kind }) => kind !== 'batch')
    expect(marks.slice(-2).map(({ kind }) => kind)).toEqual(['release', 'claim'])
  })

  it('claims over one that does not let go in time, and nothing is lost', async () => {
    const cluster = new Cluster({ limits: { handoffMs: 4_000 } })
    await cluster.started(['a', 'b'])
    const load = await Load.on(cluster, 20_000)
    await cluster.settle(1_000)
    const deaf = cluster.live.find((node) => node !== cluster.leader())!
    // It goes on serving by a view of before.
    deaf.staleView = encodeView(cluster.view())
    const before = cluster.served()
    cluster.node('c').start()
    const shard = () =>
      cluster.view().owners.findIndex((n, s) => n === 'c' && before[s] === deaf.name)
    await cluster.until(() => shard() >= 0, 'c is named')
    const at = shard()
    await cluster.settle(3_000)
    expect(cluster.serving(at)).toEqual([deaf.name])
    await cluster.until(() => cluster.serving(at).includes('c'), 'c claims', 5_000)
    await cluster.settle(3_000)
    expect(cluster.serving(at)).toEqual(['c'])
    deaf.staleView = undefined
    await cluster.until(() => cluster.isSettled(), 'it comes to rest')
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('that was named again before it noticed claims anew: the other might still have claimed', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const load = await Load.on(cluster)
    await cluster.settle(1_000)
    const before = cluster.view()
    const shard = before.owners.indexOf('b')
    const b = cluster.at('b')
    b.staleView = encodeView(before)
    const replaced = <T>(list: readonly T[], by: T) =>
      list.map((one, n) => (n === shard ? by : one))
    const other = {
      ...before,
      version: before.version + 1,
      owners: replaced(before.owners, 'x'),
      standbys: replaced(before.standbys, 'b'),
    }
    cluster.registry.put('view', encodeView(other), () => {})
    await cluster.until(() => cluster.view().former[shard]!.length > 0, 'b is named again')
    expect(cluster.view().owners[shard]).toBe('b')
    expect(cluster.view().former[shard]).toEqual([{ name: 'x', until: viewNumber(other) }])
    await cluster.settle(5_000)
    expect(cluster.serving(shard), 'it has not noticed').toEqual(['b'])
    b.staleView = undefined
    await cluster.until(() => cluster.isSettled(), 'nobody else is asked any more')
    const marks = cluster.records(shard).filter(({ kind }) => kind !== 'batch')
    expect(marks.slice(-2)).toMatchObject([
      { kind: 'release', to: 'b' },
      { kind: 'claim', node: 'b' },
    ])
    await load.judge()
    expect(load.failures).toEqual([])
  })

  it('that has lost a race tries again only by a newer view', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const shard = cluster.view().owners.indexOf('b')
    const b = cluster.at('b')
    // Another owns it by a view that b has not seen.
    const nodes = new Nodes()
    const view = cluster.view()
    const by = viewNumber(view) + 5
    const claims = () => cluster.records(shard).filter(({ kind }) => kind === 'claim')
    const stranger = nodes.node('stranger')
    expect(stranger.opened).toBe('no')
    const { JournaledCommit } = await import('../../src/shard/index.ts')
    const { MemoryJournal, MemoryStore, SeededRandom } = await import(
      '../../src/adapters/memory/index.ts'
    )
    const { clock } = cluster
    const commit = new JournaledCommit({
      shard,
      clock,
      store: new MemoryStore({ clock }),
      journal: new MemoryJournal({ clock, server: cluster.server }),
      random: new SeededRandom(3),
      log: { ...nullLog, child: () => nullLog },
      node: 'x',
      viewVersion: by,
    })
    let taken = ''
    commit.take(({ kind }) => {
      taken = kind
    })
    await cluster.settle(100)
    expect(taken).toBe('taken')
    const address = cluster.on(shard)
    const started = await cluster.answer(
      cluster.client.start(address, undefined, { timeoutMs: 500 }),
    )
    expect(started).toBe('unavailable')
    await cluster.settle(20_000)
    expect(claims().at(-1)).toMatchObject({ node: 'x', viewVersion: by })
    expect(b.said('warn', 'has lost a shard')).toHaveLength(1)
    for (let version = view.version + 1; version <= view.version + 7; version++) {
      cluster.registry.put('view', encodeView({ ...view, version }), () => {})
      await cluster.settle(3_000)
    }
    expect(claims().at(-1)).toMatchObject({ node: 'b' })
    expect(cluster.serving(shard)).toEqual(['b'])
    judgeJournals(cluster)
  })
})

const nullLog = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => nullLog,
}
