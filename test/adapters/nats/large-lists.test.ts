/** A list over a real nats-server whose messages are too small for its pages. */
import { expect, it, onTestFinished } from 'vitest'
import { NatsTransport } from '../../../src/adapters/nats/index.ts'
import { Client } from '../../../src/client/index.ts'
import {
  type ActorRow,
  pack,
  resolveLimits,
  type ShardPage,
  type ShardQuery,
  subjectsOf,
  unpack,
} from '../../../src/protocol/index.ts'
import { missingNatsServer, startNatsServer } from '../../nats-server.ts'
import { clock, connectTo, LineLog, random } from './connections.ts'

const SHARDS = 2
const ROWS_PER_SHARD = 300

/** A shard as it answers questions, with rows that are known. */
function answer(shard: number, query: ShardQuery & { kind: 'actors' }): ShardPage {
  const { after, limit } = query
  const from = after === undefined ? 0 : Buffer.from(after).readUInt32BE() + 1
  const count = Math.max(0, Math.min(limit, ROWS_PER_SHARD - from))
  const keyOf = (n: number) => {
    const key = Buffer.alloc(5, shard)
    key.writeUInt32BE(n)
    return key
  }
  const rows = Array.from({ length: count }, (_, at) => {
    const row = { address: `book/${shard}-${from + at}`, index: { title: 'x'.repeat(200) } }
    return { sortKey: keyOf(from + at), row: row as unknown as ActorRow }
  })
  return count === limit ? { rows, next: keyOf(from + count - 1) } : { rows }
}

it.skipIf(missingNatsServer)('has every row once, where a page is too large', async () => {
  const server = await startNatsServer({ jetstream: false, config: 'max_payload: 8192' })
  onTestFinished(() => server.close())
  const [asking, answering] = await Promise.all([connectTo(server.url), connectTo(server.url)])
  onTestFinished(async () => void (await Promise.all([asking.close(), answering.close()])))
  const log = new LineLog()
  const subjects = subjectsOf('test')
  const shards = new NatsTransport({ connection: answering, clock, log })
  for (let shard = 0; shard < SHARDS; shard++) {
    shards.subscribe(subjects.query(shard), {}, ({ payload, reply }) => {
      const query = unpack(payload) as ShardQuery & { kind: 'actors' }
      reply?.(pack({ ok: answer(shard, query), durability: 'flushed' }))
    })
  }
  await answering.nats.flush()
  const transport = new NatsTransport({ connection: asking, clock, log })
  const limits = resolveLimits()
  const client = new Client({ transport, subjects, clock, random, limits, shardCount: SHARDS })
  for (const rows of [client.rows({ filter: {}, limit: 1_000 }), scanned(client)]) {
    const found = new Set<string>()
    let count = 0
    for await (const { address } of rows) {
      found.add(address)
      count += 1
    }
    expect([found.size, count]).toEqual([SHARDS * ROWS_PER_SHARD, SHARDS * ROWS_PER_SHARD])
  }
})

async function* scanned(client: Client): AsyncGenerator<ActorRow> {
  for (let cursor: string | undefined; ; ) {
    const page = await client.scan({ filter: {}, limit: 1_000, ...(cursor && { cursor }) })
    yield* page.rows
    cursor = page.cursor
    if (cursor === undefined) return
  }
}
