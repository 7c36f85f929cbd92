/**
 * From Troupe's errors to HTTP. Decides: the status of each code, and what a fault of ours may show
 * to a stranger (nothing but a number to look for in the log).
 */
import { type ErrorCode, type ErrorRecord, errorRecord, TroupeError } from '../protocol/index.ts'

/** Exhaustive by its type: a new code does not compile until it has a status. */
const HTTP_STATUSES: Readonly<Record<ErrorCode, number>> = {
  malformed: 400,
  'invalid-address': 400,
  'unknown-machine': 404,
  'unknown-actor': 404,
  'already-exists': 409,
  'invalid-input': 422,
  'invalid-event': 422,
  'invalid-context': 422,
  'invalid-query': 400,
  'unknown-state': 422,
  finished: 409,
  parked: 409,
  conflict: 409,
  'too-large': 413,
  'limit-exceeded': 429,
  expired: 409,
  'clock-skew': 400,
  deadline: 408,
  busy: 503,
  unavailable: 503,
  moved: 503,
  'no-answer': 504,
  'task-gone': 410,
  'task-held': 409,
  'task-stale': 409,
  'not-hosted': 422,
  'version-unknown': 409,
  'invalid-config': 500,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'store-failed': 500,
  internal: 500,
}

/** An error whose status says more than its code: 405, 415. Status and headers go out as given. */
export class HttpRefusal extends TroupeError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message)
    this.status = status
    this.headers = headers
  }
}

interface Failure {
  status: number
  headers: Record<string, string>
  record: ErrorRecord
  /** True when the cause is ours and belongs into the log. */
  isFault: boolean
}

/** Whatever was thrown, as an answer. Only errors that were made for callers keep their words. */
export function failureOf(thrown: unknown, requestId: string): Failure {
  if (thrown instanceof TroupeError) {
    const isFault = thrown.code === 'internal' || thrown.code === 'store-failed'
    const record =
      thrown.code === 'internal'
        ? hidden(requestId)
        : errorRecord(thrown.code, thrown.message, thrown)
    const status = thrown instanceof HttpRefusal ? thrown.status : HTTP_STATUSES[thrown.code]
    const headers: Record<string, string> =
      thrown instanceof HttpRefusal ? { ...thrown.headers } : {}
    if (record.retry) headers['retry-after'] = '1'
    return { status, headers, record, isFault }
  }
  const refusal = ofFramework(thrown)
  if (refusal) return { ...refusal, headers: {}, isFault: false }
  return { status: 500, headers: {}, record: hidden(requestId), isFault: true }
}

function hidden(requestId: string): ErrorRecord {
  return errorRecord(
    'internal',
    `a fault of Troupe itself; look for request ${requestId} in the log of the node`,
  )
}

/** What fastify refuses before a handler runs. */
function ofFramework(thrown: unknown): { status: number; record: ErrorRecord } | undefined {
  const { code, statusCode, message } = (thrown ?? {}) as Record<string, unknown>
  if (typeof code !== 'string' || !code.startsWith('FST_ERR_')) return undefined
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return {
      status: 413,
      record: errorRecord('too-large', 'the body is larger than this address takes'),
    }
  }
  if (code === 'FST_ERR_BAD_URL') {
    const why = 'the path cannot be read: a percent sign must begin an escape such as %2F'
    return { status: 400, record: errorRecord('malformed', why) }
  }
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return undefined
  return { status: statusCode, record: errorRecord('malformed', String(message)) }
}
