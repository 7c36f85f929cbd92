/** What apps serve over HTTP: routes of every kind of body, and JSON-RPC. */
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type AppRoute, defineApp } from '../../src/node/index.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

const seen = { aborted: false }

const routes: AppRoute[] = [
  {
    method: 'POST',
    path: '/echo/:one/:two',
    handle: async (request) => ({
      body: {
        body: request.body,
        params: request.params,
        query: request.query.get('q'),
        author: request.author,
      },
    }),
  },
  {
    method: 'POST',
    path: '/own',
    role: 'public',
    handle: async ({ author, body }) => ({ status: 202, body: { author, body } }),
  },
  {
    method: 'POST',
    path: '/raw',
    body: 'raw',
    bodyBytesMax: 10,
    handle: async ({ body }) => ({ body: body as Uint8Array }),
  },
  {
    method: 'POST',
    path: '/stream',
    body: 'stream',
    handle: async ({ body }) => {
      let bytes = 0
      for await (const chunk of body as Readable) bytes += (chunk as Buffer).length
      return { body: { bytes } }
    },
  },
  {
    method: 'POST',
    path: '/parsers',
    parsers: {
      'application/x-old': (bytes) => ({ old: bytes.length }),
      'application/x-bad': () => {
        throw new Error('secret detail')
      },
    },
    handle: async ({ body }) => ({ body }),
  },
  {
    method: 'GET',
    path: '/text',
    handle: async () => ({ body: 'plain', headers: { 'x-mine': 'yes' } }),
  },
  {
    method: 'GET',
    path: '/iterable',
    handle: async () => ({
      body: (async function* () {
        yield 'a'
        yield Buffer.from('b')
      })(),
    }),
  },
  { method: 'GET', path: '/readable', handle: async () => ({ body: Readable.from(['x', 'y']) }) },
  {
    method: 'GET',
    path: '/status/:status',
    handle: async ({ params }) => ({ status: Number(params['status']), body: { why: 'so' } }),
  },
  { method: 'GET', path: '/big', handle: async () => ({ body: { n: 2n ** 60n } }) },
  {
    method: 'GET',
    path: '/refuse',
    handle: async () => {
      throw new TroupeError('busy', 'later')
    },
  },
  {
    method: 'GET',
    path: '/break',
    handle: async () => {
      throw new Error('secret detail')
    },
  },
  {
    method: 'GET',
    path: '/slow',
    handle: ({ signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          seen.aborted = true
          resolve({ body: 'late' })
        })
      }),
  },
]
const lost: unknown[] = []
const app = defineApp({
  name: 'family',
  routes: () => routes,
  methods: () => [
    {
      name: 'add',
      params: z.object({ a: z.number(), b: z.number() }),
      handle: async (params) => {
        const { a, b } = params as { a: number; b: number }
        return a + b
      },
    },
    { name: 'note', params: z.array(z.string()), handle: async (params) => void lost.push(params) },
    {
      name: 'refuse',
      params: z.unknown(),
      handle: async () => {
        throw new TroupeError('conflict', 'no')
      },
    },
    {
      name: 'break',
      params: z.unknown(),
      handle: async () => {
        throw new Error('secret detail')
      },
    },
  ],
})

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [app] })
})
afterAll(() => rig.close())

