/**
 * Whether an actor takes an event. Decides: what a caller is told who sends one that it does not, and
 * what a schema that fails itself leads to.
 */
import { core, type ZodType } from 'zod'
import {
  clipText,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  messageOfThrown,
  nestsDeeper,
  whyUnpackable,
} from '../protocol/index.ts'
import type { Head } from './records.ts'

export function finishedError(head: Head): ErrorRecord {
  return errorRecord(
    'finished',
    `${head.address} has finished (${head.status} in ${head.stateText}); start another, or resume it at a state`,
    { address: head.address, detail: { status: head.status, state: head.stateText } },
  )
}

/** An event from outside or from another actor, checked by its schema. */
export function checkEvent(
  head: Head,
  event: EventObject,
): { event: EventObject } | { error: ErrorRecord } {
  const { definition } = head.hosted
  const { address } = head
  if (head.sources.length > 0) {
    const why = `${address} is a child: it takes events from its parent only`
    return { error: errorRecord('invalid-event', why, { address }) }
  }
  const schema = Object.hasOwn(definition.events, event.type)
    ? definition.events[event.type]
    : undefined
  if (!schema) {
    const known = Object.keys(definition.events)
    return {
      error: errorRecord(
        'invalid-event',
        `${definition.name} takes no event "${String(event.type).slice(0, 80)}"; it takes: ${known.join(', ') || 'none'}`,
        {
          address,
          detail: { events: known },
        },
      ),
    }
  }
  const { type, ...payload } = event
  const parsed = parseSafely(schema, payload)
  if (parsed.success) return { event: { ...(parsed.data as object), type } }
  const why = `event ${type} for ${address}: ${parsed.why}`
  return { error: errorRecord('invalid-event', why, { address, detail: parsed.detail }) }
}

type Parsed = { success: true; data: unknown } | { success: false; why: string; detail: unknown }

/**
 * What a schema says of a value. It is the machine's own code: it may throw, and it may want to wait,
 * which nothing here can do (and which a schema does not tell before it runs).
 */
export function parseSafely(schema: ZodType, value: unknown): Parsed {
  try {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed
    const { issues } = parsed.error
    const sendable = whyUnpackable(issues) === undefined && !nestsDeeper(issues, ISSUE_LEVELS_MAX)
    const why = clipText(describeIssues(issues))
    return { success: false, why, detail: sendable ? issues : undefined }
  } catch (thrown) {
    const waits = thrown instanceof core.$ZodAsyncError
    const why = waits ? 'it is asynchronous, and a shard cannot wait' : messageOfThrown(thrown)
    return { success: false, why: clipText(`the schema itself failed: ${why}`), detail: undefined }
  }
}

/** An issue is a list of objects with paths; what a schema adds to it may be anything. */
const ISSUE_LEVELS_MAX = 16

/** The issues of a schema in one line. */
function describeIssues(issues: readonly { path: PropertyKey[]; message: string }[]): string {
  return issues
    .slice(0, 5)
    .map(
      (issue) =>
        (issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '') + issue.message,
    )
    .join('; ')
}
