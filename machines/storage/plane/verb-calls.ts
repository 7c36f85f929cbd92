/**
 * Calls of the store's verbs to a node. Decides: that a refusal of the store is an error with its text, and
 * with the exit code of its kind. Loads no package: commands have to start fast.
 */
import { TroupeError, type VerbCall, type VerbRequest } from '../../../src/verbs.ts'

/** By the statuses that refusals have on their way through the platform (`codes/refusals.ts`). */
const CODES: Readonly<Record<number, TroupeError['code']>> = {
  400: 'malformed',
  404: 'not-found',
  409: 'conflict',
  413: 'too-large',
  503: 'unavailable',
  504: 'no-answer',
  507: 'limit-exceeded',
}

/** @throws TroupeError as the store or the platform refuses */
export async function askStore(call: VerbCall, request: VerbRequest): Promise<unknown> {
  const { status, body } = await call.http(request)
  if (status < 400) return body
  const { error, status: refused } = (body ?? {}) as { error?: unknown; status?: unknown }
  const why = typeof error === 'string' ? error : `HTTP ${status}`
  const message = refused === undefined ? why : `${why} (${String(refused)})`
  throw new TroupeError(CODES[status] ?? 'internal', message)
}
