/**
 * The whole vocabulary of failures that a caller can meet.
 *
 * Decides: the codes, whether a retry can help, and the shape in which a failure crosses a process
 * boundary. Leaves to others: HTTP statuses and exit codes (gateway, cli).
 */

/** Each code with what it means; `retry` says whether the same request may succeed later. */
export const ERROR_CODES = {
  malformed: {
    retry: false,
    means: 'the request cannot be read: a field is missing or has the wrong type',
  },
  'invalid-address': { retry: false, means: 'the address or id breaks the rules for addresses' },
  'unknown-machine': { retry: false, means: 'no machine of that name is registered' },
  'unknown-actor': { retry: false, means: 'no actor lives at that address' },
  'already-exists': { retry: false, means: 'an actor lives at that address already' },
  'invalid-input': { retry: false, means: 'the input does not match the schema of the machine' },
  'invalid-event': { retry: false, means: 'the event is unknown or does not match its schema' },
  'invalid-context': {
    retry: false,
    means: 'the patched context does not match the schema of the machine',
  },
  'invalid-query': {
    retry: false,
    means: 'a filter, sort order or cursor of a list cannot be used',
  },
  'unknown-state': {
    retry: false,
    means: 'the machine has no such state; the error lists those it has',
  },
  finished: { retry: false, means: 'the actor has finished and takes no more events' },
  parked: {
    retry: false,
    means: 'the event made the actor fail; the actor is as it was, and parked',
  },
  conflict: { retry: false, means: 'the command does not fit the present condition of the actor' },
  'too-large': { retry: false, means: 'a payload, context or batch exceeds its named limit' },
  'limit-exceeded': { retry: false, means: 'a count exceeds its named limit' },
  expired: {
    retry: false,
    means: 'the command id is older than the window in which ids are remembered',
  },
  'clock-skew': { retry: false, means: 'the command id was issued too far in the future' },
  deadline: {
    retry: false,
    means: 'the command waited longer than its sender waits for it; it was not applied',
  },
  busy: { retry: true, means: 'a mailbox is full; the command was not taken' },
  unavailable: {
    retry: true,
    means: 'the shard has no owner here now; nothing was applied that you were not told of',
  },
  moved: {
    retry: true,
    means: 'the shard is on its way to another node; nothing of the command was applied here',
  },
  'no-answer': {
    retry: true,
    means: 'no reply came in time; it may or may not have been applied (send the same id again)',
  },
  'task-gone': { retry: false, means: 'the task is no longer wanted' },
  'task-held': { retry: false, means: 'another worker holds the present attempt of the task' },
  'task-stale': {
    retry: false,
    means: 'the token or ticket is not of the present attempt',
  },
  'not-hosted': {
    retry: false,
    means: 'a machine cannot be hosted durably; the error names the place',
  },
  'version-unknown': {
    retry: false,
    means: 'the actor was written by a version that this node cannot read',
  },
  'invalid-config': {
    retry: false,
    means: 'the configuration has an error; the error names the place',
  },
  unauthorized: { retry: false, means: 'the caller did not prove who it is' },
  forbidden: { retry: false, means: 'the caller may not do this' },
  'not-found': { retry: false, means: 'there is no such resource' },
  'store-failed': {
    retry: false,
    means: 'the disk refused a write; the node stops rather than guess',
  },
  internal: { retry: false, means: 'a fault of Troupe itself; the log has the details' },
} as const satisfies Record<string, { retry: boolean; means: string }>

export type ErrorCode = keyof typeof ERROR_CODES

/** The form of a failure on the wire and on disk. */
export interface ErrorRecord {
  code: ErrorCode
  message: string
  retry: boolean
  address?: string
  /** Data for programs: the valid states, the issues of a schema, the limit that was met. */
  detail?: unknown
}

export interface ErrorOptions {
  address?: string
  detail?: unknown
  cause?: unknown
}

/** The one error class that Troupe shows to callers. `message` says what, where and what to do. */
export class TroupeError extends Error {
  override readonly name = 'TroupeError'
  readonly code: ErrorCode
  readonly retry: boolean
  readonly address: string | undefined
  readonly detail: unknown

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retry = ERROR_CODES[code].retry
    this.address = options.address
    this.detail = options.detail
  }

  toJSON(): ErrorRecord {
    return errorRecord(this.code, this.message, this)
  }

  static from(record: ErrorRecord): TroupeError {
    const known = Object.hasOwn(ERROR_CODES, record.code) ? record.code : 'internal'
    return new TroupeError(known, record.message, record)
  }
}

/** Builds a failure as data; the core returns these instead of throwing. */
export function errorRecord(
  code: ErrorCode,
  message: string,
  options: { address?: string | undefined; detail?: unknown } = {},
): ErrorRecord {
  const record: ErrorRecord = { code, message, retry: ERROR_CODES[code].retry }
  if (options.address !== undefined) record.address = options.address
  if (options.detail !== undefined) record.detail = options.detail
  return record
}

/** Turns whatever was thrown into a failure as data; only our own errors keep their code. */
export function toErrorRecord(thrown: unknown, code: ErrorCode = 'internal'): ErrorRecord {
  if (thrown instanceof TroupeError) return thrown.toJSON()
  return errorRecord(code, messageOfThrown(thrown))
}

/** What was thrown, in words. Anything can be thrown, also what cannot be made a text. */
export function messageOfThrown(thrown: unknown): string {
  try {
    const hasMessage = typeof thrown === 'object' && thrown !== null && 'message' in thrown
    return String(hasMessage ? thrown.message : thrown)
  } catch {
    return 'something was thrown that has no text'
  }
}

/**
 * A broken invariant: a fault in Troupe, never in its input. It throws, in production too, and
 * whoever owns the shard stops it.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`)
}
