/** Bytes on their way: how they are held up, where they break off, and what a client makes of it. */
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { BlobnodeClient } from '../../../../../machines/storage/plane/blobnode/index.ts'
import { until } from '../../../../waiting.ts'
import { plain, type Rig, serving, VUID } from './rig.ts'

const MIB = 1_048_576
const PATIENCE = { timeoutMs: 20_000 }
let rig: Rig | undefined
let server: Server | undefined
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await rig?.stop()
  rig = undefined
  server?.closeAllConnections()
  server?.close()
  server = undefined
})

const put = (bid: number, size: number) =>
  `/shard/put/diskid/1/vuid/${VUID}/bid/${bid}/size/${size}`
const get = (bid: number) => `/shard/get/diskid/1/vuid/${VUID}/bid/${bid}`

/** A connection on which a test writes what it likes. @returns what came back so far */
async function raw(
  address: string,
  text: string,
): Promise<{ socket: Socket; heard: () => string }> {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  let heard = ''
  socket.setEncoding('latin1').on('data', (piece: string) => {
    heard += piece
  })
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(text)
  return { socket, heard: () => heard }
}

describe('a body that comes', () => {
  it('keeps no slot of the disk while its sender is slow', async () => {
    rig = await serving(
      {},
      { slots: { atWork: 2, backgroundAtWork: 1, waiting: 9, backgroundWaiting: 9 } },
    )
    for (const size of [100, 2 * MIB]) {
      const { socket } = await raw(
        rig.at.address,
        `POST ${put(1, size)} HTTP/1.1\r\nhost: b\r\ncontent-length: ${size}\r\n\r\nx`,
      )
      const client = rig.client()
      await until(async () => (await figures(rig!)).at_work === 0, PATIENCE, 'no slot is taken')
      await client.putShard(rig.at, 2n, Buffer.alloc(10))
      socket.destroy()
    }
    await until(() => rig!.disk.atWork === 0, PATIENCE, 'the put that broke off has ended')
    expect(rig.disk.shards.get(VUID)?.has(1n)).toBe(false)
  })

  it('is asked for where its sender waits for that, and not where it is refused', async () => {
    rig = await serving()
    const head = (bid: number) =>
      `POST ${put(bid, 5)} HTTP/1.1\r\nhost: b\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n`
    const first = await raw(rig.at.address, head(1))
    await until(() => first.heard().includes('100 Continue'), PATIENCE, 'the body is asked for')
    first.socket.write('12345')
    await until(() => first.heard().includes('"crc"'), PATIENCE, 'it is taken')
    rig.disk.break('it fails')
    const second = await raw(rig.at.address, head(2))
    await until(() => second.heard().includes(' 613 '), PATIENCE, 'it is refused')
    expect(second.heard()).not.toContain('100 Continue')
  })

  it('is refused before it is sent, when it is large', async () => {
    rig = await serving()
    rig.disk.break('it fails')
    const client = rig.client()
    for (let turn = 0; turn < 3; turn++)
      await expect(client.putShard(rig.at, 1n, Buffer.alloc(20 * MIB))).rejects.toMatchObject({
        status: 613,
      })
    await expect(client.putShard(rig.at, 1n, Buffer.alloc(MIB))).rejects.toMatchObject({
      status: 613,
    })
  })

  it('that comes with no length is refused', async () => {
    rig = await serving()
    const headers = { 'transfer-encoding': 'chunked' }
    const answer = await plain(rig.at.address, 'POST', put(1, 5), { headers, body: '12345' })
    expect(answer.status).toBe(600)
  })
})

