/** Clients that keep a connection and send little or nothing on it: cut, unless a route streams. */
import { connect, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type AppRoute, defineApp } from '../../src/node/index.ts'
import { holds, until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

const HEADERS_MS = 200
const BODY_MS = 400
const SILENCE_MS = 250

/** Streams that a handler has begun to read go on when this says so. */
const held = { released: false, bytes: 0 }

const routes: AppRoute[] = [
  {
    method: 'POST',
    path: '/stream',
    body: 'stream',
    handle: async ({ body }) => ({ body: { bytes: await bytesOf(body as Readable) } }),
  },
  {
    method: 'POST',
    path: '/held',
    body: 'stream',
    handle: async ({ body }) => {
      await until(() => held.released, { timeoutMs: 10_000 }, 'the release')
      return { body: { bytes: await bytesOf(body as Readable) } }
    },
  },
  { method: 'POST', path: '/early', body: 'stream', handle: async () => ({ body: 'at once' }) },
  { method: 'POST', path: '/whole', handle: async () => ({ body: 'whole' }) },
]

async function bytesOf(body: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length
    held.bytes = bytes
  }
  return bytes
}

let rig: Rig
const clients: RawClient[] = []
beforeAll(async () => {
  const limits = { headersMs: HEADERS_MS, bodyMs: BODY_MS, streamSilenceMs: SILENCE_MS }
  rig = await startRig({
    apps: [defineApp({ name: 'slow', routes: () => routes })],
    gateway: { limits },
  })
})
afterEach(() => {
  for (const client of clients.splice(0)) client.end()
})
afterAll(() => rig.close())

/** A connection on which bytes are written as they stand. */
class RawClient {
  readonly socket: Socket
  text = ''
  closed = false
  #dripping: NodeJS.Timeout | undefined

  constructor() {
    this.socket = connect(rig.gateway.port, '127.0.0.1')
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1')
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
      this.end()
    })
    clients.push(this)
  }

  send(path: string, bytes: number, body = ''): this {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${bytes}\r\n\r\n`
    this.socket.write(head + body)
    return this
  }

  /** A byte now and then, for as long as it lives. */
  drip(everyMs = 50): this {
    this.#dripping = setInterval(() => this.socket.write('1'), everyMs)
    return this
  }

  end(): void {
    clearInterval(this.#dripping)
    this.socket.destroy()
  }

  async cut(): Promise<string> {
    await until(
      () => this.closed,
      { timeoutMs: 20_000 },
      () => `the end after: ${this.text}`,
    )
    return this.text
  }
}

describe('a client that takes its time', () => {
  it('before its first byte is cut', async () => {
    expect(await new RawClient().cut()).toContain('408 Request Timeout')
  })

  it('over its headers is told so, and cut', async () => {
    const client = new RawClient()
    client.socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: ')
    const text = await client.drip().cut()
    expect(text).toContain('408 Request Timeout')
    expect(text).toContain('"code":"deadline"')
    expect(text).toContain('headersMs')
  })

  it.each([
    ['an actor', '/troupe/v1/actors/order/slow'],
    ['a method', '/rpc'],
    ['a route of an app', '/whole'],
    ['nobody', '/nowhere/at/all'],
    ['a path that cannot be read', '/troupe/v1/actors/%zz'],
  ])('over the body for %s is cut', async (_name, path) => {
    const text = await new RawClient().send(path, 100_000).drip().cut()
    const answered = /^HTTP\/1.1 (\d+)/.exec(text)?.[1]
    // Who needs no body has answered before.
    expect(answered).toMatch(/^4(08|0[04])$/)
    if (answered === '408') expect(text).toContain('bodyMs')
  })

  it('over chunks is cut too', async () => {
    const client = new RawClient()
    client.socket.write(
      'POST /whole HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n',
    )
    expect(await client.drip().cut()).toContain('bodyMs')
  })

  it('over a body that a stream’s route did not read is cut', async () => {
    const client = new RawClient().send('/early', 1_000_000)
    expect(await client.cut()).toContain('at once')
  })
})

describe('a body that is read as a stream', () => {
  it('may take longer than any other, as long as it flows', async () => {
    const bytes = Math.ceil((BODY_MS * 3) / 50)
    const client = new RawClient().send('/stream', bytes).drip(50)
    await until(
      () => client.text.includes(`{"bytes":${bytes}}`),
      { timeoutMs: 10_000 },
      () => `the answer; there is: ${client.text}`,
    )
  })

  it('is cut when it stands still', async () => {
    const text = await new RawClient().send('/stream', 1_000, 'begun').cut()
    expect(text).toContain('408 Request Timeout')
    expect(text).toContain('streamSilenceMs')
  })

  it('may lie there, once it is whole, for as long as its route likes', async () => {
    held.released = false
    const client = new RawClient().send('/held', 5, 'whole')
    await holds(() => !client.closed, { forMs: SILENCE_MS * 4 }, 'the connection')
    held.released = true
    await until(() => client.text.includes('{"bytes":5}'), { timeoutMs: 10_000 }, 'the answer')
  })

  it('waits for a reader that is slow', async () => {
    held.released = false
    const bytes = 32 * 1024 * 1024
    const client = new RawClient().send('/held', bytes)
    client.socket.write(Buffer.alloc(bytes))
    await holds(() => !client.closed, { forMs: SILENCE_MS * 5 }, 'the connection')
    held.released = true
    await until(
      () => client.text.includes(`{"bytes":${bytes}}`),
      { timeoutMs: 10_000 },
      () => `the answer; there is: ${client.text}; read: ${held.bytes}`,
    )
  })
})

it('a request in time is left alone, and so is its connection', async () => {
  const client = new RawClient().send('/whole', 2, '{}')
  await until(() => client.text.includes('whole'), { timeoutMs: 20_000 }, 'an answer')
  await holds(() => !client.closed, { forMs: BODY_MS * 2 }, 'a connection kept for another')
  client.text = ''
  client.send('/whole', 2, '{}')
  await until(() => client.text.includes('whole'), { timeoutMs: 20_000 }, 'another answer')
})
