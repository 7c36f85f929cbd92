/** Connections on which shards come to be put: their own way, Node's, and from one to the other. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { HeldExchange } from '../../../../../machines/storage/plane/blobnode/exchange.ts'
import {
  PutConnection,
  type PutConnectionDeps,
} from '../../../../../machines/storage/plane/blobnode/put-connection.ts'
import { until } from '../../../../waiting.ts'
import { type Rig, serving, VUID } from './rig.ts'

const PATIENCE = { timeoutMs: 20_000 }
const FOREVER_MS = 600_000
const TOKEN = 'token-of-this-test'
let rig: Rig | undefined
let server: Server | undefined
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await rig?.stop()
  rig = undefined
  server?.close()
  server = undefined
})

/** What a client may write, and what it hears. */
async function opened(address: string) {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  let heard = ''
  socket.setEncoding('latin1').on('data', (piece: string) => {
    heard += piece
  })
  socket.on('error', () => {})
  await once(socket, 'connect')
  const statuses = () => [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status)
  const hears = (...wanted: string[]) =>
    until(
      () => statuses().join() === wanted.join(),
      PATIENCE,
      () => `${wanted}: ${heard}`,
    )
  return { socket, hears, heard: () => heard }
}

function put(bid: number, body: string, { size = body.length, headers = '' } = {}): string {
  const path = `/shard/put/diskid/1/vuid/${VUID}/bid/${bid}/size/${size}`
  return `POST ${path} HTTP/1.1\r\nhost: b\r\n${headers}content-length: ${size}\r\n\r\n${body}`
}

const get = (bid: number) =>
  `GET /shard/get/diskid/1/vuid/${VUID}/bid/${bid} HTTP/1.1\r\nhost: b\r\n\r\n`

const stored = async ({ client, at }: Rig, bid: number) =>
  (await client().getShard(at, BigInt(bid))).toString()

const heldBytes = async ({ blobnode }: Rig) => (await blobnode.report())['held_bytes']

describe('a connection of puts', () => {
  it('takes one body after the other, in whatever pieces they come', async () => {
    rig = await serving()
    const { socket, hears } = await opened(rig.at.address)
    const first = put(1, 'first body')
    for (const [at, piece] of [
      first.slice(0, -9),
      first.slice(-9, -4),
      first.slice(-4),
    ].entries()) {
      socket.write(piece)
      await until(
        async () => (await heldBytes(rig!)) === (at < 2 ? 10 : 0),
        PATIENCE,
        'it has come',
      )
    }
    await hears('200')
    socket.write(put(2, ''))
    await hears('200', '200')
    // Two at a time, and the head of the second in two pieces.
    const two = put(3, 'third') + put(4, 'fourth')
    socket.write(two)
    await hears('200', '200', '200', '200')
    const bodies = await Promise.all([1, 2, 3, 4].map((bid) => stored(rig!, bid)))
    expect(bodies).toEqual(['first body', '', 'third', 'fourth'])
  })

  it('drops the body of what was refused, and takes the next', async () => {
    rig = await serving()
    const { socket, hears } = await opened(rig.at.address)
    socket.write(put(1, 'half', { size: 100 }).replace('diskid/1/', 'diskid/2/'))
    await hears('611')
    socket.write('x'.repeat(96) + put(2, 'next'))
    await hears('611', '200')
    expect(await stored(rig, 2)).toBe('next')
    expect(await heldBytes(rig)).toBe(0)
  })

  it('keeps nothing of a body that breaks off', async () => {
    rig = await serving()
    for (const how of ['end', 'destroy'] as const) {
      const { socket } = await opened(rig.at.address)
      socket.write(put(1, 'half', { size: 100 }))
      await until(async () => (await heldBytes(rig!)) === 100, PATIENCE, 'it is held')
      socket[how]()
      await until(async () => (await heldBytes(rig!)) === 0, PATIENCE, 'it is let go')
    }
    expect(rig.disk.shards.get(VUID)?.size ?? 0).toBe(0)
  })

  it('asks each request for the token', async () => {
    rig = await serving({ token: TOKEN })
    const { socket, hears } = await opened(rig.at.address)
    const headers = `authorization: Bearer ${TOKEN}\r\n`
    socket.write(put(1, 'mine', { headers }))
    await hears('200')
    socket.write(put(2, 'not mine'))
    await hears('200', '401')
    socket.write(put(3, 'not mine', { headers: headers.replace(TOKEN, 'another') }))
    await hears('200', '401', '401')
    expect(rig.disk.shards.get(VUID)?.size).toBe(1)
  })

  it('is closed by a stop when it rests, and after its answer when it does not', async () => {
    rig = await serving()
    const [resting, working] = [await opened(rig.at.address), await opened(rig.at.address)]
    resting.socket.write(put(1, 'rests'))
    await resting.hears('200')
    working.socket.write(put(2, 'half', { size: 8 }))
    await until(async () => (await heldBytes(rig!)) === 8, PATIENCE, 'it has begun')
    const closed = [once(resting.socket, 'close'), once(working.socket, 'close')]
    const stopped = rig.blobnode.stop()
    await closed[0]
    working.socket.write('more')
    await working.hears('200')
    await Promise.all([stopped, closed[1]])
  })
})

