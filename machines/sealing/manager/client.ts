/**
 * The way to a sector manager: JSON-RPC 2.0 over HTTP. Decides: what counts as an outage of the manager
 * (`ManagerDown`) and what as its answer (`ManagerRefusal`). Leaves to others: asking again, which is the
 * business of whoever knows what is at stake; what the calls mean.
 *
 * Whatever is not an answer of JSON-RPC is an outage, a status such as 401 or 404 too: no sector is at
 * fault when a proxy or a token is wrong, so none may use a retry up for it.
 */
import { TroupeError } from '../../../src/index.ts'
import {
  type CallContext,
  decodeResult,
  encodeParams,
  type ManagerCalls,
  ManagerDown,
  ManagerRefusal,
  type ParamsOf,
  type ResultOf,
  VENUS_CALLS,
  type VenusCall,
} from '../venus/index.ts'
import { managerUrl } from './address.ts'

/** Half a minute: some calls of a foreign manager ask its chain node first. */
const CALL_TIMEOUT_MS = 30_000
/** A list of deals or jobs has some 100 KiB; what is longer is no answer. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
/** Of an answer that has not the shape of its call. */
const UNREADABLE_ANSWER = -32_603
const QUOTED_CHARS_MAX = 100
export const TASK_HEADER = 'x-troupe-task'

export interface ManagerClientOptions {
  /** A url or a multiaddr. */
  address: string
  /** Sent with every call; they may hold tokens and are shown nowhere. */
  headers?: Readonly<Record<string, string>>
  timeoutMs?: number
}

/** Of one method, since the start. */
export interface CallFigures {
  calls: number
  errors: number
  /** All together. */
  ms: number
}

interface RpcError {
  code: number
  message: string
  data?: unknown
}

export class ManagerClient implements ManagerCalls {
  readonly #url: URL
  readonly #headers: Headers
  readonly #timeoutMs: number
  readonly #figures = new Map<VenusCall, CallFigures>()
  #lastId = 0

  /** @throws TroupeError `malformed` for the address or a header */
  constructor({ address, headers = {}, timeoutMs = CALL_TIMEOUT_MS }: ManagerClientOptions) {
    this.#url = managerUrl(address)
    this.#headers = headersOf(headers)
    this.#timeoutMs = timeoutMs
  }

  /** Where it asks; it holds no secrets. */
  get url(): string {
    return this.#url.href
  }

  figures(): ReadonlyMap<VenusCall, Readonly<CallFigures>> {
    return this.#figures
  }

  /** @throws ManagerDown, ManagerRefusal; the reason of the signal when it ends the call */
  async call<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
    context: CallContext = {},
  ): Promise<ResultOf<TCall>> {
    const startedMs = performance.now()
    const figures = this.#figures.get(name) ?? { calls: 0, errors: 0, ms: 0 }
    this.#figures.set(name, figures)
    figures.calls += 1
    try {
      const answer = await this.#ask(name, encodeParams(name, params), context)
      return resultOf(name, answer)
    } catch (thrown) {
      figures.errors += 1
      throw thrown
    } finally {
      figures.ms += performance.now() - startedMs
    }
  }

  async #ask(name: VenusCall, params: unknown[], context: CallContext): Promise<unknown> {
    const { signal, taskId } = context
    signal?.throwIfAborted()
    this.#lastId += 1
    const id = this.#lastId
    const headers = new Headers(this.#headers)
    headers.set('content-type', 'application/json')
    // A task id may hold any character, a header may not.
    if (taskId !== undefined) headers.set(TASK_HEADER, encodeURIComponent(taskId))
    const timeout = AbortSignal.timeout(this.#timeoutMs)
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers,
        body: JSON.stringify({ jsonrpc: '2.0', id, method: `Venus.${name}`, params }),
        redirect: 'manual',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      })
      return answerOf(response, await textOf(response), id)
    } catch (thrown) {
      signal?.throwIfAborted()
      if (thrown instanceof ManagerDown || thrown instanceof ManagerRefusal) throw thrown
      const why = timeout.aborted ? `no answer within ${this.#timeoutMs} ms` : reasonOf(thrown)
      throw new ManagerDown(`${name}: ${this.#url.host}: ${why}`, { cause: thrown })
    }
  }
}

/** What is below `result`, or thrown. */
function answerOf(response: Response, text: string, id: number): unknown {
  const { status } = response
  const answer = status < 500 ? jsonOf(text) : undefined
  if (answer === undefined || answer['jsonrpc'] !== '2.0') {
    const type = response.headers.get('content-type') ?? 'no content type'
    const quoted = text.slice(0, QUOTED_CHARS_MAX).replace(/\s+/g, ' ')
    throw new ManagerDown(
      `${new URL(response.url).host} answered with HTTP ${status}, ${type}, which is no JSON-RPC: ${quoted}`,
    )
  }
  const error = answer['error']
  if (isRpcError(error)) throw failureOf(error)
  if (answer['id'] === id) return answer['result']
  throw new ManagerDown(`${new URL(response.url).host} answered another call than this one`)
}

/** A node of Troupe says of some failures that trying again helps: those are outages too. */
function failureOf({ code, message, data }: RpcError): ManagerDown | ManagerRefusal {
  const isPassing = typeof data === 'object' && data !== null && 'retry' in data && data.retry
  return isPassing === true ? new ManagerDown(message) : new ManagerRefusal(code, message)
}

function resultOf<TCall extends VenusCall>(name: TCall, answer: unknown): ResultOf<TCall> {
  const read = VENUS_CALLS[name].result.safeParse(decodeResult(name, answer))
  if (read.success) return read.data as ResultOf<TCall>
  const [issue] = read.error.issues
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : ''
  throw new ManagerRefusal(
    UNREADABLE_ANSWER,
    `the manager's answer to ${name} is not what such managers answer: ${where}${issue?.message ?? ''}`,
  )
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) {
      throw new ManagerDown(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isRpcError(value: unknown): value is RpcError {
  if (typeof value !== 'object' || value === null) return false
  const { code, message } = value as Record<string, unknown>
  return typeof code === 'number' && typeof message === 'string'
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(thrown: unknown): string {
  const { message, cause } = thrown as { message?: string; cause?: { message?: string } }
  return cause?.message || message || String(thrown)
}

function headersOf(given: Readonly<Record<string, string>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    try {
      headers.set(name, value)
    } catch {
      // The message of the platform would quote the value.
      throw new TroupeError('malformed', `rpc_client.headers: "${name}" cannot be a header`)
    }
  }
  return headers
}
