/** Connections to real servers that are not there yet, die, stand still or refuse us. */
import type { Msg } from 'nats'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { ConnectionListener, NatsOptions } from '../../../src/adapters/nats/index.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { holds, until } from '../../waiting.ts'
import { connectorTo, connectTo, LineLog } from './connections.ts'

const SOON = { timeoutMs: 5_000 }

function record(): { seen: string[]; listener: ConnectionListener } {
  const seen: string[] = []
  const note = (what: string) => () => void seen.push(what)
  return { seen, listener: { lost: note('lost'), back: note('back'), closed: note('closed') } }
}

describe.skipIf(missingNatsServer)('connections to NATS', () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await startNatsServer({ jetstream: false })
  })
  afterAll(() => server.close())

  async function running(): Promise<void> {
    if (!server.isRunning) await server.start()
  }

  it('waits for a server that is not there yet, and says so', async () => {
    await server.stop()
    onTestFinished(running)
    const log = new LineLog()
    const opening = connectTo(server.url, log)
    await until(() => log.said('cannot be reached'), SOON, 'a word about the wait')
    await server.start()
    const connection = await opening
    expect(connection.isConnected).toBe(true)
    expect(log.said('connected to NATS')?.fields).toMatchObject({ serverName: 'n1' })
    expect(log.lines.filter(({ message }) => message.includes('cannot be reached'))).toHaveLength(1)
    await connection.close()
  })

  it('gives up waiting when it is told to', async () => {
    await server.stop()
    onTestFinished(running)
    const giveUp = new AbortController()
    const log = new LineLog()
    const connector = connectorTo({ servers: [server.url] }, log)
    const opening = connector.open({ reconnect: true, signal: giveUp.signal })
    const outcome = expect(opening).rejects.toMatchObject({ code: 'unavailable' })
    await until(() => log.said('cannot be reached'), SOON, 'a word about the wait')
    giveUp.abort()
    await outcome
  })

  it('comes back after kill -9 of its server, with its subscriptions', async () => {
    const log = new LineLog()
    const connection = await connectTo(server.url, log)
    const { seen, listener } = record()
    connection.listen(listener)
    let heard = 0
    connection.nats.subscribe('a', { callback: () => heard++ })
    await server.kill()
    await until(() => seen.includes('lost'), SOON, 'the loss')
    expect(connection.isConnected).toBe(false)
    await server.start()
    await until(() => seen.includes('back'), SOON, 'the return')
    expect(connection.isConnected).toBe(true)
    connection.nats.publish('a')
    await until(() => heard === 1, SOON, 'a message')
    await connection.close()
    await until(() => seen.includes('closed'), SOON, 'the end')
    expect(seen).toEqual(['lost', 'back', 'lost', 'closed'])
    const lines = log.lines.filter(({ level }) => level !== 'debug')
    expect(lines.map(({ message }) => message)).toEqual([
      'connected to NATS',
      'the connection to NATS is lost',
      'connected to NATS again',
    ])
  })

  it('notices a server that stands still', async () => {
    const log = new LineLog()
    const connection = await connectTo(server.url, log)
    onTestFinished(() => connection.close())
    await server.freeze()
    await until(() => !connection.isConnected, SOON, 'the loss')
    expect(log.said('does not answer')).toBeDefined()
    server.thaw()
    await until(() => connection.isConnected, SOON, 'the return')
  })

  it('ends a request at once when the connection is lost', async () => {
    onTestFinished(running)
    const connection = await connectTo(server.url)
    onTestFinished(() => connection.close())
    connection.nats.subscribe('a', { callback: (_, msg) => void msg.respond('x') })
    const ask = () => connection.request('a', '', { timeout: 60_000 })
    expect((await ask()).string()).toBe('x')
    await server.freeze()
    const asked = expect(ask()).rejects.toThrow('was lost')
    await server.kill()
    await asked
    await expect(ask()).rejects.toThrow('not connected')
  })

  it('gives each request its own reply, and says why there is none', async () => {
    const connection = await connectTo(server.url)
    onTestFinished(() => connection.close())
    const ask = (subject: string, text: string, timeout = 60_000) =>
      connection.request(subject, text, { timeout })
    await expect(ask('a', 'x')).rejects.toThrow('nobody answers there (503)')
    const late: Msg[] = []
    connection.nats.subscribe('a', { callback: (_, msg) => void late.push(msg) })
    await expect(ask('a', 'silence', 20)).rejects.toThrow('no answer in 20 ms')
    const both = Promise.all([ask('a', 'x'), ask('a', 'y')])
    await until(() => late.length === 3, SOON, 'all requests')
    for (const message of late.reverse()) message.respond(message.data)
    expect((await both).map((message) => message.string())).toEqual(['x', 'y'])
  })

  it('ends a request at once that the server does not let through', async () => {
    const config = 'authorization { users: [{user: u, password: p, permissions: {publish: "a"}}] }'
    const strict = await startNatsServer({ jetstream: false, config })
    onTestFinished(() => strict.close())
    const options: NatsOptions = { servers: [strict.url], user: 'u', password: 'p' }
    const connection = await connectorTo(options).open({ reconnect: true })
    onTestFinished(() => connection.close())
    const asked = connection.request('b', '', { timeout: 60_000 })
    await expect(asked).rejects.toThrow(/permission/i)
  })

  it('lives once where it should not reconnect', async () => {
    onTestFinished(running)
    const connector = connectorTo({ servers: ['127.0.0.1:1', server.url] })
    const connection = await connector.open({ reconnect: false, servers: [server.url] })
    const { seen, listener } = record()
    connection.listen(listener)
    await server.kill()
    await until(() => seen.includes('closed'), SOON, 'the end')
    expect(seen).toEqual(['lost', 'closed'])
    expect([connection.isConnected, connection.isClosed]).toEqual([false, true])
    expect(connection.hasLeft).toBe(false)
    const again = connector.open({ reconnect: false })
    await expect(again).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('ends where it leaves its server and should not reconnect', async () => {
    await running()
    const connection = await connectorTo({ servers: [server.url] }).open({ reconnect: false })
    connection.leaveServer()
    await until(() => connection.isClosed, SOON, 'the end')
    expect(connection.hasLeft).toBe(true)
  })

  it('leaves its server for another one, and goes back where there is none', async () => {
    await running()
    const other = await startNatsServer({ jetstream: false })
    onTestFinished(() => other.close())
    const urls = [server.url, other.url]
    const connection = await connectorTo({ servers: urls }).open({ reconnect: true })
    onTestFinished(() => connection.close())
    const { seen, listener } = record()
    connection.listen(listener)
    let heard = 0
    connection.nats.subscribe('a', { callback: () => heard++ })
    const first = connection.nats.info!.server_id
    // Long enough that the library goes back to the server that it had.
    await holds(() => connection.isConnected, { forMs: 250 }, 'the connection')
    connection.leaveServer()
    expect(connection.isConnected).toBe(false)
    await until(() => connection.isConnected, SOON, 'the other server')
    expect(connection.nats.info!.server_id).not.toBe(first)
    connection.nats.publish('a')
    await until(() => heard === 1, SOON, 'a message')
    expect(seen).toEqual(['lost', 'back'])
    const alone = await connectTo(other.url)
    onTestFinished(() => alone.close())
    alone.leaveServer()
    await until(() => alone.isConnected, SOON, 'the same server')
  })

  it('sends what was published before it closes', async () => {
    const [one, other] = [await connectTo(server.url), await connectTo(server.url)]
    let heard = 0
    other.nats.subscribe('a', { callback: () => heard++ })
    await other.nats.flush()
    for (let i = 0; i < 10_000; i++) one.nats.publish('a', new Uint8Array(100))
    await one.close()
    await until(() => heard === 10_000, SOON, 'all messages')
    await other.close()
  })

  it('closes at once while its server stands still', async () => {
    const connection = await connectTo(server.url)
    await server.freeze()
    onTestFinished(() => server.thaw())
    await until(() => !connection.isConnected, SOON, 'the loss')
    const beganAtMs = performance.now()
    await connection.close()
    expect(connection.isClosed).toBe(true)
    // There is nothing that could still be sent.
    expect(performance.now() - beganAtMs).toBeLessThan(2_000)
  })

  it('names the server, what it takes, and says once what it does not allow', async () => {
    const config =
      'max_payload: 4096\nauthorization { users: [{user: u, password: p, permissions: {publish: "a"}}] }'
    const strict = await startNatsServer({ jetstream: false, config })
    onTestFinished(() => strict.close())
    const log = new LineLog()
    const options: NatsOptions = { servers: [strict.url], user: 'u', password: 'p' }
    const connection = await connectorTo(options, log).open({ reconnect: true })
    expect(connection.payloadBytesMax).toBe(4_096)
    for (let i = 0; i < 3; i++) connection.nats.publish('b')
    await connection.nats.flush()
    connection.nats.publish('c')
    await until(() => log.lines.filter(({ level }) => level === 'error').length >= 2, SOON, 'both')
    const errors = log.lines.filter(({ level }) => level === 'error')
    expect(errors.map(({ fields }) => fields['subject'])).toEqual(['b', 'c'])
    await connection.close()
  })
})
