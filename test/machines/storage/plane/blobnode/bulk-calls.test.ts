/** Fetching shards without Node's HTTP client: whatever an answer is cut into, and what a peer may do wrong. */
import { createServer, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import {
  BulkCalls,
  type BulkRequest,
} from '../../../../../machines/storage/plane/blobnode/bulk-calls.ts'

const open: { close(): void }[] = []

afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

it('reads an answer whatever it is cut into, again and again on one connection', async () => {
  let connections = 0
  const body = Buffer.from(Array.from({ length: 300 }, (_, n) => n % 256))
  const peer = await peerThat((socket) => {
    connections += 1
    socket.on('data', async () => {
      const answer = Buffer.concat([
        Buffer.from(`HTTP/1.1 206 Partial\r\nX-Y: z\r\nContent-Length: ${body.length}\r\n\r\n`),
        body,
      ])
      for (let at = 0; at < answer.length; at += 7) {
        socket.write(answer.subarray(at, at + 7))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
  })
  for (let time = 0; time < 3; time++) {
    const answer = await peer.get()
    expect(answer).toMatchObject({ status: 206, isWhole: true, headers: { 'x-y': 'z' } })
    expect(answer.body.equals(body)).toBe(true)
  }
  expect(connections).toBe(1)
})

it('tells what had come of an answer that broke off', async () => {
  const peer = await peerThat((socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'))
  })
  const { isWhole, body } = await peer.get()
  expect([isWhole, body.toString()]).toEqual([false, 'half'])
})

it('takes nothing for an answer that is none', async () => {
  const wrong = [
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcd',
    'SSH-2.0-OpenSSH\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}`,
  ]
  for (const answer of wrong) {
    const peer = await peerThat((socket) => socket.on('data', () => socket.write(answer)))
    await expect(peer.get(), answer.slice(0, 60)).rejects.toMatchObject({ code: 'unavailable' })
  }
})

it('asks once more where the kept connection had gone, and not where it was fresh', async () => {
  let requests = 0
  const peer = await peerThat((socket) => {
    socket.once('data', () => {
      requests += 1
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      socket.once('data', () => socket.resetAndDestroy())
    })
  })
  await peer.get()
  expect((await peer.get()).body.toString()).toBe('ok')
  expect(requests).toBe(2)
  const mute = await peerThat((socket) => {
    requests += 1
    socket.resetAndDestroy()
  })
  await expect(mute.get()).rejects.toMatchObject({ code: 'unavailable' })
  expect(requests).toBe(3)
})

it('has so many connections, and lets others wait, for so long as they want to', async () => {
  const asked: Socket[] = []
  const peer = await peerThat((socket) => socket.on('data', () => asked.push(socket)))
  const answer = () => asked.shift()?.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
  const stop = new AbortController()
  const [first, second] = [peer.get(), peer.get()]
  const unwanted = peer.get({ signal: stop.signal })
  const last = peer.get()
  const late = peer.get({ timeoutMs: 20 })
  await expect(late).rejects.toThrow('did not answer within 20 ms')
  stop.abort(new Error('no longer wanted'))
  await expect(unwanted).rejects.toThrow('no longer wanted')
  await expect.poll(() => asked.length).toBe(2)
  answer()
  await expect.poll(() => asked.length).toBe(2)
  answer()
  answer()
  for (const one of [first, second, last]) expect((await one).body.toString()).toBe('ok')
})

it('is cut by its caller, by time, and by a close', async () => {
  const peer = await peerThat((socket) => void socket.resume())
  const stop = new AbortController()
  const cut = peer.get({ signal: stop.signal })
  stop.abort(new Error('no longer wanted'))
  await expect(cut).rejects.toThrow('no longer wanted')
  await expect(peer.get({ timeoutMs: 20 })).rejects.toThrow('did not answer within 20 ms')
  // Two have a connection, one waits for one, and one comes too late.
  const closed = [peer.get(), peer.get(), peer.get()].map((one) =>
    expect(one).rejects.toMatchObject({ code: 'unavailable' }),
  )
  peer.close()
  await Promise.all(closed)
  await expect(peer.get()).rejects.toThrow('closed')
})

it('sends a body, and reads an answer to where it stays, if it is the one that is meant', async () => {
  const requests: string[] = []
  let answer = ''
  const peer = await peerThat((socket) => {
    let heard = ''
    socket.setEncoding('latin1').on('data', (piece: string) => {
      heard += piece
      if (!heard.endsWith('end')) return
      requests.push(heard)
      heard = ''
      socket.write(answer)
    })
  })
  const into = Buffer.from(new SharedArrayBuffer(200), 50, 100)
  const body = [Buffer.from('begin, '), Buffer.alloc(300_000, 'x'), Buffer.from('end')]
  const ask = () => peer.get({ method: 'POST', body, into })
  const right = 'y'.repeat(100)
  answer = `HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${right}`
  expect((await ask()).body.toString()).toBe(right)
  expect(into.toString()).toBe(right)
  expect(requests[0]).toMatch(
    /^POST \/x HTTP\/1.1\r\n[\s\S]*content-length: 300010\r\n\r\nbegin, x+end$/,
  )
  answer = `HTTP/1.1 207 Some\r\ncontent-length: 100\r\n\r\n${'z'.repeat(100)}`
  expect((await ask()).body.toString()).toBe('z'.repeat(100))
  answer = 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc'
  expect((await ask()).body.toString()).toBe('abc')
  expect(into.toString()).toBe(right)
})

async function peerThat(serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const calls = new BulkCalls({ connectionsMax: 2, idleMs: 1_000 })
  open.push(calls, { close: () => server.close() })
  open.push({ close: () => sockets.forEach((socket) => void socket.destroy()) })
  return {
    close: () => calls.close(),
    get: (options: Partial<BulkRequest> = {}) =>
      calls.call(new URL(`http://127.0.0.1:${port}`), '127.0.0.1', {
        ...{
          method: 'GET',
          path: '/x',
          headers: {},
          answerBytesMax: 1_000,
          timeoutMs: 10_000,
          ...options,
        },
      }),
  }
}
