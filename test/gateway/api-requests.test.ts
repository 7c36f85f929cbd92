/** Requests over the transport to a server of the same process: parts, roles, bounds, and what is forgotten. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readAnswer, readPart } from '../../src/gateway/api-messages.ts'
import { type ApiLimits, type ApiRequests, serveApi } from '../../src/gateway/api-requests.ts'
import { messageOf } from '../../src/gateway/index.ts'
import type { Role } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

const SOON = { timeoutMs: 10_000 }
let rig: Rig
let served: ApiRequests
let handle: (request: IncomingMessage, response: ServerResponse) => void
beforeAll(async () => {
  rig = await startRig()
})
afterEach(() => served.close(0))
afterAll(() => rig.close())

function serve(limits: Partial<ApiLimits> = {}): void {
  const server = createServer((request, response) => handle(request, response))
  served = serveApi({ node: rig.node, log: rig.node.log, server, limits })
}

function request(subject: string, payload: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    rig.node.transport.request({ subject, payload, timeoutMs: 5_000 }, (outcome) => {
      if (outcome.kind === 'reply') resolve(outcome.payload)
      else reject(new Error(outcome.kind))
    })
  })
}
async function ask(head: object, role: Role = 'read', body?: string) {
  const message = messageOf(
    { method: 'GET', path: '/', ...head },
    body ? Buffer.from(body) : undefined,
  )
  const answer = readAnswer(await request(rig.node.subjects.api(role), message))
  return { ...answer.head, text: Buffer.from(answer.body).toString() }
}
async function more(stream: string, part: number, role: Role = 'read', extra: object = {}) {
  const message = messageOf({ stream, part, ...extra })
  const { head, body } = readPart(await request(rig.node.subjects.apiMore(role, 'n1'), message))
  return { ...head, text: Buffer.from(body).toString() }
}

describe('a request', () => {
  it('is one of HTTP, with the role of its subject and no header of its sender', async () => {
    serve()
    let body = ''
    handle = (incoming, response) => {
      incoming.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      incoming.on('end', () => {
        const { 'x-troupe-author': author, ...headers } = incoming.headers
        const named = Buffer.from(String(author), 'latin1').toString()
        const { method, url } = incoming
        response.writeHead(201, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ method, url, named, headers }))
      })
    }
    const head = {
      method: 'POST',
      path: '/a%20b?c=1',
      author: 'zoë',
      id: '1-x',
      timeoutMs: 7,
      after: '3-4',
    }
    const { text, ...answer } = await ask(head, 'operate', '{"n":1}')
    expect(answer).toEqual({ status: 201, type: 'application/json' })
    expect(JSON.parse(text)).toEqual({
      ...{ method: 'POST', url: '/a%20b?c=1', named: 'zoë' },
      headers: {
        ...{ host: 'transport', connection: expect.any(String), 'content-length': '7' },
        ...{
          'content-type': 'application/json',
          'x-troupe-role': 'operate',
          'idempotency-key': '1-x',
        },
        ...{ 'x-troupe-timeout-ms': '7', 'last-event-id': '3-4' },
      },
    })
    expect(body).toBe('{"n":1}')
  })

  it.each([
    [{ path: 'http://elsewhere/' }, 'begins with a slash'],
    [{ path: '/a b' }, 'is encoded as in a URL'],
    [{ path: '/a\r\nx-troupe-role: admin' }, 'is encoded as in a URL'],
    [{ after: 'a\r\nx-troupe-role: admin' }, 'after: must be a line'],
    [{ author: 'a\nb' }, 'author: must be a line'],
    [{ method: 'CONNECT' }, 'method'],
    [{ headers: { 'x-troupe-role': 'admin' } }, 'headers'],
    [{ role: 'admin' }, 'role'],
  ])('%j is refused', async (head, why) => {
    serve()
    handle = (_request, response) => void response.end('reached')
    const { status, text } = await ask(head)
    expect({ status, text }).toMatchObject({ status: 400, text: expect.stringContaining(why) })
  })

  it('that is no JSON is refused, and one without a place for its answer is not done', async () => {
    serve()
    let count = 0
    handle = (_request, response) => {
      count += 1
      response.end('reached')
    }
    const broken = readAnswer(await request(rig.node.subjects.api('read'), Buffer.from('{')))
    expect(broken.head.status).toBe(400)
    rig.node.transport.publish(
      rig.node.subjects.api('read'),
      messageOf({ method: 'GET', path: '/' }),
    )
    expect((await ask({})).text).toBe('reached')
    expect(count).toBe(1)
  })

  it('is told busy past the bounds, and whatever is under way is answered before the end', async () => {
    serve({ requestsMax: 1 })
    let end: (() => void) | undefined
    handle = (_request, response) => {
      end = () => response.end('late')
    }
    const first = ask({})
    await until(() => end !== undefined, SOON, 'the first is under way')
    expect(await ask({})).toMatchObject({ status: 503, text: expect.stringContaining('busy') })
    const closing = served.close(60_000)
    end!()
    expect((await first).text).toBe('late')
    await closing
    await expect(ask({})).rejects.toThrow('no-responders')
  })

  it('is told busy where those under way are as large as they may be', async () => {
    serve({ bytesMax: 2_000 })
    let end: (() => void) | undefined
    handle = (_request, response) => {
      end = () => response.end('late')
    }
    const first = ask({ method: 'POST' }, 'operate', 'x'.repeat(1_500))
    await until(() => end !== undefined, SOON, 'the first is under way')
    const second = { method: 'POST' }
    expect(await ask(second, 'operate', 'x'.repeat(1_500))).toMatchObject({
      ...{ status: 503, text: expect.stringContaining('2000 bytes') },
    })
    end!()
    expect((await first).text).toBe('late')
    handle = (_request, response) => void response.end('soon')
    expect((await ask(second, 'operate', 'x'.repeat(1_500))).text).toBe('soon')
  })

  it('that is not answered in time at the end is cut off, and told so', async () => {
    serve()
    let isClosed = false
    handle = (_request, response) => {
      response.on('close', () => {
        isClosed = true
      })
      void served.close(10)
    }
    expect(await ask({})).toMatchObject({
      status: 504,
      text: expect.stringContaining('may or may not'),
    })
    await until(() => isClosed, SOON, 'the handler learns it')
  })

  it('to a handler that breaks off fails', async () => {
    serve()
    handle = ({ socket }) => void socket.destroy()
    expect(await ask({})).toMatchObject({ status: 504, text: expect.stringContaining('broke') })
  })
})

describe('an answer', () => {
  it('that is larger than a part comes in parts, each as often as it is asked for', async () => {
    serve({ partBytesMax: 4 })
    handle = (_request, response) => void response.end('0123456789')
    const { more: rest, text } = await ask({})
    expect([text, rest?.node]).toEqual(['0123', 'n1'])
    const stream = rest!.stream
    expect(await more(stream, 1)).toEqual({ part: 1, text: '4567' })
    expect(await more(stream, 1)).toEqual({ part: 1, text: '4567' })
    expect((await more(stream, 3)).broken).toContain('in their order')
    expect(await more(stream, 2)).toEqual({ part: 2, end: true, text: '89' })
    expect(await more(stream, 2)).toEqual({ part: 2, end: true, text: '89' })
  })

  it('goes to the role that asked, and to nobody who does not know it', async () => {
    serve({ partBytesMax: 4 })
    handle = (_request, response) => void response.end('0123456789')
    const { more: rest } = await ask({}, 'admin')
    expect((await more(rest!.stream, 1, 'read')).broken).toContain('does not give this answer')
    expect((await more('other', 1, 'admin')).broken).toContain('does not give this answer')
    expect((await more(rest!.stream, 1, 'admin')).text).toBe('4567')
  })

  it('that goes on comes as it is made, with signs of life between', async () => {
    serve({ silenceMs: 30, gatherMs: 1 })
    let out: ServerResponse | undefined
    handle = (_request, response) => {
      out = response
      response.write('first')
    }
    const { more: rest, text } = await ask({})
    expect(text).toBe('first')
    expect(await more(rest!.stream, 1)).toEqual({ part: 1, text: '' })
    const next = more(rest!.stream, 2)
    out!.end('last')
    const parts = [(await next).text]
    for (let part = 3; parts.join('') !== 'last'; part++)
      parts.push((await more(rest!.stream, part)).text)
  })

  it('that breaks off says so behind what came before', async () => {
    serve({ partBytesMax: 5 })
    let out: ServerResponse | undefined
    handle = (_request, response) => {
      out = response
      response.write('first')
    }
    const { more: rest } = await ask({})
    out!.destroy()
    expect((await more(rest!.stream, 1)).broken).toContain('broke it off')
  })

  it.each(['nobody asks for it', 'its reader stops', 'the node stops'] as const)(
    'is ended when %s',
    async (why) => {
      serve({ silenceMs: 20, idleMs: why === 'nobody asks for it' ? 50 : 60_000 })
      let isClosed = false
      handle = (_request, response) => {
        response.on('close', () => {
          isClosed = true
        })
        response.write('first')
      }
      const { more: rest } = await ask({})
      if (why === 'its reader stops') await more(rest!.stream, 1, 'read', { stop: true })
      if (why === 'the node stops') await served.close(0)
      await until(() => isClosed, SOON, 'the handler learns it')
    },
  )

  it('is given in smaller parts while all together hold as much as they may', async () => {
    serve({ partBytesMax: 64 * 1_024, bytesMax: 100 * 1_024 })
    handle = (_request, response) => void response.end(Buffer.alloc(200 * 1_024))
    const unread = await ask({})
    expect(unread.text.length).toBe(64 * 1_024)
    const { more: rest, text } = await ask({})
    expect(text.length, 'what is left').toBeLessThanOrEqual(36 * 1_024)
    const third = await ask({})
    expect(third.text.length, 'and never less than that').toBe(16 * 1_024)
    await more(third.more!.stream, 1, 'read', { stop: true })
    await more(unread.more!.stream, 1, 'read', { stop: true })
    const part = await more(rest!.stream, 1)
    expect(part.text.length, 'whole parts again').toBe(64 * 1_024)
    let bytes = text.length + part.text.length
    for (let at = 2, isEnd = false; !isEnd; at++) {
      const next = await more(rest!.stream, at)
      bytes += next.text.length
      isEnd = next.end === true
    }
    expect(bytes).toBe(200 * 1_024)
  })

  it('leaves a part of the room to requests, however many are being read', async () => {
    serve({ partBytesMax: 64 * 1_024, bytesMax: 100 * 1_024 })
    handle = (_request, response) => void response.end(Buffer.alloc(200 * 1_024))
    for (let n = 0; n < 5; n++) await ask({})
    handle = (_request, response) => void response.end('soon')
    const asked = (bytes: number) => ask({ method: 'POST' }, 'admin', 'x'.repeat(bytes))
    expect((await asked(20 * 1_024)).text).toBe('soon')
    expect((await asked(30 * 1_024)).status, 'and no more than that').toBe(503)
  })

  it('takes no room any more when it was read to its end', async () => {
    serve({ partBytesMax: 64 * 1_024, bytesMax: 100 * 1_024 })
    handle = (_request, response) => void response.end(Buffer.alloc(100 * 1_024))
    const { more: rest } = await ask({})
    for (let part = 1; !(await more(rest!.stream, part)).end; part++);
    handle = (_request, response) => void response.end('soon')
    expect((await ask({ method: 'POST' }, 'read', 'x'.repeat(90 * 1_024))).text).toBe('soon')
  })

  it('that was read to its end makes room for another, also where its reader does not say so', async () => {
    serve({ partBytesMax: 4, answersMax: 2 })
    handle = (_request, response) => void response.end('0123456')
    const [read, halfRead] = [await ask({}), await ask({})]
    expect((await more(read.more!.stream, 1)).end).toBe(true)
    expect((await more(read.more!.stream, 1)).text, 'once more').toBe('456')
    const third = await ask({})
    expect(third.text).toBe('0123')
    expect((await more(read.more!.stream, 1)).broken).toContain('does not give this answer')
    expect((await ask({})).status, 'both are being read').toBe(503)
    expect((await more(halfRead.more!.stream, 1)).text).toBe('456')
  })

  it('is not made faster than it is read', async () => {
    serve({ partBytesMax: 1_024 })
    let written = 0
    handle = (_request, response) => {
      const chunk = Buffer.alloc(16 * 1_024)
      const write = () => {
        while (written < 10_000_000) {
          written += chunk.length
          if (!response.write(chunk)) return void response.once('drain', write)
        }
        response.end()
      }
      write()
    }
    const { more: rest } = await ask({})
    for (let part = 1; part <= 20; part++) await more(rest!.stream, part)
    expect(written).toBeLessThan(1_000_000)
  })
})

it('the first line of a message ends at the first line end', () => {
  const message = messageOf({ part: 1 }, Buffer.from('a\nb'))
  expect(Buffer.from(readPart(message).body).toString()).toBe('a\nb')
  expect(() => readPart(Buffer.from('[]\nx'))).toThrow('the first line is not what is wanted')
})
