/** What a worker sends and reads, to the letter, over real HTTP. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  HttpWorkerCalls,
  type MoveTask,
} from '../../../../../machines/storage/background/worker/index.ts'
import { NodeList } from '../../../../../machines/storage/plane/blobnode/index.ts'
import {
  parseStorageJson,
  storageJson,
  vuidOf,
} from '../../../../../machines/storage/plane/codes/index.ts'

const VUID = vuidOf({ vid: 4_294_967_295, index: 1, epoch: 3 })
const PLACE = { vuid: VUID, host: 'http://b1', disk_id: 7 }
const TASK: MoveTask = {
  ...{ task_id: 'balance-7-4294967295-cg08egoi5d8une4a6cp0', task_type: 'balance' },
  ...{ source_idc: 'z1', source_disk_id: 7, source_vuid: VUID, sources: [PLACE], code_mode: 12 },
  destination: { ...PLACE, vuid: VUID + 1n },
  ...{ forbidden_direct_download: false, token: 5, lease_ms: 10_000 },
}
const signal = new AbortController().signal

let server: Server
let asked: { method: string; url: string; body: unknown }[]
let answer: { status: number; text: string; type?: string }
let list: NodeList
let calls: HttpWorkerCalls

beforeEach(async () => {
  asked = []
  answer = { status: 200, text: '{}' }
  server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request.setEncoding('utf8')) text += piece
    const body = text === '' ? undefined : parseStorageJson(text)
    asked.push({ method: request.method ?? '', url: request.url ?? '', body })
    const { status, type = 'application/json' } = answer
    response.writeHead(status, { 'content-type': type })
    response.end(answer.text)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  list = new NodeList({ urls: ['http://127.0.0.1:1', url] })
  calls = new HttpWorkerCalls({ ask: list.ask, idc: 'z 1', worker: 'w#1', callMs: 1_000 })
})
afterEach(async () => {
  list.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

it('asks for a task, and reads it with all digits of its ids', async () => {
  answer.text = storageJson({ ...TASK, ctime: 'x', state: 2 })
  expect(await calls.acquire(2_000, signal)).toEqual(TASK)
  expect(asked).toMatchObject([
    { method: 'GET', url: '/task/acquire?idc=z+1&worker=w%231&wait_ms=2000' },
  ])
  // Of a server that knows no tokens.
  answer.text = storageJson({ ...TASK, token: undefined, lease_ms: undefined })
  expect(await calls.acquire(0, signal)).toMatchObject({ task_id: TASK.task_id })
})

it.each([
  { status: 700, text: '{"error":"nothing to do","code":"NothingTodo"}' },
  { status: 503, text: '{"error":"nothing to do","code":"x","status":700}' },
  { status: 204, text: '' },
])('has no task when the answer is $status', async (given) => {
  answer = given
  expect(await calls.acquire(0, signal)).toBeUndefined()
  expect(await calls.inspectAcquire({ waitMs: 0, signal })).toBeUndefined()
})

it('takes no answer for a task that is none', async () => {
  answer.text = storageJson({ ...TASK, source_vuid: 0 })
  await expect(calls.acquire(0, signal)).rejects.toMatchObject({
    ...{ code: 'unavailable', message: expect.stringContaining('source_vuid') },
  })
  answer = { status: 200, text: '<html>', type: 'text/html' }
  await expect(calls.acquire(0, signal)).rejects.toMatchObject({ code: 'unavailable' })
})

it('renews all it has in one call, and hears of each that it has lost', async () => {
  const errors = { balance: { [TASK.task_id]: 'it is leased to another' } }
  answer.text = JSON.stringify({ errors })
  const other = { ...TASK, task_id: 'balance-8', token: null }
  const third = { ...TASK, task_id: 'disk_drop-9', task_type: 'disk_drop', token: 'ab' }
  expect([...(await calls.renew([TASK, other, third]))]).toEqual([
    [TASK.task_id, 'it is leased to another'],
  ])
  expect(asked).toEqual([
    {
      ...{ method: 'POST', url: '/task/renewal' },
      body: {
        ...{ idc: 'z 1', worker: 'w#1' },
        ids: { balance: [TASK.task_id, 'balance-8'], disk_drop: ['disk_drop-9'] },
        tokens: { [TASK.task_id]: 5, 'disk_drop-9': 'ab' },
      },
    },
  ])
  answer = { status: 200, text: '' }
  expect((await calls.renew([TASK])).size).toBe(0)
})

it('reports as the reference does', async () => {
  const stat = {
    doneSize: 856_426_665,
    doneCount: 1_045,
    totalSize: 14_473_209_599,
    totalCount: 17_552,
  }
  await calls.report(TASK, stat, { bytes: 70, shards: 2 })
  await calls.report(TASK, { ...stat, doneSize: 0, totalSize: 0 }, { bytes: 0, shards: 0 })
  expect(asked[0]).toEqual({
    ...{ method: 'POST', url: '/task/report' },
    body: {
      ...{ task_id: TASK.task_id, task_type: 'balance', worker: 'w#1', token: 5 },
      task_stats: {
        ...{ done_size: 856_426_665, done_count: 1_045, progress: 5 },
        ...{ total_size: 14_473_209_599, total_count: 17_552 },
      },
      ...{ increase_data_size_byte: 70, increase_shard_cnt: 2 },
    },
  })
  expect(asked[1]?.body).toMatchObject({ task_stats: { progress: 100 } })
})

it.each(['complete', 'cancel', 'reclaim'] as const)(
  'says %s with what it was given',
  async (end) => {
    answer = { status: 200, text: '' }
    await calls[end](TASK, 'why')
    const { sources: src, destination: dest, task_id, task_type } = TASK
    expect(asked).toEqual([
      {
        ...{ method: 'POST', url: `/task/${end}` },
        body: { idc: 'z 1', task_id, task_type, src, dest, reason: 'why', worker: 'w#1', token: 5 },
      },
    ])
  },
)

it.each([
  {
    status: 409,
    text: '{"error":"unmatched task vuids","code":"x"}',
    code: 'conflict',
    retry: false,
  },
  { status: 500, text: '{"error":"unmatched task vuids"}', code: 'unavailable', retry: true },
  {
    status: 400,
    text: '{"error":{"code":"malformed","message":"no"}}',
    code: 'malformed',
    retry: false,
  },
])(
  'tells a refusal that is final from one that may pass: $status',
  async ({ code, retry, ...given }) => {
    answer = given
    await expect(calls.complete(TASK, '')).rejects.toMatchObject({ code, retry })
  },
)

it('hears that an inspection is another worker’s', async () => {
  const report = { task_id: 'inspect-1-x', inspect_err_str: '', missed_shards: [] }
  expect(await calls.inspectComplete(report, signal)).toEqual({})
  answer.text = '{"refused":"not-leased","message":"it is leased to another"}'
  expect(await calls.inspectComplete(report, signal)).toEqual({ refused: 'not-leased' })
  expect(asked[0]).toMatchObject({ url: '/inspect/complete', body: { ...report, worker: 'w#1' } })
})

it('waits for no answer that nobody wants any more', async () => {
  const stop = new AbortController()
  server.prependListener('request', () => stop.abort(new Error('the worker stops')))
  answer.status = 503
  const report = { task_id: 'inspect-1-x', inspect_err_str: '', missed_shards: [] }
  await expect(calls.inspectComplete(report, stop.signal)).rejects.toThrow('the worker stops')
})
