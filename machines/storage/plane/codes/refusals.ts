/**
 * How the store says no. Decides: its numbers (reference sheet, section 12) with the names and the
 * platform's codes that go with them, and the form in which a refusal leaves and arrives by HTTP.
 *
 * The numbers are no statuses of HTTP. From routes of our own a refusal leaves with the status of its kind,
 * which everything on the way understands, and the number in the body. Routes with the paths of the old
 * store, and blobnodes, send the number as the status. `readRefusal` reads both.
 */
import { z } from 'zod'
import {
  type AppResponse,
  ERROR_CODES,
  type ErrorCode,
  TroupeError,
} from '../../../../src/index.ts'

export interface RefusalKind {
  name: string
  code: ErrorCode
  /** Whether the same request may succeed later. */
  isRetryable: boolean
}

const KINDS: Readonly<Record<number, readonly [name: string, code: ErrorCode]>> = {
  600: ['invalid_params', 'malformed'],
  601: ['already_exists', 'already-exists'],
  602: ['out_of_limit', 'limit-exceeded'],
  603: ['internal', 'internal'],
  604: ['overload', 'busy'],
  605: ['path_not_found', 'not-found'],
  606: ['path_not_empty', 'conflict'],
  607: ['path_in_use', 'conflict'],
  611: ['disk_not_here', 'not-found'],
  613: ['disk_broken', 'store-failed'],
  614: ['invalid_disk_id', 'malformed'],
  615: ['disk_no_space', 'limit-exceeded'],
  621: ['vuid_not_found', 'not-found'],
  622: ['vuid_readonly', 'conflict'],
  623: ['vuid_released', 'conflict'],
  624: ['vuid_mismatch', 'conflict'],
  625: ['chunk_not_readonly', 'conflict'],
  626: ['chunk_not_normal', 'conflict'],
  627: ['chunk_no_space', 'limit-exceeded'],
  628: ['chunk_compacting', 'busy'],
  630: ['invalid_chunk_id', 'malformed'],
  632: ['too_many_chunks', 'limit-exceeded'],
  633: ['chunk_in_use', 'conflict'],
  634: ['over_burst', 'busy'],
  651: ['bid_not_found', 'not-found'],
  652: ['shard_too_large', 'too-large'],
  653: ['shard_not_marked_deleted', 'conflict'],
  654: ['shard_marked_deleted', 'conflict'],
  655: ['invalid_range', 'malformed'],
  656: ['list_too_long', 'malformed'],
  657: ['invalid_bid', 'malformed'],
  /** Ours: what stands on the disk is not what was written; it is never given out. */
  658: ['crc_mismatch', 'store-failed'],
  670: ['destination_bad', 'unavailable'],
  /** Too little is left of a blob to make it up again. */
  671: ['shards_lost', 'store-failed'],
  672: ['illegal_task', 'malformed'],
  673: ['request_limited', 'busy'],
  674: ['unknown_code_mode', 'malformed'],
  675: ['put_timeout', 'no-answer'],
  676: ['io_cancelled', 'no-answer'],
  677: ['bid_mismatch', 'conflict'],
  /** Of all things that a worker could do. */
  700: ['nothing_to_do', 'not-found'],
  801: ['no_volume_of_mode', 'unavailable'],
  802: ['bids_not_allocated', 'unavailable'],
  900: ['unexpected', 'internal'],
  902: ['lock_not_allowed', 'conflict'],
  903: ['unlock_not_allowed', 'conflict'],
  904: ['volume_not_found', 'not-found'],
  911: ['disk_not_found', 'not-found'],
  912: ['invalid_status', 'malformed'],
  913: ['no_way_back', 'conflict'],
  914: ['concurrent_allocation', 'busy'],
  916: ['invalid_allocation', 'malformed'],
  917: ['no_volume', 'unavailable'],
  918: ['old_vuid_mismatch', 'conflict'],
  919: ['new_vuid_mismatch', 'conflict'],
  920: ['new_disk_mismatch', 'conflict'],
  921: ['invalid_config', 'malformed'],
  923: ['invalid_idc', 'malformed'],
  924: ['unit_not_found', 'not-found'],
  925: ['invalid_registration', 'malformed'],
  926: ['disk_neither_broken_nor_readonly', 'conflict'],
  927: ['chunk_not_statted', 'unavailable'],
  928: ['invalid_code_mode', 'malformed'],
  929: ['not_retained', 'conflict'],
  930: ['units_remain', 'conflict'],
  932: ['disk_dropping', 'conflict'],
  946: ['volume_epoch_mismatch', 'conflict'],
}

