/** What no node wrote in the stream of a journal: which slots are still read, and what is remembered of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NatsConnection } from 'nats'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { connectTo } from './connections.ts'
import { JournalParty, recordIn } from './journals.ts'

const SHARD = 1
const PATIENCE = { timeoutMs: 20_000 }

describe.skipIf(missingNatsServer)('what no node wrote', () => {
  let server: NatsServer
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  /** Parties of one cluster, and one who puts something under subjects of its journal. */
  async function sceneOf() {
    const cluster = `x${clusters++}`
    const party = () => {
      const one = new JournalParty({ servers: [server.url], cluster })
      onTestFinished(() => one.close())
      return one
    }
    const nats = await adminOf(server)
    const put = async (token: number | string) => {
      await nats.jetstream().publish(`troupe.${cluster}.journal.${SHARD}.${token}`, 'x')
    }
    return { nats, party, put, stream: `TROUPE_${cluster}_JOURNAL_${SHARD}` }
  }

  it.each([
    ['the last', 3],
    ['an older', 2],
  ])('hides no slot under whose subject it stands: %s', async (_, slot) => {
    const { party, put } = await sceneOf()
    const [one, other] = [party(), party()]
    await one.fill(SHARD, 3)
    // That of another shard, so that it is connected.
    await other.end(SHARD + 1)
    await put(slot)
    const record = `record of slot ${slot}`
    expect(await recordIn(one, SHARD, slot)).toBe(record)
    expect(await recordIn(other, SHARD, slot), 'who has not looked at the end').toBe(record)
    expect(await one.end(SHARD)).toMatchObject({ lastSlot: 3, lastSequence: 4 })
    expect(await recordIn(one, SHARD, slot), 'once it is removed').toBe(record)
    await other.end(SHARD)
    expect(await recordIn(other, SHARD, slot)).toBe(record)
    expect(await recordIn(other, SHARD, 4)).toBe('empty')
    expect(await one.remove(SHARD, 2)).toBe('removed')
    await one.end(SHARD)
    expect(await recordIn(one, SHARD, 2), 'what is removed is gone').toBe('empty')
  })

  it('hinders nobody who begins a shard', async () => {
    const { party, put } = await sceneOf()
    const [one, other] = [party(), party()]
    await one.end(SHARD)
    expect((await one.write(SHARD, 1, 0)).kind, 'the stream is created').toBe('unknown')
    await put(1)
    await one.end(SHARD)
    const end = { firstSlot: 0, lastSlot: 0, lastSequence: 1 }
    expect(await other.end(SHARD), 'whoever looks').toMatchObject(end)
    expect((await one.write(SHARD, 1, 1)).kind).toBe('written')
    expect(await other.end(SHARD)).toMatchObject({ firstSlot: 1, lastSlot: 1, lastSequence: 2 })
  })

  it('is looked at once, and told of in one line', async () => {
    const { nats, party, put, stream } = await sceneOf()
    const one = party()
    await one.fill(SHARD, 2)
    for (let n = 0; n < 5; n++) await put('x')
    const before = await one.end(SHARD)
    const said = one.log.lines.filter(({ message }) => message.includes('that no node wrote'))
    expect(said).toMatchObject([{ level: 'error', fields: { messages: 5, sequence: 3, bytes: 1 } }])
    const asked: string[] = []
    nats.subscribe(`$JS.API.STREAM.MSG.GET.${stream}`, {
      callback: (_, message) => void asked.push(message.string()),
    })
    await nats.flush()
    expect(await one.end(SHARD)).toEqual(before)
    expect(await recordIn(one, SHARD, 1)).toBe('record of slot 1')
    await until(
      () => asked.some((query) => query.includes('last_by_subj')),
      PATIENCE,
      () => `the question for the slot: ${asked.join()}`,
    )
    expect(asked).toHaveLength(1)
    await put('x')
    expect(await one.end(SHARD)).toMatchObject({ lastSlot: 2, lastSequence: 8 })
    expect((await one.write(SHARD, 3, 8)).kind).toBe('written')
    expect(await one.end(SHARD)).toMatchObject({ firstSlot: 1, lastSlot: 3, lastSequence: 9 })
  })
})

describe.skipIf(missingNatsServer)('what was read of a journal', () => {
  it('says nothing of what its server has after another start', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'troupe-older-'))
    const server = await startNatsServer()
    const setting = { servers: [server.url], cluster: 'main' }
    const [party, other] = [new JournalParty(setting), new JournalParty(setting)]
    onTestFinished(async () => {
      await Promise.all([party.close(), other.close()])
      await server.close()
      rmSync(directory, { recursive: true })
    })
    await party.fill(SHARD, 2)
    await server.stop()
    server.copyStore(directory)
    await server.start()
    await party.end(SHARD)
    const nats = await adminOf(server)
    await nats.jetstream().publish(`troupe.main.journal.${SHARD}.x`, 'x')
    expect(await party.append(SHARD)).toEqual({ slot: 3, sequence: 4 })
    await party.end(SHARD)
    await server.kill()
    server.replaceStore(directory)
    await server.start()
    // Written again without what stood between.
    expect(await other.append(SHARD)).toEqual({ slot: 3, sequence: 3 })
    expect(await other.append(SHARD)).toEqual({ slot: 4, sequence: 4 })
    expect(await party.end(SHARD)).toMatchObject({ firstSlot: 1, lastSlot: 4, lastSequence: 4 })
  })
})

async function adminOf(server: NatsServer): Promise<NatsConnection> {
  const connection = await connectTo(server.url)
  onTestFinished(() => connection.close())
  return connection.nats
}
