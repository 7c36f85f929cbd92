/** The worker's own interface over HTTP: who may call, what is answered, and what a client makes of it. */
import { request as httpRequest } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import {
  parsePlace,
  type ShownThread,
  WorkerClient,
} from '../../../../machines/sealing/daemon/index.ts'
import { RpcRefusal } from '../../../../machines/sealing/daemon/json-rpc.ts'
import {
  type Listening,
  serveMetrics,
  serveRpc,
} from '../../../../machines/sealing/daemon/rpc-server.ts'
import type { WorkerHandlers } from '../../../../machines/sealing/daemon/worker-api.ts'
import { type Log, TroupeError } from '../../../../src/index.ts'

const logged: string[] = []
const log: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: (_fields, message) => void logged.push(message),
  child: () => log,
}
const paused: unknown[] = []

const SHOWN = { thread: 'w.a', condition: 'running' } as ShownThread

const handlers: WorkerHandlers = {
  WorkerList: async () => [],
  WorkerPause: async (index) => {
    if (index === 9) throw new RpcRefusal(-32_602, 'worker #9 not found')
    if (index === 8) throw new TroupeError('unavailable', 'no node answers')
    if (index === 7) throw new Error('a secret of ours')
    paused.push(index)
    return true
  },
  WorkerResume: async (index, state) => index === 0 && (state ?? null) === null,
  WorkerSetEnv: async () => null,
  WorkerRemoveEnv: async () => null,
  WorkerVersion: async () => '1.2.3',
  WorkerThreads: async () => [SHOWN],
  WorkerHistory: async () => null,
  WorkerControl: async ({ index }) => ({ refused: 'not-paused', message: `#${index} runs` }),
  WorkerDrain: async () => ({ threads: 2, drained: 1 }),
  WorkerQuarantine: async () => ({ quarantined: [] }),
  WorkerHealth: async () => ({}),
}

let server: Listening | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})

async function serving(token?: string): Promise<string> {
  server = await serveRpc({ host: '127.0.0.1', port: 0, token, handlers, log })
  return `http://127.0.0.1:${server.place.port}`
}

async function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

function call(method: string, params: unknown, id: unknown = 1) {
  return { jsonrpc: '2.0', id, method: `VenusWorker.${method}`, params }
}

it.each(['/', '/rpc/v0', '/rpc/v0?x=1'])('answers at %s', async (path) => {
  const url = await serving()
  expect(await post(url + path, call('WorkerVersion', []))).toEqual({
    status: 200,
    body: { jsonrpc: '2.0', result: '1.2.3', id: 1 },
  })
})

it('refuses other paths and methods', async () => {
  const url = await serving()
  expect((await post(`${url}/x`, call('WorkerVersion', []))).status).toBe(404)
  expect((await fetch(url)).status).toBe(405)
})

it.each([
  ['WorkerPause', [9], -32_602, 'worker #9 not found'],
  ['WorkerPause', ['x'], -32_602, /expected number/],
  ['WorkerPause', [], -32_602, /./],
  ['WorkerSetEnv', ['A=B', 'x'], -32_602, /no name of a variable/],
  ['WorkerPause', [8], -32_000, 'no node answers'],
  ['WorkerNothing', [], -32_601, /there is no method/],
  ['toString', [], -32_601, /there is no method/],
])('answers %s %j with an error', async (method, params, code, message) => {
  const url = await serving()
  const { body } = await post(url, call(method, params))
  expect(body.error.code).toBe(code)
  expect(body.error.message).toMatch(message)
})

it('keeps what went wrong inside to its log', async () => {
  const url = await serving()
  const { body } = await post(url, call('WorkerPause', [7]))
  expect(body.error.message).not.toContain('secret')
  expect(logged).toContain('a call of the worker failed')
})

it('answers what is no call', async () => {
  const url = await serving()
  expect((await post(url, '{')).body.error.code).toBe(-32_700)
  expect((await post(url, { no: 'method' })).body.error.code).toBe(-32_600)
  expect((await post(url, [])).body.error.code).toBe(-32_600)
})

it('answers a batch, but for what has no id', async () => {
  const url = await serving()
  paused.length = 0
  const silent = { jsonrpc: '2.0', method: 'VenusWorker.WorkerPause', params: [3] }
  const { body } = await post(url, [silent, call('WorkerVersion', [], 'b')])
  expect(body).toEqual([{ jsonrpc: '2.0', result: '1.2.3', id: 'b' }])
  expect(paused).toEqual([3])
  expect(await post(url, [silent])).toEqual({ status: 204, body: undefined })
})

it('takes no state, null and a state', async () => {
  const url = await serving()
  const results = []
  for (const params of [[0], [0, null], [0, 'PC1Done']])
    results.push((await post(url, call('WorkerResume', params))).body.result)
  expect(results).toEqual([true, true, false])
})

it('lets in who has the token', async () => {
  const url = await serving('s3cret')
  expect((await post(url, call('WorkerVersion', []))).status).toBe(401)
  const wrong = { authorization: 'Bearer s3cre' }
  expect((await post(url, call('WorkerVersion', []), wrong)).status).toBe(401)
  const right = { authorization: 'Bearer s3cret' }
  expect((await post(url, call('WorkerVersion', []), right)).status).toBe(200)
})

it('lets no page of a browser in', async () => {
  const url = new URL(await serving())
  const status = await new Promise((resolve, reject) => {
    const headers = { origin: 'https://example.org', 'content-type': 'text/plain' }
    const sent = httpRequest(url, { method: 'POST', headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(call('WorkerPause', [5])))
  })
  expect(status).toBe(403)
  expect(paused).not.toContain(5)
})

it('reads no endless call', async () => {
  const url = await serving()
  expect((await post(url, ' '.repeat(1_048_577))).status).toBe(413)
})

it('says so when its port is taken', async () => {
  const { port } = new URL(await serving())
  const again = serveRpc({ host: '127.0.0.1', port: Number(port), token: undefined, handlers, log })
  await expect(again).rejects.toMatchObject({ code: 'unavailable' })
})

it('is called by its client', async () => {
  const place = parsePlace(new URL(await serving('t')).host, 0)
  const client = new WorkerClient(place, { token: 't' })
  expect(await client.call('WorkerVersion')).toBe('1.2.3')
  expect(await client.call('WorkerThreads')).toEqual([SHOWN])
  await expect(client.call('WorkerPause', 9)).rejects.toMatchObject({
    code: 'not-found',
    message: 'worker #9 not found',
  })
  await expect(client.call('WorkerPause', 8)).rejects.toMatchObject({ code: 'conflict' })
  const stranger = new WorkerClient(place, { token: 'x' })
  await expect(stranger.call('WorkerVersion')).rejects.toMatchObject({ code: 'unauthorized' })
})

it('tells where nobody answers, and who is somebody else', async () => {
  server = await serveMetrics({ host: '127.0.0.1', port: 0 }, async () => 'x 1\n')
  const client = new WorkerClient(server.place)
  await expect(client.call('WorkerVersion')).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('is no sealing worker'),
  })
  const { place } = server
  await server.close()
  server = undefined
  await expect(new WorkerClient(place).call('WorkerVersion')).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('does not answer'),
  })
})

it('serves metrics and nothing else at their own port', async () => {
  server = await serveMetrics({ host: '127.0.0.1', port: 0 }, async () => 'x 1\n')
  const url = `http://127.0.0.1:${server.place.port}`
  const response = await fetch(`${url}/metrics`)
  expect(await response.text()).toBe('x 1\n')
  expect((await fetch(url)).status).toBe(404)
})