export const REFUSALS: Readonly<Record<number, RefusalKind>> = Object.fromEntries(
  Object.entries(KINDS).map(([status, [name, code]]) => [
    status,
    { name, code, isRetryable: ERROR_CODES[code].retry },
  ]),
)

/** By HTTP. What is not here is a fault, or nothing that callers of a store can meet: 500. */
const HTTP_STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  malformed: 400,
  'not-found': 404,
  'unknown-actor': 404,
  'already-exists': 409,
  conflict: 409,
  finished: 409,
  'too-large': 413,
  'limit-exceeded': 507,
  busy: 503,
  unavailable: 503,
  moved: 503,
  /** Whoever calls has not sent the command that was late: the node has, and none of it was done. */
  deadline: 503,
  'no-answer': 504,
}
/** The same call may be answered later. */
const LATER: ReadonlySet<number> = new Set([503, 504])

const UNKNOWN: RefusalKind = { name: 'unknown', code: 'internal', isRetryable: false }

/** A refusal with the platform's code and the store's own number. */
export class StorageRefusal extends TroupeError {
  readonly status: number

  constructor(status: number, message: string) {
    const { name, code } = REFUSALS[status] ?? UNKNOWN
    super(code, message, { detail: { status, name } })
    this.status = status
  }
}

export function refusal(status: number, message: string): StorageRefusal {
  return new StorageRefusal(status, message)
}

/** For routes of the platform: `catch (error) { return refusalAnswer(error) }`. @throws what is no refusal */
export function refusalAnswer(error: unknown): AppResponse {
  if (!(error instanceof StorageRefusal)) throw error
  const { status, code, message } = error
  const httpStatus = HTTP_STATUSES[code] ?? 500
  return {
    ...{ status: httpStatus, headers: headersOf(httpStatus) },
    body: JSON.stringify({ error: message, code: nameOf(status), status }),
  }
}

/**
 * For routes with the paths of the old store: its number is the status, and every error is a text with a
 * code beside it. @throws what is no error of the platform
 */
export function numberedAnswer(error: unknown): AppResponse {
  if (!(error instanceof TroupeError)) throw error
  const isRefused = error instanceof StorageRefusal
  const status = isRefused ? error.status : (HTTP_STATUSES[error.code] ?? 500)
  const code = isRefused ? nameOf(error.status) : error.code
  return {
    ...{ status, headers: headersOf(status) },
    body: JSON.stringify({ error: error.message, code }),
  }
}

function headersOf(status: number): Record<string, string> {
  return {
    ...{ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    ...(LATER.has(status) ? { 'retry-after': '1' } : {}),
  }
}

const DISK_NOT_HERE = 611
/** Its disk is broken; the chunk is not there, is released, or is another one. */
const PLACE_GONE: ReadonlySet<number> = new Set([613, 621, 623, 624])

/** Nothing will come from that place any more. A disk that is not served may be served again. */
export function nothingIsThere(thrown: unknown): boolean {
  return thrown instanceof StorageRefusal && PLACE_GONE.has(thrown.status)
}

/** The mapping that was used may be an old one. */
export function mayHaveMoved(thrown: unknown): boolean {
  const isElsewhere = thrown instanceof StorageRefusal && thrown.status === DISK_NOT_HERE
  return isElsewhere || nothingIsThere(thrown)
}

/** What a blobnode sends below a status that is the refusal's number. */
export function refusalText({ status, message }: StorageRefusal): string {
  return JSON.stringify({ error: message, code: nameOf(status) })
}

function nameOf(status: number): string {
  return (REFUSALS[status] ?? UNKNOWN).name
}

const refusalBody = z.object({ error: z.string(), status: z.int().optional() })

/** The refusal in an answer by HTTP; undefined when there is none in it. */
export function readRefusal(status: number, text: string): StorageRefusal | undefined {
  const body = refusalBody.safeParse(jsonOf(text)).data
  const number = status >= 600 ? status : body?.status
  return number === undefined ? undefined : refusal(number, body?.error ?? text.slice(0, 200))
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
