/**
 * What workers ask for and say over HTTP (reference sheet, section 3.5): ours, and those of the old store.
 * Decides: the paths and forms. Ours say `worker`, `token` and `wait_ms` as well; one that says no name counts
 * as the host that it calls from. Leaves to others: who gets what and whose a task is (`lanes`, `inspect`).
 */
import { z } from 'zod'
import type { AppRequest, AppResponse, AppRoute } from '../../../../src/index.ts'
import { refusal, storageAnswer } from '../../plane/codes/index.ts'
import {
  type Inspections,
  inspectAnswer,
  inspectReport,
  WORKER_CHARS_MAX,
} from '../inspect/index.ts'
import type { CallAnswer, WorkerCall, WorkerQueues } from '../lanes/index.ts'
import type { MoveType } from '../moves/index.ts'
import { placeAnswer, taskAnswer } from './answers.ts'
import { bodyOf, DONE, done, moveTypeOf, numbered, placeSchema, SeedRefusal } from './seed-forms.ts'

export interface WorkerRoutesDeps {
  queues: WorkerQueues
  inspections: Inspections
}

/** As long as the way of an answer may be silent. */
const WAIT_MS_MAX = 60_000
/** A report of a worker of the old store tells all shards that it misses. */
const REPORT_BYTES_MAX = 16 * 1024 * 1024
const NAME_CHARS_MAX = 256

const name = z.string().min(1).max(NAME_CHARS_MAX)
const workerName = z.string().min(1).max(WORKER_CHARS_MAX)
const count = z.int().min(0)
const holder = { worker: workerName.optional(), token: z.int().min(1).nullish() }
const ids = z.record(z.string(), z.array(z.string()))

const waiting = z.object({
  worker: workerName.optional(),
  wait_ms: z
    .string()
    .regex(/^\d{1,6}$/)
    .transform(Number)
    .default(0),
})
const acquisition = waiting.extend({ idc: name })
const renewal = z.object({
  ...{ idc: name, ids: ids.nullish(), worker: holder.worker },
  /** Ours: by the id of the task. */
  tokens: z.record(z.string(), z.int().min(1)).nullish(),
})
const report = z.object({
  ...{ task_type: z.string(), task_id: name, ...holder },
  task_stats: z.object({
    ...{ done_size: count, done_count: count, total_size: count, total_count: count },
    progress: count,
  }),
  increase_data_size_byte: count,
  increase_shard_cnt: count,
})
const ending = z.object({
  ...{ idc: name, task_id: name, task_type: z.string(), ...holder },
  src: z.array(placeSchema).nullish(),
  dest: placeSchema,
  reason: z.string().default(''),
})
const leased = { token: z.int(), lease_ms: count }
const renewed = z.object({
  errors: z.record(z.string(), z.record(z.string(), z.string())).optional(),
})
const inspection = z.object({
  ...{ task_id: z.string(), mode: z.int(), replicas: z.array(placeAnswer) },
  lease_ms: count,
})

export function workerRoutes(deps: WorkerRoutesDeps): AppRoute[] {
  return [...leaseRoutes(deps), ...endRoutes(deps), ...inspectRoutes(deps)]
}

/** Programs call them all day long. */
function worker(route: AppRoute): AppRoute {
  return numbered({ ...route, role: 'operate', isFrequent: true })
}

/** Whoever acquires changes something, although it does so by GET. HEAD would take what nobody then has. */
function acquisitionRoute(route: Omit<AppRoute, 'method'>): AppRoute {
  const handle = async (request: AppRequest) =>
    request.method === 'HEAD' ? GET_ONLY : route.handle(request)
  return worker({ ...route, method: 'GET', handle })
}

const GET_ONLY: AppResponse = {
  status: 405,
  headers: { allow: 'GET', 'cache-control': 'no-store' },
}

function leaseRoutes({ queues }: WorkerRoutesDeps): AppRoute[] {
  return [
    acquisitionRoute({
      path: '/task/acquire',
      summary: 'a task that moves a unit, for a worker; 700: there is none',
      schemas: { answer: taskAnswer.extend(leased) },
      handle: async (request) => {
        const { idc, wait_ms, worker } = queryOf(acquisition, request)
        const acquired = await queues.acquire({
          ...{ idc, worker: worker ?? request.remoteAddress, signal: request.signal },
          waitMs: Math.min(wait_ms, WAIT_MS_MAX),
        })
        if ('none' in acquired) throw refusal(700, acquired.none)
        const { task, token, leaseMs: lease_ms } = acquired
        return storageAnswer({ ...task, token, lease_ms })
      },
    }),
    worker({
      method: 'POST',
      path: '/task/renewal',
      summary: 'a worker is still at its tasks; answers which are not its own any more, and why',
      schemas: { answer: renewed },
      handle: async (request) => storageAnswer(await renew(queues, request)),
    }),
    worker({
      method: 'POST',
      path: '/task/report',
      summary: 'how far a worker is with a task',
      schemas: { answer: done },
      handle: async (request) => {
        const body = bodyOf(report, request.body)
        const stats = body.task_stats
        const stat = {
          ...{ doneSize: stats.done_size, doneCount: stats.done_count },
          ...{ totalSize: stats.total_size, totalCount: stats.total_count },
          progress: stats.progress,
        }
        const [shards, bytes] = [body.increase_shard_cnt, body.increase_data_size_byte]
        return said(await queues.report({ ...callOf(request, body), stat, shards, bytes }))
      },
    }),
  ]
}

