/** A journal that lost its end: what neither it nor the taker has is asked of all who may have it. */
import { describe, expect, it } from 'vitest'
import { encodeView } from '../../src/cluster/view.ts'
import { pack, unpack } from '../../src/protocol/index.ts'
import { judgeJournals, Load } from './load.ts'
import { loseEndsUnderLoad } from './lost-ends.ts'
import { Cluster, type TestNode } from './nodes.ts'

const SHARD = 5
/** A standby that has everything looks again within this time. */
const FOLLOWED_MS = 1_000

interface Lost {
  cluster: Cluster
  address: string
  /** It owned the shard, has everything, and is dead. */
  owner: TestNode
  /** It follows, and has not seen the last notes. */
  standby: TestNode
  before: string[]
}

/** Three notes are acknowledged, which the standby has not read; then owner and journal die. */
async function lost(count = 3): Promise<Lost> {
  const cluster = new Cluster()
  await cluster.started(['a', 'b', 'c'])
  const address = cluster.on(SHARD)
  expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
  await cluster.settle(FOLLOWED_MS)
  const owner = cluster.at(cluster.view().owners[SHARD]!)
  const standby = cluster.at(cluster.view().standbys[SHARD]!)
  standby.journal.connection.hold()
  for (const text of ['1', '2', '3']) {
    expect(await cluster.answer(cluster.note(address, text))).toBe('ok')
  }
  const before = bytesOf(cluster)
  owner.kill()
  standby.journal.connection.release('lose')
  cluster.loseLast(SHARD, count)
  return { cluster, address, owner, standby, before }
}

function bytesOf(cluster: Cluster): string[] {
  return cluster.server.slots(SHARD).map(({ record }) => Buffer.from(record).toString('hex'))
}

const waitsFor = (node: TestNode) => node.node.status().shards[SHARD]!.waitsFor

