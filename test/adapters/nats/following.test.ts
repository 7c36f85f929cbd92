/** How the journal gives slots to who follows a shard, while it is written, killed and begun anew. */
import type { NatsConnection } from 'nats'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { connectTo } from './connections.ts'
import { JournalParty, recordIn } from './journals.ts'

const SHARD = 1
const PATIENCE = { timeoutMs: 20_000 }

interface Following {
  writer: JournalParty
  follower: JournalParty
  asked: readonly string[]
  from: number
}

describe.skipIf(missingNatsServer)('who follows a shard', () => {
  let server: NatsServer
  let admin: NatsConnection
  let clusters = 0
  beforeAll(async () => {
    server = await startNatsServer()
    admin = (await connectTo(server.url)).nats
  })
  afterAll(() => server.close())

  /** One who writes, one who follows, and how often a slot was asked for by itself. */
  const pair = async () => {
    const cluster = `f${clusters++}`
    const setting = { servers: [server.url], cluster }
    const parties = [new JournalParty(setting), new JournalParty(setting)] as const
    const stream = `TROUPE_${cluster}_JOURNAL_${SHARD}`
    const asked: string[] = []
    const subscription = admin.subscribe(`$JS.API.STREAM.MSG.GET.${stream}`, {
      callback: (_, message) => void asked.push(message.string()),
    })
    onTestFinished(async () => {
      subscription.unsubscribe()
      await Promise.all(parties.map((party) => party.close()))
    })
    const [writer, follower] = parties
    await writer.fill(SHARD, 4)
    const consumers = async () =>
      (await (await admin.jetstreamManager()).consumers.list(stream).next()).length
    return { writer, follower, asked, consumers, stream }
  }

  /** As a standby: to the end, and again. */
  const follow = async (follower: JournalParty, from: number) => {
    const { lastSlot } = await follower.end(SHARD)
    for (let slot = from; slot <= lastSlot; slot++) {
      expect(await recordIn(follower, SHARD, slot)).toBe(`record of slot ${slot}`)
    }
    return lastSlot
  }

  /** Writes and follows until nothing was asked for by itself; returns the next slot. */
  const sentAll = async ({ writer, follower, asked, from }: Following) => {
    let next = from
    await until(
      async () => {
        for (let n = 0; n < 20; n++) await writer.append(SHARD)
        const before = asked.length
        next = (await follow(follower, next)) + 1
        return asked.length === before
      },
      PATIENCE,
      () => asked.join(),
    )
    return next
  }

  it('is sent what is written, and asks for none of it', async () => {
    const { writer, follower, asked, consumers } = await pair()
    await follow(follower, 1)
    await writer.append(SHARD)
    await follow(follower, 5)
    await sentAll({ writer, follower, asked, from: 6 })
    expect(await consumers()).toBe(1)
  })

  it('reads what the server has after it was killed, and is sent what comes then', async () => {
    const { writer, follower, asked } = await pair()
    await follow(follower, 1)
    await writer.append(SHARD)
    const next = await sentAll({ writer, follower, asked, from: 5 })
    // These are sent, and not read before the server is another.
    for (let n = 0; n < 20; n++) await writer.append(SHARD)
    await server.kill()
    await server.start()
    const last = await follow(follower, next)
    expect(last).toBe(next + 19)
    await writer.append(SHARD)
    await follow(follower, last + 1)
    await sentAll({ writer, follower, asked, from: last + 2 })
  })

  it('does not take slots of a stream that was made anew for those of the present one', async () => {
    const { writer, follower, asked, stream } = await pair()
    await follow(follower, 1)
    await writer.append(SHARD)
    const next = await sentAll({ writer, follower, asked, from: 5 })
    for (let n = 0; n < 20; n++) await writer.append(SHARD)
    await (await admin.jetstreamManager()).streams.delete(stream)
    for (let n = 0; n < next + 5; n++) await writer.append(SHARD, 'anew')
    await follower.end(SHARD)
    expect(await recordIn(follower, SHARD, next + 2)).toBe('anew')
  })

  it('is sent nothing once it writes itself', async () => {
    const { writer, follower, asked, consumers } = await pair()
    await follow(follower, 1)
    await writer.append(SHARD)
    await sentAll({ writer, follower, asked, from: 5 })
    await follower.append(SHARD)
    await until(
      async () => (await consumers()) === 0,
      PATIENCE,
      () => 'the consumer is still there',
    )
  })

  it('is sent no more than so many before it reads them, whatever their size', async () => {
    const { writer, follower, asked } = await pair()
    await follow(follower, 1)
    await writer.append(SHARD)
    const next = await sentAll({ writer, follower, asked, from: 5 })
    const large = 'x'.repeat(900_000)
    for (let n = 0; n < 8; n++) await writer.append(SHARD, large)
    for (let n = 0; n < 200; n++) await writer.append(SHARD)
    for (let n = 0; n < 8; n++) expect(await recordIn(follower, SHARD, next + n)).toBe(large)
    await follow(follower, next + 8)
    await sentAll({ writer, follower, asked, from: next + 208 })
  })
})
