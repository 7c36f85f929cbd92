/**
 * A call of the seed's API: who it is from, what it asks, and the envelope of its answer.
 *
 * Decides: which bodies are read, the envelope `{respCode, respMsg, …}`, and the HTTP status that fits
 * beside it. Leaves to others: tokens (`tokens.ts`), the endpoints (`server-routes.ts`).
 */
import {
  type AppContext,
  type AppRequest,
  type AppResponse,
  fromJson,
  TroupeError,
} from '../../src/index.ts'
import type { Apps } from './apps.ts'
import { Fields, malformed } from './fields.ts'

/** An app that has proven who it is, and what it asks. */
export interface Call {
  app: string
  fields: Fields
}

/** Fields inside `params`, or beside `respCode`; or no envelope at all. */
export type Answer =
  | { params: Record<string, unknown> }
  | { plain: Record<string, unknown> }
  | { response: AppResponse }

/** @throws TroupeError `malformed`, `unauthorized`, `forbidden` */
export async function authenticate(apps: Apps, path: string, request: AppRequest): Promise<Call> {
  const given = request.method === 'GET' ? uniqueOf(request.query) : parseBody(request)
  const fields = new Fields(given)
  const name = fields.text('name', 256)
  const token = fields.text('token', 256)
  const time = fields.optionalText('time', 256)?.trim()
  const { name: _name, token: _token, time: _time, ...others } = fields.texts()
  await apps.authenticate({
    name,
    token,
    time: time === '' ? undefined : time,
    path,
    fields: others,
  })
  return { app: name, fields }
}

function parseBody({ headers, body }: AppRequest): unknown {
  const bytes = body as Uint8Array
  const [media = ''] = String(headers['content-type'] ?? '').split(';')
  const type = media.trim().toLowerCase()
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('the body is not UTF-8')
  }
  if (type === 'application/json' || (type === '' && /^\s*\{/.test(text))) return fromJson(text)
  if (type === 'application/x-www-form-urlencoded' || type === '')
    return uniqueOf(new URLSearchParams(text))
  throw malformed(`bodies of type ${type.slice(0, 60)} are not read here: send a form or JSON`)
}

function uniqueOf(pairs: URLSearchParams): Record<string, unknown> {
  const fields = new Map<string, string>()
  for (const [name, value] of pairs) {
    if (fields.has(name)) throw malformed(`${name.slice(0, 40)} is given twice`)
    fields.set(name, value)
  }
  return Object.fromEntries(fields)
}

/** Statuses of the refusals that these endpoints know; whatever else happens is ours. */
const STATUSES: Partial<Record<TroupeError['code'], number>> = {
  malformed: 400,
  'invalid-address': 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  finished: 409,
  conflict: 409,
  'already-exists': 409,
  'too-large': 413,
  'limit-exceeded': 429,
  busy: 503,
  unavailable: 503,
  'no-answer': 504,
}

export async function inEnvelope(
  context: Pick<AppContext, 'log'>,
  path: string,
  answer: () => Promise<Answer>,
): Promise<AppResponse> {
  try {
    const given = await answer()
    if ('response' in given) return given.response
    const head = { respCode: 0, respMsg: 'success' }
    const body = 'params' in given ? { ...head, params: given.params } : { ...head, ...given.plain }
    return { status: 200, body }
  } catch (thrown) {
    const status = thrown instanceof TroupeError ? STATUSES[thrown.code] : undefined
    if (status !== undefined) return refusal(status, (thrown as TroupeError).message)
    context.log.error({ path, err: thrown }, 'a request failed')
    return refusal(500, 'a fault of the server; its log has the details')
  }
}

function refusal(status: number, message: string): AppResponse {
  return { status, body: { respCode: 1, respMsg: message, params: {} } }
}
