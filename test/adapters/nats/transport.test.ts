/** What the transport says of requests when its server goes away; its contract is tested with the others. */
import { headers } from 'nats'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Connection, NatsTransport } from '../../../src/adapters/nats/index.ts'
import type { TransportOutcome } from '../../../src/ports/index.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, connectTo, LineLog } from './connections.ts'

const SOON = { timeoutMs: 5_000 }
/** Longer than a test takes: an outcome before that has another reason. */
const TIMEOUT_MS = 60_000

describe.skipIf(missingNatsServer)('the transport over NATS, without its server', () => {
  let server: NatsServer
  let connection: Connection
  let transport: NatsTransport
  let log: LineLog
  beforeAll(async () => {
    server = await startNatsServer({ jetstream: false })
  })
  afterAll(() => server.close())
  beforeEach(async () => {
    log = new LineLog()
    if (!server.isRunning) await server.start()
    connection = await connectTo(server.url, log)
    transport = new NatsTransport({ connection, clock, log })
    onTestFinished(async () => {
      transport.close()
      await connection.close()
    })
  })

  type Asks = (subject: string, text?: string) => Promise<TransportOutcome>

  function asks(by: () => NatsTransport): Asks {
    return (subject, text = '') => {
      const payload = Buffer.from(text)
      return new Promise((resolve) =>
        by().request({ subject, payload, timeoutMs: TIMEOUT_MS }, resolve),
      )
    }
  }

  const request = asks(() => transport)

  /** Of another process, so to say. */
  async function another(): Promise<Asks> {
    const ownLog = new LineLog()
    const own = await connectTo(server.url, ownLog)
    const other = new NatsTransport({ connection: own, clock, log: ownLog })
    onTestFinished(async () => {
      other.close()
      await own.close()
    })
    return asks(() => other)
  }

  it('drops what a consumer sends, and says so once', async () => {
    const heard: string[] = []
    transport.subscribe('a', {}, ({ payload }) => void heard.push(Buffer.from(payload).toString()))
    // Nobody but a server may give the place of a confirmation; its heartbeats anybody can make up.
    const heartbeat = { headers: headers(100, 'Idle Heartbeat') }
    for (let n = 0; n < 3; n++) connection.nats.publish('a', '', heartbeat)
    connection.nats.publish('a', 'a message')
    await until(
      () => heard.length > 0,
      SOON,
      () => 'nothing is heard',
    )
    expect(heard).toEqual(['a message'])
    expect(log.lines.filter(({ message }) => message.includes('no node wants'))).toHaveLength(1)
  })

  it('sends nothing while there is none, and nothing of it later', async () => {
    const heard: string[] = []
    transport.subscribe('a', {}, ({ payload, reply }) => {
      heard.push(Buffer.from(payload).toString())
      reply?.(payload)
    })
    expect(transport.hears()).toBe(true)
    await server.kill()
    await until(() => !connection.isConnected, SOON, 'the loss')
    expect(await request('a', 'asked meanwhile')).toEqual({ kind: 'no-responders' })
    transport.publish('a', Buffer.from('told meanwhile'))
    transport.publish('a', 'told meanwhile as text')
    expect(transport.hears()).toBe(false)
    await server.start()
    await until(() => connection.isConnected, SOON, 'the return')
    expect(await request('a', 'asked after')).toMatchObject({ kind: 'reply' })
    expect(heard).toEqual(['asked after'])
  })

  it.each([
    ['somebody of a group', { queue: 'q' }],
    ['the only one', { sole: true }],
  ])('tells at once who asked %s that stops to listen', async (_who, options) => {
    const asker = await another()
    const heard: string[] = []
    const subscription = transport.subscribe('a', options, ({ payload, reply }) => {
      heard.push(Buffer.from(payload).toString())
      subscription.unsubscribe()
      reply?.(payload)
    })
    await connection.nats.flush()
    const outcomes = await Promise.all([asker('a', 'first'), asker('a', 'second')])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['reply', 'no-responders'])
    expect(heard).toEqual(['first'])
  })

  it('says which connection it is on, so that nobody compares what two of them told', async () => {
    const first = transport.connection()
    await server.kill()
    await until(() => !connection.isConnected, SOON, 'the loss')
    expect(transport.connection()).toBeUndefined()
    await server.start()
    await until(() => connection.isConnected, SOON, 'the return')
    expect(transport.connection()).toBeGreaterThan(first!)
  })

  it('ends what was under way when the connection is lost, and takes late replies for nothing', async () => {
    const replies: ((payload: Uint8Array) => void)[] = []
    transport.subscribe('a', {}, ({ reply }) => void replies.push(reply!))
    const first = request('a')
    await until(() => replies.length === 1, SOON, 'the request')
    await server.kill()
    expect(await first).toEqual({ kind: 'timeout' })
    await server.start()
    await until(() => connection.isConnected, SOON, 'the return')
    const second = request('a')
    await until(() => replies.length === 2, SOON, 'the second request')
    replies[0]!(Buffer.from('to the first'))
    replies[1]!(Buffer.from('to the second'))
    expect(await second).toEqual({ kind: 'reply', payload: Buffer.from('to the second') })
  })

  it('sends one reply, whoever asked', async () => {
    const replies: string[] = []
    connection.nats.subscribe('inbox', { callback: (_, msg) => replies.push(msg.string()) })
    transport.subscribe('a', {}, ({ reply }) => {
      reply?.(Buffer.from('first'))
      reply?.(Buffer.from('second'))
      transport.publish('inbox', Buffer.from('last'))
    })
    connection.nats.publish('a', undefined, { reply: 'inbox' })
    await until(() => replies.includes('last'), SOON, 'the last message')
    expect(replies).toEqual(['first', 'last'])
  })

  it('asks whoever is alone in answering here, and elsewhere once that has ended', async () => {
    const other = new NatsTransport({ connection, clock, log: new LineLog() })
    onTestFinished(() => other.close())
    const answersOf = async (count: number) => {
      const asked = Array.from({ length: count }, () => request('a', 'x'))
      const texts = (await Promise.all(asked)).map((outcome) =>
        outcome.kind === 'reply' ? Buffer.from(outcome.payload).toString() : outcome.kind,
      )
      return [...new Set(texts)]
    }
    other.subscribe('a', { sole: true }, ({ reply }) => reply?.(Buffer.from('there')))
    let ownAsked = 0
    const own = transport.subscribe('a', { sole: true }, ({ reply }) => {
      ownAsked += 1
      // Later than the other would.
      clock.after(30, () => reply?.(Buffer.from('here')))
    })
    expect(await answersOf(20)).toEqual(['here'])
    const onTheWay = answersOf(1)
    own.unsubscribe()
    expect(await onTheWay).toEqual(['there'])
    expect(await answersOf(20)).toEqual(['there'])
    expect(ownAsked).toBe(20)
  })

  it('keeps to what can be sent, also where nothing has to be', async () => {
    const bytesMax = connection.payloadBytesMax
    const large = new Uint8Array(bytesMax + 1)
    transport.subscribe('a', { sole: true }, ({ reply }) => reply?.(large))
    expect(await request('a')).toEqual({ kind: 'too-large', what: 'reply', bytesMax })
    transport.subscribe('silent', { sole: true }, () => {})
    const silent = request('silent')
    await server.kill()
    expect(await silent).toEqual({ kind: 'timeout' })
    expect(await request('a')).toEqual({ kind: 'no-responders' })
  })

  it('gives every request one outcome, however often its server dies', async () => {
    transport.subscribe('a', {}, ({ reply }) => reply?.(Buffer.from('x')))
    const counts = { reply: 0, timeout: 0, 'no-responders': 0, 'too-large': 0 }
    let asked = 0
    let answered = 0
    let isOver = false
    const ask = () => {
      asked += 1
      let outcomes = 0
      transport.request(
        { subject: 'a', payload: Buffer.from('x'), timeoutMs: 2_000 },
        ({ kind }) => {
          answered += 1
          outcomes += 1
          // A second outcome is counted as something that cannot be.
          counts[outcomes === 1 ? kind : 'too-large'] += 1
          if (isOver) return
          if (kind === 'no-responders') clock.after(1, ask)
          else ask()
        },
      )
    }
    for (let i = 0; i < 16; i++) ask()
    for (let round = 1; round <= 3; round++) {
      const before = { ...counts }
      await until(() => counts.reply > before.reply + 100, SOON, 'replies')
      await server.kill()
      await until(() => counts['no-responders'] > before['no-responders'], SOON, 'the loss')
      await server.start()
    }
    isOver = true
    await until(
      () => answered === asked,
      SOON,
      () => `${asked} asked, ${answered} answered`,
    )
    expect(counts['too-large']).toBe(0)
    expect(counts.timeout).toBeGreaterThan(0)
  })

  it('ends what was under way when it is closed, and then sends nothing', async () => {
    transport.subscribe('a', {}, () => {})
    const first = request('a')
    transport.close()
    expect(await first).toEqual({ kind: 'timeout' })
    expect(await request('a')).toEqual({ kind: 'no-responders' })
    transport.publish('a', Buffer.from('x'))
  })

  it('sends the text that was published before it is closed, and none that comes later', async () => {
    const heard: string[] = []
    const other = new NatsTransport({ connection, clock, log: new LineLog() })
    onTestFinished(() => other.close())
    other.subscribe('a', {}, ({ payload }) => {
      heard.push(Buffer.from(payload).toString())
    })
    transport.publish('a', 'before')
    transport.close()
    transport.publish('a', 'after')
    other.publish('a', 'by another')
    await until(() => heard.length === 2, SOON, 'both messages')
    expect(heard).toEqual(['before', 'by another'])
  })

  it('has nobody to ask once its connection is closed for good', async () => {
    await connection.close()
    expect(await request('a')).toEqual({ kind: 'no-responders' })
  })

  it.each(['', 'a b', 'a\r\nPUB b 0\r\n\r\n', 'a\t', 'a\u0000'])(
    'refuses %j, which is not a subject',
    (subject) => {
      expect(() => transport.publish(subject, Buffer.from('x'))).toThrow(RangeError)
      expect(() => transport.publish(subject, 'x')).toThrow(RangeError)
      expect(() => transport.subscribe(subject, {}, () => {})).toThrow(RangeError)
      const asked = { subject, payload: Buffer.from('x'), timeoutMs: 1 }
      expect(() => transport.request(asked, () => {})).toThrow(RangeError)
    },
  )

  it.each(['a..b', '.a', 'a.>.b'])('refuses to listen to %j', (pattern) => {
    expect(() => transport.subscribe(pattern, {}, () => {})).toThrow(RangeError)
  })
})
