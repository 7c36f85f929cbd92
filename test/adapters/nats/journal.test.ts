/** The journal over a nats-server: the contract, and what servers, connections and disks do to it. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { headers, type JetStreamManager } from 'nats'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Connection } from '../../../src/adapters/nats/index.ts'
import { journalSuite } from '../../contract/journal.suite.ts'
import { realTime } from '../../contract/support.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { connectTo } from './connections.ts'
import { JournalParty, type JournalSetting, race, recordIn, writeUntilItFails } from './journals.ts'

let clusters = 0
const newCluster = () => `c${clusters++}`

describe.skipIf(missingNatsServer)('the journal over one nats-server', () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  const partyOf = (setting: Partial<JournalSetting> & { cluster: string }): JournalParty => {
    const party = new JournalParty({ servers: [server.url], ...setting })
    onTestFinished(() => party.close())
    return party
  }

  journalSuite('nats', async () => {
    const cluster = newCluster()
    const opened: JournalParty[] = []
    const connect = async () => {
      const party = new JournalParty({ servers: [server.url], cluster })
      opened.push(party)
      return party.journal
    }
    const close = async () => void (await Promise.all(opened.map((party) => party.close())))
    return { journal: await connect(), connect, ...realTime, close }
  })

  it('lets one of twelve racing writers win each slot', async () => {
    const cluster = newCluster()
    const parties = Array.from({ length: 12 }, () => partyOf({ cluster }))
    await parties[0]!.append(1)
    const { winners, seen } = await race(parties, 1, 60)
    expect(winners).toEqual(seen)
    expect(seen).not.toContain('empty')
  })

  it('answers unknown to the first write of each shard on a new connection', async () => {
    const party = partyOf({ cluster: newCluster() })
    const ends = [await party.fill(1, 2), await party.fill(2, 2)]
    await server.kill()
    expect((await party.write(1, 3, 2)).kind).toBe('unknown')
    await server.start()
    const [one] = [await party.end(1)]
    expect(await party.write(1, 3, one.lastSequence)).toEqual({ kind: 'written', sequence: 3 })
    // The other shard has not looked yet, although the connection was used.
    expect((await party.write(2, 3, 2)).kind).toBe('unknown')
    expect(await party.remove(2, 1)).toBe('removed')
    expect((await party.write(2, 3, 2)).kind, 'to remove is not to look').toBe('unknown')
    const two = await party.end(2)
    expect(await party.write(2, 3, 2)).toEqual({ kind: 'written', sequence: 3 })
    expect([one.serverId, two.serverId]).not.toContain(ends[0]!.serverId)
    expect(two.serverId).not.toBe(ends[1]!.serverId)
  })

  it('loses nothing that it acknowledged when the server is killed amid writes', async () => {
    const party = partyOf({ cluster: newCluster() })
    let { slot: newest } = await party.append(1)
    for (const target of [40, 80, 120]) {
      let killing: Promise<void> | undefined
      await writeUntilItFails(party, 1, (slot) => {
        newest = slot
        if (slot === target) killing = server.kill()
      })
      await killing
      await server.start()
      expect((await party.end(1)).lastSlot).toBeGreaterThanOrEqual(newest)
      expect(await recordIn(party, 1, newest)).toBe(`record of slot ${newest}`)
    }
  })

  it('keeps what was not removed when the server is killed after a removal', async () => {
    const party = partyOf({ cluster: newCluster() })
    await party.fill(1, 40)
    expect(await party.remove(1, 30)).toBe('removed')
    await server.kill()
    await server.start()
    expect(await party.end(1)).toMatchObject({ firstSlot: 31, lastSlot: 40, lastSequence: 40 })
    for (const slot of [31, 40]) {
      expect(await recordIn(party, 1, slot)).toBe(`record of slot ${slot}`)
    }
    expect(await party.remove(1, 99), 'as far as there are any').toBe('removed')
    expect(await party.end(1)).toMatchObject({ firstSlot: 0, lastSlot: 0, lastSequence: 40 })
  })

  it('answers unknown while the server stands still; what was sent may land later', async () => {
    const party = partyOf({ cluster: newCluster(), timeoutMs: 600 })
    const { lastSequence } = await party.fill(1, 2)
    await server.freeze()
    expect((await party.write(1, 3, lastSequence)).kind).toBe('unknown')
    expect((await party.tryEnd(1)).kind).toBe('unknown')
    expect((await party.read(1, 2)).kind).toBe('unknown')
    server.thaw()
    expect(await party.end(1)).toMatchObject({ lastSlot: 3 })
    expect(await party.write(1, 3, lastSequence)).toEqual({ kind: 'refused' })
    expect(await recordIn(party, 1, 3)).toBe('record of slot 3')
  })

  it('never begins a stream anew that is gone, but for who was told that there is none', async () => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    const before = await party.fill(1, 3)
    const manager = await managerOf(server)
    const stream = `TROUPE_${cluster}_JOURNAL_1`
    await manager.streams.delete(stream)
    expect((await party.write(1, 4, 3)).kind).toBe('unknown')
    const gone = await party.end(1)
    expect(gone).toMatchObject({ firstSlot: 0, lastSlot: 0, lastSequence: 0 })
    expect(gone.serverId).not.toBe(before.serverId)
    expect((await party.write(1, 4, 3)).kind).toBe('unknown')
    expect(await recordIn(party, 1, 3)).toBe('empty')
    expect(await party.remove(1, 2)).toBe('removed')
    const other = partyOf({ cluster })
    await other.end(2)
    expect((await other.write(1, 1, 0)).kind, 'nobody told it').toBe('unknown')
    expect(await manager.streams.names().next()).not.toContain(stream)
    // Whoever concluded that it has to begin looks once more at what it began.
    expect((await party.write(1, 1, 0)).kind).toBe('unknown')
    expect((await party.write(1, 1, 0)).kind).toBe('unknown')
    const anew = await party.end(1)
    expect([gone.serverId, before.serverId]).not.toContain(anew.serverId)
    expect((await party.write(1, 1, 0)).kind).toBe('written')
  })

  it('refuses a stream that is not what it asked for, and says once what differs', async () => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    await party.fill(1, 1)
    const manager = await managerOf(server)
    const stream = `TROUPE_${cluster}_JOURNAL_1`
    await manager.streams.update(stream, { max_age: 3_600_000_000_000, max_msgs: 9 })
    const refused = [await party.tryEnd(1), await party.tryEnd(1)]
    const why = expect.stringContaining('max_msgs is 9 instead of -1, max_age is 3600000000000')
    expect(refused).toEqual([1, 2].map(() => ({ kind: 'unknown', why })))
    const said = party.log.lines.filter(({ level }) => level === 'error')
    expect(said).toMatchObject([{ fields: { stream, why } }])
    await manager.streams.update(stream, { max_age: 0, max_msgs: -1 })
    expect(await party.end(1)).toMatchObject({ lastSlot: 1 })
  })

  it('refuses to create a stream where one of that name is another', async () => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    expect((await party.end(1)).lastSlot).toBe(0)
    const manager = await managerOf(server)
    await manager.streams.add({
      name: `TROUPE_${cluster}_JOURNAL_1`,
      subjects: [`other.${cluster}`],
    })
    const why = expect.stringContaining('subjects is')
    expect(await party.write(1, 1, 0)).toEqual({ kind: 'unknown', why })
  })

  it('says why a record is never written that is too large for the server', async () => {
    const party = partyOf({ cluster: newCluster() })
    const { lastSequence } = await party.fill(1, 1)
    const why = expect.stringContaining('takes 1048320 (max_payload)')
    const written = await party.write(1, 2, lastSequence, 'x'.repeat(1024 * 1024))
    expect(written).toEqual({ kind: 'unknown', why })
    expect(party.log.said('cannot be used')?.fields).toMatchObject({ why })
    expect((await party.write(1, 2, lastSequence, 'x'.repeat(1_048_320))).kind).toBe('written')
  })

  it.each([
    ['under the subject of the next slot', '3'],
    ['under one that is no slot', 'x3'],
  ])('what no node wrote is no slot, and nothing is lost or stuck by it: %s', async (_, token) => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    const before = await party.fill(1, 2)
    const { nats } = await connectionTo(server)
    const js = nats.jetstream()
    for (let n = 0; n < 2; n++) await js.publish(`troupe.${cluster}.journal.1.${token}`, 'x')
    expect((await party.read(1, 3)).kind).toBe('empty')
    // Its writer is told that the end is another: what it remembers of it does not count any more.
    expect((await party.write(1, 3, before.lastSequence)).kind).toBe('refused')
    const end = await party.end(1)
    expect(end).toMatchObject({ firstSlot: 1, lastSlot: 2, lastSequence: 4 })
    expect(end.serverId).toBe(before.serverId)
    const said = party.log.lines.filter(({ message }) => message.includes('that no node wrote'))
    expect(said).toMatchObject([{ level: 'error', fields: { messages: 2, sequence: 3 } }])
    expect((await party.write(1, 3, end.lastSequence)).kind).toBe('written')
    const other = partyOf({ cluster })
    expect(await other.end(1)).toMatchObject({ firstSlot: 1, lastSlot: 3, lastSequence: 5 })
    expect((await other.read(1, 3)).kind).toBe('found')
  })

  it.each([
    ['3', 'slot 3 as an older version wrote it'],
    ['x3', 'no slot'],
  ])(
    'what was written as slots are and has no mark is left for people to judge: %s',
    async (token, holds) => {
      const cluster = newCluster()
      const party = partyOf({ cluster })
      await party.fill(1, 2)
      const { nats } = await connectionTo(server)
      const asSlots = { expect: { lastSubjectSequence: 0 } }
      await nats.jetstream().publish(`troupe.${cluster}.journal.1.${token}`, 'x', asSlots)
      const why = expect.stringContaining(holds)
      expect(await party.tryEnd(1)).toEqual({ kind: 'unknown', why })
      expect(party.log.said('cannot be used')).toBeDefined()
      const { streams } = await nats.jetstreamManager()
      expect((await streams.info(`TROUPE_${cluster}_JOURNAL_1`)).state.messages).toBe(3)
    },
  )

  it('takes no word of another stream for its own', async () => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    await party.fill(1, 1)
    const { nats } = await connectionTo(server)
    const { streams } = await nats.jetstreamManager()
    await streams.delete(`TROUPE_${cluster}_JOURNAL_1`)
    await streams.add({ name: `ALL_${cluster}`, subjects: [`troupe.${cluster}.>`] })
    await nats.jetstream().publish(`troupe.${cluster}.y`)
    const why = `another stream took it: ALL_${cluster}`
    expect(await party.write(1, 2, 1)).toEqual({ kind: 'unknown', why })
  })

  it('reads a stream anew that somebody has put back by hand', async () => {
    const cluster = newCluster()
    const party = partyOf({ cluster })
    const before = await party.fill(1, 2)
    const { nats } = await connectionTo(server)
    const { streams } = await nats.jetstreamManager()
    const name = `TROUPE_${cluster}_JOURNAL_1`
    const { config } = await streams.info(name)
    await streams.delete(name)
    await streams.add(config)
    for (const slot of [8, 9]) {
      const marked = headers()
      marked.set('Troupe-Slot', String(slot))
      const subject = `troupe.${cluster}.journal.1.${slot}`
      await nats.jetstream().publish(subject, undefined, { headers: marked })
    }
    const end = await party.end(1)
    expect(end).toMatchObject({ firstSlot: 8, lastSlot: 9, lastSequence: 2 })
    expect(end.serverId).not.toBe(before.serverId)
  })

  it('refuses names of clusters that do not fit', () => {
    for (const cluster of ['', 'a.b', 'a b', '*', 'x'.repeat(65)]) {
      expect(() => partyOf({ cluster })).toThrow(/cannot name a cluster/)
    }
  })
})

describe.skipIf(missingNatsServer)('the journal and the disk of its server', () => {
  it('is another copy when an older one of the disk took its place', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'troupe-journal-'))
    const [store, older] = [join(directory, 'store'), join(directory, 'older')]
    const config = `jetstream { store_dir: ${JSON.stringify(store)} }`
    const server = await startNatsServer({ jetstream: false, config })
    const party = new JournalParty({ servers: [server.url], cluster: 'main' })
    onTestFinished(async () => {
      await party.close()
      await server.close()
      rmSync(directory, { recursive: true })
    })
    await party.fill(1, 3)
    await server.stop()
    cpSync(store, older, { recursive: true })
    await server.start()
    const { lastSlot, lastSequence, serverId } = await party.end(1)
    expect(lastSlot).toBe(3)
    expect((await party.write(1, 4, lastSequence)).kind).toBe('written')
    await server.kill()
    rmSync(store, { recursive: true })
    cpSync(older, store, { recursive: true })
    await server.start()
    expect((await party.write(1, 5, 4)).kind).toBe('unknown')
    const end = await party.end(1)
    expect(end.lastSlot).toBe(3)
    expect(end.serverId).not.toBe(serverId)
    expect(await party.write(1, 5, 4)).toEqual({ kind: 'refused' })
  })
})

async function connectionTo(server: NatsServer): Promise<Connection> {
  const connection = await connectTo(server.url)
  onTestFinished(() => connection.close())
  return connection
}

async function managerOf(server: NatsServer): Promise<JetStreamManager> {
  return (await connectionTo(server)).nats.jetstreamManager()
}
