/**
 * What a worker asks of whoever has the tasks, over HTTP (reference sheet, section 3.5), and what it is told.
 * Decides: what an answer means. Ours are the fields `worker`, `token`, `tokens` and `wait_ms`; a server
 * that does not know them takes no notice of them.
 *
 *     GET  /task/acquire?idc=&worker=&wait_ms=   the task, with `token` and `lease_ms`; or 700: none
 *     POST /task/renewal    {idc, worker, ids: {<type>: [id]}, tokens: {<id>: token}}  → {errors?: {<type>: {<id>: text}}}
 *     POST /task/report     {task_type, task_id, task_stats, increase_data_size_byte, increase_shard_cnt, worker, token}
 *     POST /task/complete, cancel, reclaim  {idc, task_id, task_type, src, dest, reason, worker, token}
 *     GET  /inspect/acquire?worker=&wait_ms=     the task; or 700: none
 *     POST /inspect/complete  what was found, and {worker}  → nothing, or {refused}: it is another's
 */
import { z } from 'zod'
import { type ErrorRecord, TroupeError } from '../../../../src/index.ts'
import type { NodeRequest, NodeText } from '../../plane/blobnode/node-calls.ts'
import { parseStorageJson, readRefusal, storageJson } from '../../plane/codes/index.ts'
import {
  type InspectCalls,
  type InspectTask,
  inspectTask,
  type SentReport,
} from '../inspect/index.ts'
import { type MoveTask, moveTask } from './move-task.ts'
import type { Increase, MoveStat } from './progress.ts'

/** @throws TroupeError: what the server refuses, or `unavailable` */
export interface WorkerCalls {
  /** Waits for a task for at most so long; undefined: there is none. */
  acquire(waitMs: number, signal: AbortSignal): Promise<MoveTask | undefined>
  /** Keeps them. @returns those that are no longer the worker's, by their ids, and why */
  renew(tasks: readonly MoveTask[]): Promise<ReadonlyMap<string, string>>
  report(task: MoveTask, stat: MoveStat, increase: Increase): Promise<void>
  complete(task: MoveTask, reason: string): Promise<void>
  /** Somebody is to try it again later. */
  cancel(task: MoveTask, reason: string): Promise<void>
  /** It needs another destination. */
  reclaim(task: MoveTask, reason: string): Promise<void>
}

/** Any node. @throws TroupeError as the node answered, `unavailable` when none did */
export type AskNode = (request: NodeRequest) => Promise<NodeText>

export interface HttpWorkerCallsOptions {
  ask: AskNode
  idc: string
  /** No other process has it, not even one that starts here later. */
  worker: string
  /** For a call that holds or ends a lease. */
  callMs: number
}

const NOTHING_TO_DO = 700
/** An answer takes a while to travel. */
const TRAVEL_MS = 3_000
/** A report of an inspection asks for repairs, each of which is durable before it is answered. */
const REPORT_MS = 20_000

const renewed = z.object({
  errors: z.record(z.string(), z.record(z.string(), z.string())).optional(),
})

/** The reference answers nothing. */
const inspectAnswered = z.object({ refused: z.string().optional() })

export class HttpWorkerCalls implements WorkerCalls, InspectCalls {
  readonly #options: HttpWorkerCallsOptions

  constructor(options: HttpWorkerCallsOptions) {
    this.#options = options
  }

  acquire(waitMs: number, signal: AbortSignal): Promise<MoveTask | undefined> {
    return this.#acquire('/task/acquire', moveTask, waitMs, signal)
  }

  inspectAcquire({
    waitMs,
    signal,
  }: {
    waitMs: number
    signal: AbortSignal
  }): Promise<InspectTask | undefined> {
    return this.#acquire('/inspect/acquire', inspectTask, waitMs, signal)
  }

  async renew(tasks: readonly MoveTask[]): Promise<ReadonlyMap<string, string>> {
    const ids: Record<string, string[]> = {}
    const tokens: Record<string, NonNullable<MoveTask['token']>> = {}
    for (const { task_id, task_type, token } of tasks) {
      ids[task_type] = [...(ids[task_type] ?? []), task_id]
      if (token != null) tokens[task_id] = token
    }
    const { idc, worker } = this.#options
    const text = await this.#post('/task/renewal', { idc, worker, ids, tokens })
    const { errors = {} } = read(renewed, text === '' ? '{}' : text, '/task/renewal')
    return new Map(Object.values(errors).flatMap((ofType) => Object.entries(ofType)))
  }