describe('routes', () => {
  it('are given JSON, forms, parameters and an author', async () => {
    const expected = { params: { one: 'a/b', two: '2' }, query: 'x', author: 'operator@loopback' }
    const json = await rig.call('POST', '/echo/a%2Fb/2?q=x', { body: { n: 1 } })
    expect(json.body).toEqual({ ...expected, body: { n: 1 } })
    const form = await rig.call('POST', '/echo/a%2Fb/2?q=x', {
      body: 'name=a+b&n=%C3%BC&n=2',
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' },
    })
    expect(form.body).toEqual({ ...expected, body: { name: 'a b', n: ['ü', '2'] } })
  })

  it('are given a form that repeats one name very often, at once', async () => {
    const times = 200_000
    const answer = await rig.call('POST', '/echo/1/2', {
      body: 'n=1&'.repeat(times),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(answer.body.body.n).toHaveLength(times)
  })

  it('answer for themselves where they say so, but not to browsers from elsewhere', async () => {
    expect(await rig.call('POST', '/own', { body: {} })).toMatchObject({
      status: 202,
      body: { author: 'anonymous' },
    })
    const foreign = await rig.call('POST', '/own', {
      body: {},
      headers: { origin: 'http://evil.example' },
    })
    expect(foreign).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
  })

  it('take bytes, streams and types of their own', async () => {
    const headers = { 'content-type': 'application/octet-stream' }
    expect((await rig.call('POST', '/raw', { body: 'bytes', headers })).text).toBe('bytes')
    expect(await rig.call('POST', '/raw', { body: 'x'.repeat(11), headers })).toMatchObject({
      status: 413,
    })
    expect(
      (await rig.call('POST', '/stream', { body: Buffer.alloc(3_000_000), headers })).body,
    ).toEqual({ bytes: 3_000_000 })
    expect(
      (
        await rig.call('POST', '/parsers', {
          body: 'abc',
          headers: { 'content-type': 'application/x-old' },
        })
      ).body,
    ).toEqual({ old: 3 })
    const bad = await rig.call('POST', '/parsers', {
      body: 'abc',
      headers: { 'content-type': 'application/x-bad' },
    })
    expect([bad.status, bad.body.error.code]).toEqual([400, 'malformed'])
    expect(bad.text).not.toContain('secret')
  })

  it('answer with texts, streams and objects, and to HEAD', async () => {
    const text = await rig.call('GET', '/text')
    expect([text.text, text.headers['x-mine'], text.headers['content-type']]).toEqual([
      'plain',
      'yes',
      'text/plain; charset=utf-8',
    ])
    expect(await rig.call('HEAD', '/text')).toMatchObject({
      status: 200,
      text: '',
      headers: { 'content-length': '5', 'x-mine': 'yes' },
    })
    expect(await rig.call('HEAD', '/iterable')).toMatchObject({ status: 200, text: '' })
    expect((await rig.call('GET', '/iterable')).text).toBe('ab')
    expect((await rig.call('GET', '/readable')).text).toBe('xy')
    expect((await rig.call('GET', '/big')).text).toBe('{"n":{"$bigint":"1152921504606846976"}}')
  })

  it('answer with any status of three digits, as protocols of apps have them', async () => {
    for (const status of [299, 599, 600, 700, 913, 999]) {
      const answer = await rig.call('GET', `/status/${status}`)
      expect(answer).toMatchObject({ status, body: { why: 'so' } })
    }
    expect(await rig.call('HEAD', '/status/700')).toMatchObject({ status: 700, text: '' })
    for (const status of ['99', '1000', '700.5', 'x']) {
      expect((await rig.call('GET', `/status/${status}`)).status).toBe(500)
    }
  })

  it('fail as everything else does', async () => {
    const refused = await rig.call('GET', '/refuse')
    expect(refused).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { error: { code: 'busy', retry: true } },
    })
    const broken = await rig.call('GET', '/break')
    expect([broken.status, broken.body.error.code]).toEqual([500, 'internal'])
    expect(broken.text).not.toContain('secret')
    expect(await rig.call('DELETE', '/text')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    })
  })

  it('are taken at their word by browsers, as every answer is', async () => {
    for (const path of ['/text', '/health', '/troupe/v1/actors', '/nowhere']) {
      const { headers } = await rig.call('GET', path)
      expect(headers['x-content-type-options']).toBe('nosniff')
      // What an app answers is the app's; ours is true for a moment only.
      expect(headers['cache-control']).toBe(path === '/text' ? undefined : 'no-store')
    }
  })

  it('are told when the client goes away', async () => {
    const outgoing = httpRequest(`${rig.gateway.url}/slow`).on('error', () => {})
    outgoing.end()
    await until(() => outgoing.socket?.readyState === 'open', { timeoutMs: 20_000 }, 'a connection')
    await rig.call('GET', '/text')
    outgoing.destroy()
    await until(() => seen.aborted, { timeoutMs: 20_000 }, 'the signal')
  })

  it.each([
    [{ method: 'GET', path: '/text/' }, /apps family and rival both claim the route GET \/text/],
    [{ method: 'POST', path: '/echo/:x/:y' }, /family and rival/],
    [{ method: 'GET', path: '/troupe/v1/actors' }, /belongs to the gateway/],
    [{ method: 'GET', path: 'text' }, /begins with a slash/],
  ] as const)('cannot claim %j', async (route, message) => {
    const rival = defineApp({
      name: 'rival',
      routes: () => [{ ...route, handle: async () => ({}) }],
    })
    await expect(startRig({ apps: [app, rival] })).rejects.toThrow(message)
  })
})