describe('a journal that lost its end', () => {
  it('is waited with until the dead owner is back, and written again from its tail', async () => {
    for (const count of [3, 4, 1_000]) {
      const { cluster, address, owner, standby, before } = await lost(count)
      await cluster.until(() => waitsFor(standby).length > 0, 'it is asked for')
      await cluster.settle(60_000)
      expect(waitsFor(standby)).toEqual([owner.name])
      expect(cluster.serving(SHARD), 'nobody goes on without it').toEqual([])
      const waiting = standby.said('warn', 'waits for what other nodes have kept')
      expect(waiting.length).toBeGreaterThanOrEqual(5)
      expect(waiting.length).toBeLessThanOrEqual(7)
      expect(waiting.at(-1)!.fields).toEqual({ shard: SHARD, missing: [owner.name] })
      const others = cluster.served().filter((name) => name !== undefined)
      expect(others, 'the other shards do not wait').toHaveLength(7)
      owner.restart()
      await cluster.until(() => cluster.serving(SHARD).length === 1, 'it goes on')
      expect(bytesOf(cluster).slice(0, before.length), 'byte for byte').toEqual(before)
      expect(await cluster.seen(address)).toEqual(['1', '2', '3'])
      expect(standby.said('error', 'its end is written again')).toHaveLength(1)
      await cluster.until(() => cluster.isSettled(), 'it comes to rest')
      judgeJournals(cluster)
    }
  })

  it('is waited with by a leader that was shown an old view: the last claim says who has to be asked', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b'])
    const address = cluster.on(SHARD)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    await cluster.settle(FOLLOWED_MS)
    const old = cluster.view()
    const late = cluster.at(old.owners[SHARD]!)
    const owner = cluster.at(old.standbys[SHARD]!)
    late.kill()
    await cluster.until(() => cluster.serving(SHARD).length === 1, 'the other takes it')
    expect(cluster.serving(SHARD)).toEqual([owner.name])
    expect(await cluster.answer(cluster.note(address, '1'))).toBe('ok')
    const before = bytesOf(cluster)
    owner.kill()
    cluster.loseLast(SHARD, 1)
    late.staleView = encodeView(old)
    late.restart()
    await cluster.until(() => waitsFor(late).length > 0, 'it asks')
    await cluster.settle(20_000)
    expect([waitsFor(late), cluster.serving(SHARD)]).toEqual([[owner.name], []])
    owner.restart()
    await cluster.until(() => cluster.serving(SHARD).length === 1, 'it goes on')
    expect(bytesOf(cluster).slice(0, before.length), 'byte for byte').toEqual(before)
    expect(await cluster.seen(address)).toEqual(['1'])
  })

  it('goes on without a node that an operator has given up, and says so', async () => {
    const { cluster, address, owner, standby } = await lost()
    await cluster.until(() => waitsFor(standby).length > 0, 'it is asked for')
    expect(standby.node.giveUp('nobody')).toEqual([])
    await cluster.settle(5_000)
    expect(cluster.serving(SHARD)).toEqual([])
    expect(standby.node.giveUp(owner.name)).toEqual([SHARD])
    expect(standby.said('error', 'given up').at(-1)!.fields).toEqual({
      node: owner.name,
      shards: [SHARD],
    })
    await cluster.until(() => cluster.serving(SHARD).length === 1, 'it goes on', 5_000)
    expect(await cluster.seen(address)).toEqual([])
    await cluster.until(() => cluster.isSettled(), 'nobody waits for it any more')
    expect(cluster.view().former[SHARD]).toEqual([])
  })

  /** The records of the old owner were given up, and the journal has gone on without them. */
  async function parted() {
    const { cluster, address, owner, standby } = await lost()
    await cluster.until(() => waitsFor(standby).length > 0, 'it waits')
    standby.node.giveUp(owner.name)
    await cluster.until(() => cluster.isSettled(), 'it goes on')
    const after = ['4', '5', '6', '7']
    for (const text of after) expect(await cluster.answer(cluster.note(address, text))).toBe('ok')
    const own = () => owner.node.status().shards
    const served = () => own().filter(({ engine }) => engine?.state === 'serving').length
    const refused = { role: 'none', parted: expect.stringContaining('another record') }
    return { cluster, address, owner, after, own, served, refused }
  }

  it('a store that has parted from it is no standby, and its node serves other shards', async () => {
    const { cluster, owner, own, served, refused } = await parted()
    owner.restart()
    await cluster.until(() => own()[SHARD]!.parted !== undefined, 'it has looked')
    await cluster.until(() => served() >= 2, 'it has its share again')
    await cluster.settle(10_000)
    expect(own()[SHARD]).toMatchObject(refused)
    const view = cluster.view()
    expect([view.owners[SHARD], view.standbys[SHARD]]).not.toContain(owner.name)
    // Named all the same, by a leader that has not heard of it, it does not even try.
    const owners = view.owners.with(SHARD, owner.name)
    cluster.registry.put(
      'view',
      encodeView({ ...view, version: view.version + 1, owners }),
      () => {},
    )
    await cluster.settle(100)
    expect(owner.said('error', 'cannot be taken')).toEqual([])
    await cluster.until(() => cluster.isServed(), 'another takes it')
    expect(owner.stops).toEqual([])
  })

  it('a store that has parted from it cannot be taken with, and its node serves other shards', async () => {
    const { cluster, address, owner, after, own, served, refused } = await parted()
    const others = cluster.live
    for (const node of others) node.kill()
    owner.restart()
    await cluster.until(() => served() === cluster.shardCount - 1, 'it takes the others')
    await cluster.settle(5_000)
    expect(own()[SHARD]).toMatchObject(refused)
    expect(owner.said('error', 'cannot be taken')).toHaveLength(1)
    expect(owner.stops).toEqual([])
    for (const node of others) node.restart()
    await cluster.until(() => cluster.isServed(), 'they are back')
    expect(await cluster.seen(address)).toEqual(after)
  })

  it('all that a standby has is written again when the owner has nothing left', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const address = cluster.on(SHARD)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    for (const text of ['1', '2']) await cluster.run(cluster.note(address, text))
    await cluster.settle(FOLLOWED_MS)
    const before = bytesOf(cluster)
    const view = cluster.view()
    // Both the owner's disk and the end of the journal are gone.
    const owner = cluster.at(view.owners[SHARD]!)
    owner.kill()
    owner.wipe()
    cluster.loseLast(SHARD, 1_000)
    owner.restart()
    await cluster.until(() => cluster.serving(SHARD).length === 1, 'it is served')
    expect(bytesOf(cluster).slice(0, before.length)).toEqual(before)
    expect(await cluster.seen(address)).toEqual(['1', '2'])
  })

  it('a living owner takes its shard again, and nothing is lost', () => loseEndsUnderLoad(1, 4))

  it('all nodes and the end of the journal are lost at once, with the disks intact', async () => {
    for (const seed of [1, 2, 3]) {
      const cluster = new Cluster({ seed })
      await cluster.started(['a', 'b', 'c'])
      const load = await Load.on(cluster, 60_000)
      await cluster.settle(2_000)
      for (const name of ['a', 'b', 'c']) cluster.at(name).kill()
      for (let shard = 0; shard < 8; shard++) cluster.loseLast(shard, 3 + shard)
      // One after another, and the first ones have to wait for the last.
      for (const name of ['c', 'a', 'b']) {
        cluster.at(name).restart()
        await cluster.settle(8_000)
      }
      await cluster.until(() => cluster.isSettled(), 'they come back')
      await load.judge()
      expect(load.failures).toEqual([])
    }
  })

  it('a member that is asked lets go before it answers', async () => {
    const cluster = new Cluster()
    await cluster.started(['a', 'b', 'c'])
    const address = cluster.on(SHARD)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    const owner = cluster.at(cluster.view().owners[SHARD]!)
    // It may take again by this view whatever it loses: it claimed by the one before.
    const view = cluster.view()
    cluster.registry.put('view', encodeView({ ...view, version: view.version + 1 }), () => {})
    await cluster.settle(10)
    const ask = (by: number) => {
      const answers: unknown[] = []
      const payload = pack([SHARD, 1, by])
      const request = { subject: cluster.subjects.tail(owner.name), payload, timeoutMs: 1_000 }
      cluster.transport.request(request, (outcome) => {
        answers.push(outcome.kind === 'reply' ? unpack(outcome.payload) : outcome.kind)
      })
      return answers
    }
    const known = owner.node.status().viewNumber
    const stale = ask(known - 1)
    await cluster.settle(50)
    expect(stale, 'who asks by an old view is not named').toEqual([['stale', known]])
    expect(cluster.serving(SHARD)).toEqual([owner.name])
    // Under way: the slot is not acknowledged, and its row is not flushed.
    owner.journal.connection.hold()
    const noted = cluster.answer(cluster.note(address, 'x', 1_000))
    await cluster.settle()
    const asked = ask(known + 1)
    await cluster.settle(50)
    expect(cluster.serving(SHARD)).toEqual([])
    const [answer] = asked as [['rows', number, [number, Uint8Array][], boolean]]
    const slots = cluster.server.slots(SHARD).length
    expect(answer[2].map(([slot]) => slot)).toEqual(
      Array.from({ length: slots + 1 }, (_, index) => index + 1),
    )
    owner.journal.connection.release()
    await cluster.settle(5_000)
    expect(['unavailable', 'no-answer']).toContain(await noted)
    expect(cluster.serving(SHARD), 'not again by an older view than the taker has').toEqual([])
  })

  it('a tail is given in pages', async () => {
    const cluster = new Cluster({ limits: { tailBytesMax: 300 } })
    await cluster.started(['a', 'b', 'c'])
    const address = cluster.on(SHARD)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    for (let n = 0; n < 20; n++) await cluster.run(cluster.note(address, String(n)))
    const owner = cluster.at(cluster.view().owners[SHARD]!)
    const before = bytesOf(cluster)
    await cluster.settle(FOLLOWED_MS)
    owner.kill()
    owner.wipe()
    cluster.loseLast(SHARD, 15)
    owner.restart()
    await cluster.until(() => cluster.serving(SHARD).length === 1, 'it is served')
    expect(bytesOf(cluster).slice(0, before.length)).toEqual(before)
  })
})