function endRoutes({ queues }: WorkerRoutesDeps): AppRoute[] {
  const end = (
    verb: string,
    summary: string,
    say: (call: WorkerCall, body: z.output<typeof ending>) => Promise<CallAnswer>,
  ) =>
    worker({
      method: 'POST',
      path: `/task/${verb}`,
      summary,
      schemas: { answer: done },
      handle: async (request) => {
        const body = bodyOf(ending, request.body)
        return said(await say({ ...callOf(request, body), idc: body.idc }, body))
      },
    })
  return [
    end('complete', 'a worker has copied all that a task asks for', (call, { src, dest }) =>
      queues.complete({ ...call, src: src ?? [], dest }),
    ),
    end('cancel', 'a worker gives a task up; another gets it in a while', (call, { reason }) =>
      queues.cancel({ ...call, reason }),
    ),
    end('reclaim', 'a task needs another destination', (call, { reason }) =>
      queues.reclaim({ ...call, reason }),
    ),
  ]
}

function inspectRoutes({ inspections }: WorkerRoutesDeps): AppRoute[] {
  return [
    acquisitionRoute({
      path: '/inspect/acquire',
      summary: 'a volume to inspect, for a worker; 700: there is none',
      schemas: { answer: inspection },
      handle: async (request) => {
        const { worker, wait_ms } = queryOf(waiting, request)
        const task = await inspections.acquire({
          ...{ worker: worker ?? request.remoteAddress, signal: request.signal },
          waitMs: Math.min(wait_ms, WAIT_MS_MAX),
        })
        if (task === undefined) throw refusal(700, 'nothing to do')
        return storageAnswer(task)
      },
    }),
    worker({
      method: 'POST',
      path: '/inspect/complete',
      summary: 'what a worker found in a volume; one that is not its own any more changes nothing',
      bodyBytesMax: REPORT_BYTES_MAX,
      schemas: { answer: inspectAnswer },
      handle: async ({ body }) => {
        const answer = await inspections.report(bodyOf(inspectReport, body))
        return storageAnswer('refused' in answer ? answer : {})
      },
    }),
  ]
}

/** @throws SeedRefusal `illegal_type`: for one kind that is none the whole call fails, as of old */
async function renew(queues: WorkerQueues, { body, remoteAddress }: AppRequest) {
  const { idc, ids, tokens, worker } = bodyOf(renewal, body)
  const typed = Object.entries(ids ?? {}).flatMap(([type, some]) => {
    moveTypeOf(type)
    return some.map((id) => ({ type, id }))
  })
  const isRight = ({ type, id }: { type: string; id: string }) => id.startsWith(`${type}-`)
  const tasks = typed.filter(isRight).map(({ id }) => ({ id, token: tokens?.[id] ?? null }))
  const answer = await queues.renew({ idc, worker: worker ?? remoteAddress, tasks })
  const errors: Record<string, Record<string, string>> = {}
  for (const one of typed) {
    const why = isRight(one) ? answer.errors[one.id] : 'illegal arguments'
    if (why !== undefined) errors[one.type] = { ...errors[one.type], [one.id]: why }
  }
  return Object.keys(errors).length === 0 ? {} : { errors }
}

/** @throws SeedRefusal */
function callOf(
  { remoteAddress }: AppRequest,
  body: {
    task_type: string
    task_id: string
    worker?: string | undefined
    token?: number | null | undefined
  },
): WorkerCall {
  const type: MoveType = moveTypeOf(body.task_type)
  if (!body.task_id.startsWith(`${type}-`)) {
    throw new SeedRefusal(400, 'illegal_arguments', 'illegal arguments')
  }
  const { task_id: taskId, worker = remoteAddress, token = null } = body
  return { worker, taskId, token }
}

/** @throws SeedRefusal where the task is not the caller's */
function said(answer: CallAnswer): AppResponse {
  if ('ok' in answer) return DONE
  const { refused, message } = answer
  throw new SeedRefusal(refused === 'no-queue' ? 404 : 409, refused.replace('-', '_'), message)
}

function queryOf<T>(schema: z.ZodType<T>, { query }: AppRequest): T {
  return bodyOf(schema, Object.fromEntries(query))
}