describe('a body that goes', () => {
  it('is read from the disk as fast as its reader takes it, and keeps no slot meanwhile', async () => {
    rig = await serving()
    await rig.client().putShard(rig.at, 1n, Buffer.alloc(64 * MIB))
    const { socket, heard } = await raw(rig.at.address, `GET ${get(1)} HTTP/1.1\r\nhost: b\r\n\r\n`)
    socket.pause()
    let last = -1
    await until(
      () => {
        const isStill = rig!.disk.piecesRead === last && last > 0
        last = rig!.disk.piecesRead
        return isStill
      },
      { ...PATIENCE, every: 300 },
      'reading stands still',
    )
    // What sockets hold, and no more.
    expect(last).toBeLessThan(20)
    expect((await figures(rig)).at_work).toBe(0)
    socket.resume()
    await until(
      () => heard().length > 64 * MIB,
      PATIENCE,
      () => `all: ${heard().length}`,
    )
  })

  it('is refused with its number when the disk cannot give its beginning', async () => {
    rig = await serving()
    const client = rig.client()
    for (const size of [MIB, 4 * MIB]) {
      await client.putShard(rig.at, 1n, Buffer.alloc(size))
      rig.disk.corruptAt = 10
      await expect(client.getShard(rig.at, 1n)).rejects.toMatchObject({ status: 658 })
    }
  })

  it('is refused with its number when the disk cannot give its middle', async () => {
    rig = await serving()
    const client = rig.client()
    await client.putShard(rig.at, 1n, Buffer.alloc(8 * MIB, 'ab'))
    rig.disk.corruptAt = 3 * MIB + 5
    await expect(client.getShard(rig.at, 1n)).rejects.toMatchObject({ status: 658 })
    // Whoever knows no better sees a connection that broke, never a body that looks whole.
    await expect(plain(rig.at.address, 'GET', get(1))).rejects.toThrow('aborted')
    // A range beside it is whole.
    const range = { from: 4 * MIB, to: 4 * MIB + 3 }
    expect((await client.getShard(rig.at, 1n, { range })).toString()).toBe('aba')
  })
})

describe('a disk that is asked for too much', () => {
  it('refuses, and answers the rest in the end', async () => {
    const slots = { atWork: 3, backgroundAtWork: 1, waiting: 2, backgroundWaiting: 1 }
    rig = await serving({}, { slots })
    const { disk, at } = rig
    let open = () => {}
    disk.gate = new Promise((resolve) => {
      open = resolve
    })
    const client = rig.client()
    const statusOf = (thrown: { status: number }) => thrown.status
    const putting = (bid: number, io: 'client' | 'repair') =>
      client.putShard(at, BigInt(bid), Buffer.alloc(10), { io }).then(() => 200, statusOf)
    const clients = [1, 2, 3, 4, 5, 6].map((bid) => putting(bid, 'client'))
    const repairs = [11, 12, 13].map((bid) => putting(bid, 'repair'))
    await until(
      async () => {
        const { at_work, waiting, background_waiting } = await figures(rig!)
        return at_work === 2 && waiting === 2 && background_waiting === 1
      },
      PATIENCE,
      'all have come',
    )
    const refused = await Promise.all([refusedOf(rig), client.statChunk(at)])
    expect(refused[0]).toEqual({ 604: 2, 673: 1 })
    open()
    expect((await Promise.all(clients)).sort()).toEqual([200, 200, 200, 200, 604, 604])
    expect((await Promise.all(repairs)).sort()).toEqual([200, 200, 673])
    expect(disk.atWorkMost).toBe(3)
  })
})

