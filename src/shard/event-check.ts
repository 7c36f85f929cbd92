/**
 * Whether an actor takes an event. Decides: what a caller is told who sends one that it does not.
 */
import { type ErrorRecord, type EventObject, errorRecord } from '../protocol/index.ts'
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
  const parsed = schema.safeParse(payload)
  if (parsed.success) return { event: { ...(parsed.data as object), type } }
  return {
    error: errorRecord(
      'invalid-event',
      `event ${type} for ${address}: ${describeIssues(parsed.error.issues)}`,
      {
        address,
        detail: parsed.error.issues,
      },
    ),
  }
}

/** The issues of a schema in one line. */
export function describeIssues(
  issues: readonly { path: PropertyKey[]; message: string }[],
): string {
  return issues
    .slice(0, 5)
    .map(
      (issue) =>
        (issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '') + issue.message,
    )
    .join('; ')
}
