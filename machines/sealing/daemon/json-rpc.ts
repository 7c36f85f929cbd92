/**
 * JSON-RPC 2.0 over the calls of the worker. Decides: how a text becomes calls and answers, batches among
 * them, and which code each failure has. Leaves to others: HTTP (`rpc-server.ts`), what the calls do.
 */
import { z } from 'zod'
import { type Log, TroupeError } from '../../../src/index.ts'
import {
  INVALID_PARAMS,
  NAMESPACE,
  NO_METHOD,
  WORKER_CALLS,
  type WorkerCall,
  type WorkerHandlers,
} from './worker-api.ts'

const PARSE_ERROR = -32_700
const INVALID_REQUEST = -32_600
/** What the server itself is at fault for, and what does not fit just now. */
const SERVER_ERROR = -32_000
/** One list of threads costs a look at each of them. */
const BATCH_MAX = 100

const request = z.object({
  jsonrpc: z.literal('2.0').optional(),
  method: z.string(),
  params: z.array(z.unknown()).nullish(),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
})

type Id = string | number | null
type Answer =
  | { jsonrpc: '2.0'; result: unknown; id: Id }
  | { jsonrpc: '2.0'; error: { code: number; message: string }; id: Id }

/** A refusal that has a code of its own on the wire. */
export class RpcRefusal extends Error {
  override readonly name = 'RpcRefusal'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Undefined where nothing is to be answered: calls without an id. */
export async function answerText(
  text: string,
  handlers: WorkerHandlers,
  log: Log,
): Promise<unknown> {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return failure(null, PARSE_ERROR, 'what was sent is no JSON')
  }
  if (!Array.isArray(given)) return answerOne(given, handlers, log)
  if (given.length === 0 || given.length > BATCH_MAX) {
    return failure(null, INVALID_REQUEST, `a batch has 1 to ${BATCH_MAX} calls`)
  }
  const answers: Answer[] = []
  for (const one of given) {
    const answer = await answerOne(one, handlers, log)
    if (answer !== undefined) answers.push(answer)
  }
  return answers.length === 0 ? undefined : answers
}

async function answerOne(
  given: unknown,
  handlers: WorkerHandlers,
  log: Log,
): Promise<Answer | undefined> {
  const parsed = request.safeParse(given)
  if (!parsed.success) return failure(null, INVALID_REQUEST, 'this is no call of JSON-RPC 2.0')
  const { method, params, id } = parsed.data
  const answer = await answerCall(method, params ?? [], id ?? null, handlers, log)
  return id === undefined ? undefined : answer
}

async function answerCall(
  method: string,
  params: readonly unknown[],
  id: Id,
  handlers: WorkerHandlers,
  log: Log,
): Promise<Answer> {
  const name = method.startsWith(`${NAMESPACE}.`) ? method.slice(NAMESPACE.length + 1) : ''
  if (!isCall(name)) return failure(id, NO_METHOD, `there is no method ${method.slice(0, 100)}`)
  const parsed = WORKER_CALLS[name].params.safeParse(params)
  if (!parsed.success) return failure(id, INVALID_PARAMS, z.prettifyError(parsed.error))
  try {
    const handle = handlers[name] as (...given: unknown[]) => Promise<unknown>
    return { jsonrpc: '2.0', result: await handle(...parsed.data), id }
  } catch (thrown) {
    if (thrown instanceof RpcRefusal) return failure(id, thrown.code, thrown.message)
    if (thrown instanceof TroupeError) return failure(id, SERVER_ERROR, thrown.message)
    log.error({ error: thrown, method }, 'a call of the worker failed')
    return failure(id, SERVER_ERROR, 'the worker failed at this; its log says more')
  }
}

function isCall(name: string): name is WorkerCall {
  return Object.hasOwn(WORKER_CALLS, name)
}

function failure(id: Id, code: number, message: string): Answer {
  return { jsonrpc: '2.0', error: { code, message }, id }
}