describe('a client', () => {
  it('says when nobody is there, when there is no answer in time, and what is no blobnode', async () => {
    const client = new BlobnodeClient({ timeoutMs: 100 })
    const at = { address: 'http://127.0.0.1:1', diskId: 1, vuid: VUID }
    await expect(client.statChunk(at)).rejects.toMatchObject({ code: 'unavailable' })
    let answer = ''
    const url = await listening((socket) => {
      if (answer !== '') socket.end(answer)
    })
    const there = { ...at, address: url }
    await expect(client.statChunk(there)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('within 100 ms'),
    })
    answer = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'
    await expect(client.statChunk(there)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(client.getShard(there, 1n)).rejects.toMatchObject({ code: 'unavailable' })
    answer = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<a/>\n'
    await expect(client.statChunk(there)).rejects.toMatchObject({ code: 'unavailable' })
    answer = 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n'
    await expect(client.statChunk(there)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(client.statChunk({ ...at, address: 'nonsense' })).rejects.toMatchObject({
      code: 'malformed',
    })
    client.close()
  })

  it('is no longer interested when its caller is not', async () => {
    rig = await serving()
    const { disk, at } = rig
    disk.gate = new Promise(() => {})
    const client = rig.client()
    const stop = new AbortController()
    const why = new Error('no longer wanted')
    const { signal } = stop
    const calls = [
      client.putShard(at, 1n, Buffer.alloc(10), { signal }),
      client.createChunk(at, 10, { signal }),
    ]
    const ends = Promise.all(calls.map((call) => call.catch((error: unknown) => error)))
    await until(() => disk.atWork === 1, PATIENCE, 'it has come')
    await calls[1]
    stop.abort(why)
    expect(await ends).toEqual([why, undefined])
    await expect(client.statChunk(at, { signal })).rejects.toBe(why)
  })

  it('asks once more where the connection that it had kept was closed meanwhile', async () => {
    let calls = 0
    const url = await listening((socket) => {
      calls += 1
      const body = JSON.stringify({ crc: calls })
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      // Whatever comes next on this connection is not heard any more.
      socket.removeAllListeners('data').once('data', () => socket.resetAndDestroy())
    })
    const client = new BlobnodeClient()
    const at = { address: url, diskId: 1, vuid: VUID }
    expect(await client.putShard(at, 1n, Buffer.alloc(10))).toEqual({ crc: 1 })
    expect(await client.putShard(at, 1n, Buffer.alloc(10))).toEqual({ crc: 2 })
    client.close()
  })

  it('does not ask again on a connection that was fresh', async () => {
    let calls = 0
    const url = await listening((socket) => {
      calls += 1
      socket.resetAndDestroy()
    })
    const client = new BlobnodeClient()
    const at = { address: url, diskId: 1, vuid: VUID }
    await expect(client.putShard(at, 1n, Buffer.alloc(10))).rejects.toMatchObject({
      code: 'unavailable',
    })
    expect(calls).toBe(1)
    client.close()
  })
})

describe('a stop', () => {
  it('finishes what runs, and keeps nobody waiting who asks for nothing', async () => {
    rig = await serving()
    const { disk, at } = rig
    const client = rig.client()
    await client.statChunk(at)
    let open = () => {}
    disk.gate = new Promise((resolve) => {
      open = resolve
    })
    const putting = client.putShard(at, 1n, Buffer.alloc(10))
    await until(() => disk.atWork === 1, PATIENCE, 'it has come')
    const stopped = rig.blobnode.stop()
    const nobody = { code: 'unavailable' }
    await expect(client.statChunk(at)).rejects.toMatchObject(nobody)
    expect(disk.isClosed).toBe(false)
    open()
    expect(await putting).toMatchObject({ crc: expect.any(Number) })
    await stopped
    expect(disk.isClosed).toBe(true)
    rig = undefined
    client.close()
  })
})

interface Figures {
  at_work: number
  waiting: number
  background_waiting: number
}

async function diskOf({ at }: Rig) {
  const { text } = await plain(at.address, 'GET', '/stat')
  return (JSON.parse(text) as { disks: { slots: Figures; counters: { refusals: object } }[] })
    .disks[0]!
}

async function figures(of: Rig): Promise<Figures> {
  return (await diskOf(of)).slots
}

async function refusedOf(of: Rig): Promise<object> {
  return (await diskOf(of)).counters.refusals
}

/** What answers on a socket as a test likes, once for what has come so far. */
async function listening(hear: (socket: Socket) => void): Promise<string> {
  server = createServer()
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => hear(socket))
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
