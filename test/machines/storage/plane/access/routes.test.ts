/** Objects over HTTP, through a real node and gateway: statuses, headers, ranges, and answers that break off. */
import { randomBytes } from 'node:crypto'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BLOB_BYTES_MAX } from '../../../../../machines/storage/plane/access/limits.ts'
import {
  type AccessDeps,
  accessRoutes,
} from '../../../../../machines/storage/plane/access/routes.ts'
import { codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { defineApp } from '../../../../../src/index.ts'
import { type Rig, startRig } from '../../../../gateway/rig.ts'
import { until } from '../../../../waiting.ts'
import { Twins } from './twins.ts'

const VID = 7
let erasure: Erasure
let rig: Rig
let twins: Twins
/** What the routes work with: other twins for each test. */
const deps = {} as AccessDeps
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 1 })
  Object.assign(deps, new Twins(erasure, codeModeOf('EC6P3'), [VID]).deps())
  const indirect: AccessDeps = {
    ...deps,
    shards: {
      putShard: (...asked) => deps.shards.putShard(...asked),
      getShard: (...asked) => deps.shards.getShard(...asked),
      markDelete: (...asked) => deps.shards.markDelete(...asked),
    },
    volumes: {
      view: (...asked) => deps.volumes.view(...asked),
      settled: (...asked) => deps.volumes.settled(...asked),
      writable: (...asked) => deps.volumes.writable(...asked),
      wrote: (...asked) => deps.volumes.wrote(...asked),
      failed: (...asked) => deps.volumes.failed(...asked),
      nextBids: (...asked) => deps.volumes.nextBids(...asked),
    },
    upkeep: {
      repair: (...asked) => deps.upkeep.repair(...asked),
      remove: (...asked) => deps.upkeep.remove(...asked),
    },
    limits: { ...deps.limits, deletesMax: 1 },
  }
  rig = await startRig({
    apps: [defineApp({ name: 'objects', routes: () => accessRoutes(indirect) })],
  })
})
afterAll(async () => {
  await rig.close()
  await erasure.close()
})
beforeEach(() => {
  twins = new Twins(erasure, codeModeOf('EC6P3'), [VID])
  Object.assign(deps, twins.deps())
})

interface Got {
  status: number
  headers: IncomingMessage['headers']
  bytes: Buffer
  isWhole: boolean
}

function get(path: string, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(`${rig.gateway.url}${path}`, { headers, agent: false })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      const { statusCode: status = 0, headers: got } = incoming
      const end = () =>
        resolve({ status, headers: got, bytes: Buffer.concat(chunks), isWhole: incoming.complete })
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', () => {})
      incoming.on('close', end)
    })
    outgoing.end()
  })
}

async function put(bytes: Buffer): Promise<{ id: string; bid: bigint }> {
  const { status, body, headers } = await rig.call('PUT', '/blob', { body: bytes })
  expect(status).toBe(201)
  expect(body).toEqual({ id: expect.any(String), size: bytes.length, mode: 'EC6P3' })
  expect(headers['location']).toBe(`/blob/${body.id}`)
  return { id: body.id, bid: 1_000n }
}

