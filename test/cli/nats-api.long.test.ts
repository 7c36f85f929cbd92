/** Answers over NATS part by part, of a node that the test plays: lost parts, and a node that goes. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { NatsTransport } from '../../src/adapters/nats/index.ts'
import { NatsApi } from '../../src/cli/nats-api.ts'
import { messageOf } from '../../src/gateway/index.ts'
import type { Subscription } from '../../src/ports/index.ts'
import { subjectsOf } from '../../src/protocol/index.ts'
import { clock, connectTo, LineLog } from '../adapters/nats/connections.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'

const subjects = subjectsOf('c')
const GET = { method: 'GET', path: '/' } as const
const HEAD = { status: 200, type: 'text/plain', more: { node: 'n1', stream: 's' } }

describe.skipIf(missingNatsServer)('an answer in parts', () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await startNatsServer({ jetstream: false })
  })
  afterAll(() => server.close())

  /** @param give what is answered to the asks for parts, in their order; nothing where it is lost */
  async function begin(give: (nth: number) => Uint8Array | undefined) {
    const connection = await connectTo(server.url)
    const transport = new NatsTransport({ connection, clock, log: new LineLog() })
    let asks = 0
    let stops = 0
    const first = messageOf(HEAD, Buffer.from('a'))
    transport.subscribe(subjects.api('read'), {}, ({ reply }) => reply?.(first))
    const more: Subscription = transport.subscribe(subjects.apiMore('read', 'n1'), {}, (asked) => {
      if (!asked.reply) {
        stops += 1
        return
      }
      asks += 1
      const part = give(asks)
      if (part) asked.reply(part)
    })
    await connection.nats.flush()
    const { signal } = new AbortController()
    const nats = { servers: [server.url] }
    const place = { nats, cluster: 'c', timeoutMs: undefined, author: undefined, signal }
    const api = new NatsApi(place)
    onTestFinished(async () => {
      await api.close()
      transport.close()
      await connection.close()
    })
    return { api, leave: () => more.unsubscribe(), stops: () => stops }
  }

  it('asks for a part again that was lost', async () => {
    const last = messageOf({ part: 1, end: true }, Buffer.from('b'))
    const { api } = await begin((nth) => (nth === 1 ? undefined : last))
    let text = ''
    for await (const bytes of await api.stream(GET, undefined, 800)) text += Buffer.from(bytes)
    expect(text).toBe('ab')
  })

  it('tells the node that it has all, so that nothing is kept for it', async () => {
    const { api, stops } = await begin(() => messageOf({ part: 1, end: true }, Buffer.from('b')))
    for await (const _ of await api.stream(GET, undefined, 5_000));
    await until(() => stops() === 1, { timeoutMs: 20_000 }, 'it stops')
  })

  it('says that the node is gone which had the rest, and not that there is none', async () => {
    const { api, leave } = await begin(() => undefined)
    leave()
    const read = async () => {
      for await (const _ of await api.stream(GET, undefined, 800));
    }
    await expect(read()).rejects.toMatchObject({ code: 'unavailable' })
  })
})
