/** What workers hear where their node could not do what they asked for in time: by which status they ask again. */
import { expect, it } from 'vitest'
import { workerRoutes } from '../../../../../machines/storage/background/interfaces/worker-routes.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { type AppRequest, type ErrorCode, TroupeError } from '../../../../../src/index.ts'

const PLACE = { vuid: vuidOf({ vid: 7, index: 0, epoch: 1 }), host: 'h', disk_id: 1 }
const TASK = { idc: 'z1', task_id: 'balance-1-7-x', task_type: 'balance' }
const REPORT = {
  ...TASK,
  task_stats: { done_size: 0, done_count: 0, total_size: 0, total_count: 0, progress: 0 },
  ...{ increase_data_size_byte: 0, increase_shard_cnt: 0 },
}
interface Call {
  path: string
  query?: string
  body?: object
}
const end = (verb: string): Call => ({
  path: `/task/${verb}`,
  body: { ...TASK, src: [], dest: PLACE },
})
const CALLS: readonly Call[] = [
  { path: '/task/acquire', query: 'idc=z1' },
  { path: '/task/renewal', body: { idc: 'z1', ids: { balance: [TASK.task_id] } } },
  { path: '/task/report', body: REPORT },
  end('complete'),
  end('cancel'),
  end('reclaim'),
  { path: '/inspect/acquire' },
  { path: '/inspect/complete', body: { task_id: 'inspect-7-x' } },
]

async function answered(code: ErrorCode, { path, query, body }: Call) {
  const fails = () => Promise.reject(new TroupeError(code, 'the node is late'))
  const late = new Proxy({}, { get: () => fails }) as never
  const route = workerRoutes({ queues: late, inspections: late }).find((one) => one.path === path)
  const request = { query: new URLSearchParams(query), body, remoteAddress: 'w1', method: 'GET' }
  return route?.handle({ ...request, signal: new AbortController().signal } as AppRequest)
}

it.each(CALLS)('$path is to be asked again where its command came too late', async (call) => {
  for (const code of ['deadline', 'busy', 'moved', 'unavailable'] as const)
    expect(await answered(code, call)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: JSON.stringify({ error: 'the node is late', code }),
    })
  expect(await answered('no-answer', call)).toMatchObject({ status: 504 })
})
