/**
 * JSON-RPC 2.0 at `/rpc`, for the methods that apps bring along. Decides: batches, notifications and
 * error codes, as the specification has them. Errors of Troupe are -32000 with the record as `data`.
 */
import type { Log } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { type Access, requireRole } from './access.ts'
import type { ClaimedMethod } from './app-claims.ts'
import { failureOf } from './statuses.ts'

interface RpcAnswer {
  jsonrpc: '2.0'
  id: string | number | null
  result?: unknown
  error?: { code: number; message: string; data?: unknown }
}

const CODES = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  internal: -32603,
  refused: -32000,
} as const

/** Calls of one batch: more would be a way around every other limit. */
const BATCH_COUNT_MAX = 100

export interface RpcContext {
  methods: ReadonlyMap<string, ClaimedMethod>
  /** Who calls; each method asks for a role of its own. */
  access: Access
  requestId: string
  report: (thrown: unknown) => void
  log: Log
}

/** @returns what to send; undefined when there were notifications only */
export async function answerRpc(context: RpcContext, body: unknown): Promise<unknown> {
  const one = (call: unknown) => answerCall(context, call)
  if (!Array.isArray(body)) return one(body)
  if (body.length === 0) return failed(null, CODES.request, 'a batch must not be empty')
  if (body.length > BATCH_COUNT_MAX) {
    return failed(null, CODES.request, `a batch has at most ${BATCH_COUNT_MAX} calls`)
  }
  const answers = (await Promise.all(body.map(one))).filter((answer) => answer !== undefined)
  return answers.length > 0 ? answers : undefined
}

/** The answer to a body that is not JSON. */
export function parseFailure(thrown: unknown): RpcAnswer {
  return failed(null, CODES.parse, thrown instanceof TroupeError ? thrown.message : 'not JSON')
}

async function answerCall(context: RpcContext, call: unknown): Promise<RpcAnswer | undefined> {
  const request = readCall(call)
  if (!request) {
    return failed(null, CODES.request, 'a call is {"jsonrpc":"2.0","method":"…","params":…,"id":…}')
  }
  const answer = await invoke(context, request)
  return request.id === undefined ? undefined : { ...answer, id: request.id }
}

interface Call {
  method: string
  params: unknown
  /** Absent for a notification. */
  id: string | number | null | undefined
}

function readCall(call: unknown): Call | undefined {
  if (typeof call !== 'object' || call === null || Array.isArray(call)) return undefined
  const { jsonrpc, method, params, id } = call as Record<string, unknown>
  const isId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number'
  const isParams = params === undefined || (typeof params === 'object' && params !== null)
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !isId || !isParams) return undefined
  return { method, params, id }
}

async function invoke(
  { methods, access, requestId, report, log }: RpcContext,
  { method: name, params }: Call,
): Promise<RpcAnswer> {
  const method = methods.get(name)?.method
  if (!method) return failed(null, CODES.method, `there is no method "${name.slice(0, 80)}"`)
  try {
    requireRole(access, method.role ?? 'operate')
  } catch (thrown) {
    const { record } = failureOf(thrown, requestId)
    return failed(null, CODES.refused, record.message, record)
  }
  const checked = method.params.safeParse(params)
  if (!checked.success) {
    return failed(
      null,
      CODES.params,
      `the params of ${name} are not what it wants`,
      checked.error.issues,
    )
  }
  try {
    const result = await method.handle(checked.data, { author: access.author })
    if (method.role !== 'read') {
      log.info({ method: name, author: access.author }, 'a method of an app was called')
    }
    return { jsonrpc: '2.0', id: null, result: result ?? null }
  } catch (thrown) {
    const { record, isFault } = failureOf(thrown, requestId)
    if (isFault) report(thrown)
    return failed(null, isFault ? CODES.internal : CODES.refused, record.message, record)
  }
}

function failed(id: null, code: number, message: string, data?: unknown): RpcAnswer {
  return {
    jsonrpc: '2.0',
    id,
    error: data === undefined ? { code, message } : { code, message, data },
  }
}