describe('JSON-RPC', () => {
  const rpc = (body: unknown) => rig.call('POST', '/rpc', { body })
  const one = (method: string, params: unknown, id: unknown = 1) => ({
    jsonrpc: '2.0',
    method,
    params,
    id,
  })

  it('answers calls, batches and notifications', async () => {
    expect((await rpc(one('add', { a: 1, b: 2 }))).body).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: 3,
    })
    const note = { jsonrpc: '2.0', method: 'note', params: ['x'] }
    expect(await rpc(note)).toMatchObject({ status: 204, text: '' })
    expect(await rpc([note, note])).toMatchObject({ status: 204 })
    expect(lost).toHaveLength(3)
    const many = await rpc(Array.from({ length: 101 }, () => one('add', { a: 1, b: 1 })))
    expect(many.body).toMatchObject({
      error: { code: -32600, message: expect.stringContaining('at most 100') },
    })
    const batch = await rpc([one('add', { a: 1, b: 1 }, 'x'), note, 7])
    expect(batch.body).toMatchObject([
      { id: 'x', result: 2 },
      { id: null, error: { code: -32600 } },
    ])
  })

  it.each([
    ['{"jsonrpc"', -32700],
    [[], -32600],
    [{ method: 'add' }, -32600],
    [one('nope', {}), -32601],
    [one('add', { a: 'x', b: 1 }), -32602],
    [one('refuse', {}), -32000],
    [one('break', {}), -32603],
  ])('%j → %i', async (body, code) => {
    const answer = await rpc(body)
    expect(answer).toMatchObject({ status: 200, body: { jsonrpc: '2.0', error: { code } } })
    expect(answer.text).not.toContain('secret')
  })
})

it('closes: streams end, requests under way finish, nothing new is taken', async () => {
  let proceed = () => {}
  const begun = { stream: false, slow: false }
  const own = await startRig({
    apps: [
      defineApp({
        name: 'ends',
        routes: () => [
          {
            method: 'GET',
            path: '/follow',
            handle: async ({ signal }) => ({
              body: (async function* () {
                begun.stream = true
                yield 'first'
                await new Promise<void>((resolve) =>
                  signal.addEventListener('abort', () => resolve()),
                )
                yield 'last'
              })(),
            }),
          },
          {
            method: 'GET',
            path: '/work',
            handle: () =>
              new Promise((resolve) => {
                begun.slow = true
                proceed = () => resolve({ body: 'done' })
              }),
          },
        ],
      }),
    ],
  })
  const follow = own.call('GET', '/follow')
  const work = own.call('GET', '/work')
  await until(() => begun.stream && begun.slow, { timeoutMs: 20_000 }, 'both to begin')
  const closing = own.gateway.close()
  expect((await follow).text).toBe('firstlast')
  proceed()
  expect((await work).text).toBe('done')
  await closing
  await expect(own.call('GET', '/health')).rejects.toThrow(/ECONNREFUSED/)
  await own.close()
})
