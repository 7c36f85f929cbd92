/**
 * JSON-RPC 2.0 as sector managers speak it. Decides: batches, notifications, error codes. Leaves to
 * others: the calls (`calls.ts`). Every answer is HTTP 200: what is wrong stands in it.
 */
import { type Log, TroupeError } from '../../../src/index.ts'
import {
  decodeParams,
  encodeResult,
  type ParamsOf,
  VENUS_CALLS,
  type VenusCall,
} from '../venus/index.ts'
import type { Answers, Caller } from './calls.ts'
import { CallFailure, FAILED } from './failures.ts'

const CODES = { parse: -32_700, request: -32_600, method: -32_601, params: -32_602 } as const
/** Calls of one batch: more would be a way around every other limit. */
const BATCH_COUNT_MAX = 100
const NAMESPACE = 'Venus.'
const QUOTED_CHARS_MAX = 80

interface RpcAnswer {
  jsonrpc: '2.0'
  id: string | number | null
  result?: unknown
  error?: { code: number; message: string; data?: unknown }
}

interface RpcCall {
  method: string
  params: unknown
  /** Absent for a notification. */
  id: string | number | null | undefined
}

export interface RpcServing {
  /** Null: the manager is off, and every call is told why. */
  answers: Answers | null
  log: Log
}

export const MANAGER_IS_OFF =
  'this node has no sector manager: set apps.sealing.manager, with miners, in its configuration'

/** @returns what to send; undefined when there were notifications only */
export async function answerRpc(
  serving: RpcServing,
  body: Uint8Array,
  caller: Caller,
): Promise<unknown> {
  const parsed = parse(body)
  if (parsed === undefined) return failed(CODES.parse, 'the body is not JSON')
  const one = (call: unknown) => answerCall(serving, call, caller)
  if (!Array.isArray(parsed.value)) return one(parsed.value)
  const calls: readonly unknown[] = parsed.value
  if (calls.length === 0) return failed(CODES.request, 'a batch must not be empty')
  if (calls.length > BATCH_COUNT_MAX) {
    return failed(CODES.request, `a batch has at most ${BATCH_COUNT_MAX} calls`)
  }
  const answers = (await Promise.all(calls.map(one))).filter((answer) => answer !== undefined)
  return answers.length > 0 ? answers : undefined
}

async function answerCall(
  serving: RpcServing,
  call: unknown,
  caller: Caller,
): Promise<RpcAnswer | undefined> {
  const read = readCall(call)
  if (!read) {
    const form = '{"jsonrpc":"2.0","id":1,"method":"Venus.…","params":[…]}'
    return failed(CODES.request, `a call is ${form}`)
  }
  const answer = await invoke(serving, read, caller).catch((thrown: unknown) =>
    failureOf(thrown, read.method, serving.log),
  )
  return read.id === undefined ? undefined : { ...answer, id: read.id }
}

function readCall(call: unknown): RpcCall | undefined {
  if (typeof call !== 'object' || call === null || Array.isArray(call)) return undefined
  const { jsonrpc, method, params, id } = call as Record<string, unknown>
  const isId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number'
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !isId) return undefined
  return { method, params, id }
}

async function invoke(
  { answers }: RpcServing,
  { method, params }: RpcCall,
  caller: Caller,
): Promise<RpcAnswer> {
  const name = callOf(method)
  if (!name) {
    return failed(CODES.method, `there is no method "${method.slice(0, QUOTED_CHARS_MAX)}"`)
  }
  if (!answers) return failed(FAILED, MANAGER_IS_OFF)
  const { params: shape } = VENUS_CALLS[name]
  const count = shape.def.items.length
  const given = Array.isArray(params) ? decodeParams(name, params, count) : params
  const checked = shape.safeParse(given)
  if (!checked.success) {
    const [issue] = checked.error.issues
    const where = issue?.path.join('.') ?? ''
    return failed(CODES.params, `params of ${method}: ${where}: ${issue?.message ?? 'missing'}`)
  }
  // The table and the shape have the same key: which the compiler cannot follow.
  const answer = answers[name] as (params: unknown, caller: Caller) => Promise<unknown>
  const result = await answer(checked.data as ParamsOf<VenusCall>, caller)
  return { jsonrpc: '2.0', id: null, result: encodeResult(name, result ?? null) }
}

function callOf(method: string): VenusCall | undefined {
  const name = method.startsWith(NAMESPACE) ? method.slice(NAMESPACE.length) : ''
  return Object.hasOwn(VENUS_CALLS, name) ? (name as VenusCall) : undefined
}

/** Of the failures of Troupe a program learns whether trying again helps. */
function failureOf(thrown: unknown, method: string, log: Log): RpcAnswer {
  if (thrown instanceof CallFailure) return failed(thrown.code, thrown.message)
  if (thrown instanceof TroupeError) {
    const { code, retry, message } = thrown
    return failed(FAILED, message, { code, retry })
  }
  log.error({ method, err: thrown }, 'a call to the sector manager failed')
  return failed(FAILED, 'the sector manager has a fault: its log says which', { retry: true })
}

function parse(body: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(Buffer.from(body).toString('utf8')) }
  } catch {
    return undefined
  }
}

function failed(code: number, message: string, data?: unknown): RpcAnswer {
  const error = data === undefined ? { code, message } : { code, message, data }
  return { jsonrpc: '2.0', id: null, error }
}