describe('an object', () => {
  it('is put, read, looked at and deleted', async () => {
    const bytes = randomBytes(100_000)
    const { id } = await put(bytes)
    const got = await get(`/blob/${id}`)
    expect([got.status, got.isWhole, got.bytes.equals(bytes)]).toEqual([200, true, true])
    const headers = {
      'content-length': '100000',
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
    }
    expect(got.headers).toMatchObject(headers)
    expect(await rig.call('HEAD', `/blob/${id}`)).toMatchObject({ status: 200, headers, text: '' })
    expect(await rig.call('DELETE', `/blob/${id}`)).toMatchObject({
      status: 200,
      body: { id, status: 'deleted' },
    })
    expect(await rig.call('GET', `/blob/${id}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'not-found' } },
    })
    expect((await rig.call('HEAD', `/blob/${id}`)).status).toBe(404)
  })

  it('of no bytes is one as well', async () => {
    const { id } = await put(Buffer.alloc(0))
    expect(await get(`/blob/${id}`)).toMatchObject({ status: 200, bytes: Buffer.alloc(0) })
    expect((await rig.call('HEAD', `/blob/${id}`)).headers['content-length']).toBe('0')
    expect((await rig.call('DELETE', `/blob/${id}`)).status).toBe(200)
    for (const method of ['GET', 'HEAD'])
      expect((await rig.call(method, `/blob/${id}`)).status).toBe(404)
  })

  it('is given by range', async () => {
    const bytes = randomBytes(100_000)
    const { id } = await put(bytes)
    const part = await get(`/blob/${id}`, { range: 'bytes=70000-70099' })
    expect(part.status).toBe(206)
    expect(part.bytes.equals(bytes.subarray(70_000, 70_100))).toBe(true)
    expect(part.headers).toMatchObject({
      'content-range': 'bytes 70000-70099/100000',
      'content-length': '100',
    })
    const beyond = await get(`/blob/${id}`, { range: 'bytes=100000-' })
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */100000'])
  })

  it('is put in another mode when that is asked for', async () => {
    twins.volumes.set(VID, { mode: codeModeOf('Replica3'), epochs: [1, 1, 1] })
    const { status, body } = await rig.call('PUT', '/blob?mode=Replica3', { body: 'abc' })
    expect([status, body.mode]).toEqual([201, 'Replica3'])
    expect((await get(`/blob/${body.id}`)).bytes.toString()).toBe('abc')
    expect(await rig.call('PUT', '/blob?mode=EC99', { body: 'abc' })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('EC6P3') } },
    })
  })
})

describe('what cannot be done is told', () => {
  it('of an id that is damaged', async () => {
    const { id } = await put(randomBytes(10))
    for (const method of ['GET', 'HEAD', 'DELETE'])
      expect((await rig.call(method, `/blob/${id.slice(0, -2)}`)).status).toBe(400)
  })

  it('of a blob that is lost, or away for now', async () => {
    const { id, bid } = await put(randomBytes(60_000))
    twins.spoil('corrupt', VID, bid, 0, 1, 2, 3)
    expect(await rig.call('GET', `/blob/${id}`)).toMatchObject({
      status: 500,
      body: {
        error: { detail: { status: 671 }, message: expect.stringMatching(/lost.*unit 3/) },
      },
    })
    twins.set('away', VID, 0, 1, 2, 3)
    expect(await rig.call('GET', `/blob/${id}`)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { error: { code: 'unavailable', retry: true } },
    })
    expect((await rig.call('HEAD', `/blob/${id}`)).status).toBe(503)
  })

  it('of a delete that units will follow later', async () => {
    const { id } = await put(randomBytes(60_000))
    twins.set('away', VID, 0)
    expect(await rig.call('DELETE', `/blob/${id}`)).toMatchObject({
      status: 202,
      body: { id, status: 'accepted' },
    })
  })

  it('of a put that no volume takes, also while its body is still on the way', async () => {
    twins.set('away', VID, 0, 1)
    const { status, body } = await rig.call('PUT', '/blob', {
      body: randomBytes(5 * BLOB_BYTES_MAX),
    })
    expect([status, body.error.code]).toEqual([503, 'unavailable'])
  })
})

describe('an answer that breaks off', () => {
  it('is cut, so that nobody takes it for whole', async () => {
    const bytes = randomBytes(2 * BLOB_BYTES_MAX)
    const { id, bid } = await put(bytes)
    twins.spoil('corrupt', VID, bid + 1n, 0, 1, 2, 3)
    const got = await get(`/blob/${id}`)
    expect([got.status, got.isWhole]).toEqual([200, false])
    expect(got.headers['content-length']).toBe(String(bytes.length))
    expect(got.bytes.length).toBeLessThan(bytes.length)
    expect(got.bytes.equals(bytes.subarray(0, got.bytes.length))).toBe(true)
  })
})

describe('a client that goes away', () => {
  it('in the middle of a put leaves nothing behind', async () => {
    const socket = connect(rig.gateway.port, '127.0.0.1')
    const head = `PUT /blob HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${3 * BLOB_BYTES_MAX}\r\n\r\n`
    socket.write(head)
    socket.write(randomBytes(BLOB_BYTES_MAX + 10))
    await until(() => twins.wroteBytes > 0, { timeoutMs: 10_000 }, 'the first blob')
    socket.destroy()
    await until(() => twins.removals.length === 1, { timeoutMs: 10_000 }, 'it to be removed')
    await until(() => twins.stripesOut === 0, { timeoutMs: 10_000 }, 'its memory')
  })

  it('in the middle of a get ends what is read', async () => {
    const { id, bid } = await put(randomBytes(3 * BLOB_BYTES_MAX))
    let asked = 0
    twins.onGet = (_place, of) => {
      if (of === bid) return undefined
      asked++
      return new Promise<void>(() => {})
    }
    const outgoing = httpRequest(`${rig.gateway.url}/blob/${id}`, { agent: false })
    outgoing.on('error', () => {})
    outgoing.on('response', (incoming) => {
      incoming.on('error', () => {})
      incoming.resume()
    })
    outgoing.end()
    await until(() => asked > 0, { timeoutMs: 10_000 }, 'the second blob to be asked for')
    outgoing.destroy()
    await until(() => twins.runningGets === 0, { timeoutMs: 10_000 }, 'the reads to be given up')
  })
})
