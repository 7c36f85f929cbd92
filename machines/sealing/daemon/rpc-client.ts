/**
 * The other side of the worker's interface, for commands and fleet views. Decides: how its failures are
 * told. Leaves to others: which worker, and whose token.
 */
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { type Place, placeText } from './places.ts'
import {
  INVALID_PARAMS,
  NAMESPACE,
  NO_METHOD,
  WORKER_CALLS,
  type WorkerCall,
  type WorkerParams,
  type WorkerResult,
} from './worker-api.ts'

/** A worker answers from memory; who takes longer is not well. */
const ANSWER_MS_MAX = 10_000

const wire = z.object({
  result: z.unknown().optional(),
  error: z.object({ code: z.int(), message: z.string() }).nullish(),
})

export interface WorkerClientOptions {
  token?: string | undefined
  signal?: AbortSignal | undefined
  timeoutMs?: number
}

export class WorkerClient {
  readonly place: Place
  readonly #options: WorkerClientOptions

  constructor(place: Place, options: WorkerClientOptions = {}) {
    this.place = place
    this.#options = options
  }

  get hasToken(): boolean {
    return this.#options.token !== undefined
  }

  /** @throws TroupeError `unavailable`, `unauthorized`, `not-found` for a thread, `malformed` */
  async call<TCall extends WorkerCall>(
    call: TCall,
    ...params: WorkerParams<TCall>
  ): Promise<WorkerResult<TCall>> {
    const where = placeText(this.place)
    const body = { jsonrpc: '2.0', id: 1, method: `${NAMESPACE}.${call}`, params }
    const { status, text } = await this.#post(where, JSON.stringify(body))
    if (status === 401 || status === 403) {
      const why = `the worker at ${where} wants its token: --worker-token-file`
      throw new TroupeError('unauthorized', why)
    }
    const answer = wire.safeParse(jsonOf(text))
    if (status !== 200 || !answer.success) {
      throw new TroupeError(
        'unavailable',
        `what answers at ${where} is no sealing worker (HTTP ${status})`,
      )
    }
    const { error, result } = answer.data
    if (error) throw errorOf(error, where)
    const parsed = WORKER_CALLS[call].result.safeParse(result)
    if (parsed.success) return parsed.data as WorkerResult<TCall>
    const why = `the worker at ${where} answers ${call} in another form: ${z.prettifyError(parsed.error)}`
    throw new TroupeError('unavailable', why)
  }

  async #post(where: string, body: string): Promise<{ status: number; text: string }> {
    const { token, signal, timeoutMs = ANSWER_MS_MAX } = this.#options
    const late = AbortSignal.timeout(timeoutMs)
    try {
      const response = await fetch(`http://${where}/`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body,
        redirect: 'error',
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      })
      return { status: response.status, text: await response.text() }
    } catch (cause) {
      signal?.throwIfAborted()
      const why = late.aborted ? `it took longer than ${timeoutMs} ms` : reasonOf(cause)
      throw new TroupeError('unavailable', `the worker at ${where} does not answer: ${why}`, {
        cause,
      })
    }
  }
}

/** What is asked of it is ours alone, and this one is of another make. */
export class UnknownCall extends TroupeError {}

function errorOf({ code, message }: { code: number; message: string }, where: string): TroupeError {
  if (code === NO_METHOD) {
    return new UnknownCall('conflict', `the worker at ${where} cannot do this: ${message}`)
  }
  if (code !== INVALID_PARAMS) return new TroupeError('conflict', `${where}: ${message}`)
  return new TroupeError(message.includes('not found') ? 'not-found' : 'malformed', message)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `fetch` says "fetch failed"; the reason stands in its cause. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  return thrown.cause instanceof Error ? thrown.cause.message : thrown.message
}