describe("a connection that is Node's", () => {
  it('is one with any other request, also behind a put', async () => {
    rig = await serving()
    const { socket, hears, heard } = await opened(rig.at.address)
    socket.write(put(1, 'one') + get(1))
    await hears('200', '200')
    await until(() => heard().endsWith('one'), PATIENCE, 'the bytes have come')
    socket.write(put(2, 'two'))
    await hears('200', '200', '200')
    expect(await stored(rig, 2)).toBe('two')
  })

  it.each([
    ['has a header of another meaning', 'origin: http://page\r\n', '403'],
    ['has a header twice', 'content-length: 9\r\n', '400'],
    ['has two lengths', 'transfer-encoding: chunked\r\n', '400'],
    ['hides a header', 'host : c\r\n', '400'],
  ])('is one with a put that %s', async (_what, headers, status) => {
    rig = await serving()
    const { socket, hears } = await opened(rig.at.address)
    socket.write(put(1, 'body', { headers }))
    await hears(status)
    expect(rig.disk.shards.get(VUID)?.size ?? 0).toBe(0)
  })

  it('is one whose head comes in pieces, and one with a body that is not held', async () => {
    rig = await serving()
    const text = put(1, 'pieces')
    const { socket, hears } = await opened(rig.at.address)
    socket.setNoDelay(true)
    socket.write(text.slice(0, 20))
    const others = await opened(rig.at.address)
    others.socket.write(put(2, 'x'.repeat(2_000_000)))
    await others.hears('200')
    socket.write(text.slice(20))
    await hears('200')
    expect(await stored(rig, 1)).toBe('pieces')
    expect(await stored(rig, 2)).toHaveLength(2_000_000)
  })
})

describe('a connection that stands still', () => {
  it.each([
    ['before its first bytes', 'firstMsMax', ''],
    ['between two requests', 'idleMsMax', put(1, 'whole')],
    ['in the middle of a body', 'stillMsMax', put(1, 'half', { size: 100 })],
    ['or goes on for too long', 'requestMsMax', put(1, 'half', { size: 100 })],
  ] as const)('is closed: %s', async (_when, limit, text) => {
    let answered = 0
    const url = await listening({
      [limit]: 50,
      answer: async (_call, exchange) => {
        await exchange.whole(Buffer.alloc(Number(exchange.header('content-length')))).then(
          () => exchange.json({}),
          () => exchange.isGone(),
        )
        answered += 1
      },
    })
    const { socket } = await opened(url)
    const closed = once(socket, 'close')
    if (text !== '') socket.write(text)
    await closed
    await until(() => answered === (text === '' ? 0 : 1), PATIENCE, 'its body is given up')
  })
})

it('a request that is over does not close its connection later, were it refused and without a body', async () => {
  const requestMsMax = 50
  const url = await listening({
    requestMsMax,
    answer: async (_call, exchange) => exchange.fail({ status: 611, text: '{}' }),
  })
  const { socket, hears } = await opened(url)
  socket.write(put(1, ''))
  await hears('611')
  const over = performance.now() + 2 * requestMsMax
  await until(() => performance.now() > over, PATIENCE, 'its time to be over')
  socket.write(put(2, ''))
  await hears('611', '611')
})

describe('a body that nobody has asked for yet', () => {
  it('waits, and is given whole', async () => {
    let exchange: HeldExchange | undefined
    const url = await listening({
      answer: async (_call, given) => {
        exchange = given
      },
    })
    const { socket, hears } = await opened(url)
    socket.write(put(1, 'early', { size: 9 }))
    await until(() => exchange, PATIENCE, 'it has come')
    const body = exchange!.whole(Buffer.alloc(9))
    socket.write('late')
    expect((await body).toString()).toBe('earlylate')
    exchange!.json({})
    await hears('200')
  })
})

async function listening(deps: Partial<PutConnectionDeps>): Promise<string> {
  const limits = { firstMsMax: FOREVER_MS, idleMsMax: FOREVER_MS, stillMsMax: FOREVER_MS }
  server = createServer((socket) => {
    new PutConnection(socket, {
      ...{ ...limits, requestMsMax: FOREVER_MS, onEnd: () => {} },
      answer: async () => {},
      handOver: () => {
        throw new Error('it is no put')
      },
      ...deps,
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