  async report(task: MoveTask, stat: MoveStat, increase: Increase): Promise<void> {
    const { doneSize, doneCount, totalSize, totalCount } = stat
    const progress = totalSize === 0 ? 100 : Math.floor((doneSize * 100) / totalSize)
    await this.#post('/task/report', {
      ...{ task_type: task.task_type, task_id: task.task_id },
      task_stats: {
        ...{ done_size: doneSize, done_count: doneCount },
        ...{ total_size: totalSize, total_count: totalCount, progress },
      },
      increase_data_size_byte: increase.bytes,
      increase_shard_cnt: increase.shards,
      ...this.#holder(task),
    })
  }

  complete(task: MoveTask, reason: string): Promise<void> {
    return this.#end('/task/complete', task, reason)
  }

  cancel(task: MoveTask, reason: string): Promise<void> {
    return this.#end('/task/cancel', task, reason)
  }

  reclaim(task: MoveTask, reason: string): Promise<void> {
    return this.#end('/task/reclaim', task, reason)
  }

  async inspectComplete(
    report: SentReport,
    signal: AbortSignal,
  ): Promise<{ refused?: string | undefined }> {
    const sent = { ...report, worker: this.#options.worker }
    const text = await this.#post('/inspect/complete', sent, { timeoutMs: REPORT_MS, signal })
    return text === '' ? {} : read(inspectAnswered, text, '/inspect/complete')
  }

  async #acquire<T>(
    path: string,
    schema: z.ZodType<T>,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { ask, idc, worker, callMs } = this.#options
    const query = new URLSearchParams({ idc, worker, wait_ms: String(waitMs) })
    const timeoutMs = waitMs + callMs + TRAVEL_MS
    const sent = { method: 'GET', path: `${path}?${query}`, timeoutMs, signal } as const
    const { status, text } = await ask(sent)
    if (status === 204) return undefined
    const refused = status >= 400 ? readRefusal(status, text) : undefined
    if (refused?.status === NOTHING_TO_DO) return undefined
    requireSuccess(path, status, text)
    return read(schema, text, path)
  }

  async #end(path: string, task: MoveTask, reason: string): Promise<void> {
    const { task_id, task_type, sources: src, destination: dest } = task
    const { idc } = this.#options
    await this.#post(path, { idc, task_id, task_type, src, dest, reason, ...this.#holder(task) })
  }

  #holder({ token }: MoveTask): object {
    const { worker } = this.#options
    return token == null ? { worker } : { worker, token }
  }

  async #post(
    path: string,
    body: object,
    options: Pick<NodeRequest, 'timeoutMs' | 'signal'> = {},
  ): Promise<string> {
    const { ask, callMs: timeoutMs } = this.#options
    const sent = { method: 'POST', path, body: storageJson(body), timeoutMs, ...options } as const
    const { status, text } = await ask(sent)
    requireSuccess(path, status, text)
    return text
  }
}

/** @throws StorageRefusal, TroupeError */
function requireSuccess(path: string, status: number, text: string): void {
  if (status < 400) return
  const refused = readRefusal(status, text)
  if (refused !== undefined) throw refused
  const record = (jsonOf(text) as { error?: ErrorRecord } | null | undefined)?.error
  if (typeof record?.code === 'string') throw TroupeError.from(record)
  const why = `${path} was refused (HTTP ${status}): ${text.slice(0, 200)}`
  throw new TroupeError(status >= 500 ? 'unavailable' : 'conflict', why)
}

/** @throws TroupeError `unavailable` */
function read<T>(schema: z.ZodType<T>, text: string, path: string): T {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue === undefined ? '' : ` (${issue.path.join('.')}: ${issue.message})`
  throw new TroupeError('unavailable', `the answer to ${path} cannot be read${where}`)
}

function jsonOf(text: string): unknown {
  try {
    return parseStorageJson(text)
  } catch {
    return undefined
  }
}
