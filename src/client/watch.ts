/**
 * Events as they are published. Decides: only how they are handed over. Publishing is best effort: a
 * watcher that must not miss anything looks at the actor as well (`waitFor` does).
 */
import type { Transport } from '../ports/index.ts'
import { canonicalAddress, type EventObject, fromJson, type Subjects } from '../protocol/index.ts'

export type WatchedEvent =
  | {
      kind: 'transition'
      address: string
      /** Tells the actor from a later one at the same address. */
      createdAt: number
      turn: number
      cause: string
      from: string | null
      to: string
      status: string
    }
  | { kind: 'emitted'; address: string; turn: number; event: EventObject }
  /** Deleted, or its retention is over; `turn` was its last. */
  | { kind: 'removed'; address: string; turn: number }

/** One actor, all actors of a machine, or everything. */
export type WatchTarget = { address: string } | { machine: string } | 'all'

/** Events that wait for a slow watcher; beyond either the oldest are dropped. */
const WAITING_MAX = 100_000
const WAITING_BYTES_MAX = 64 * 1024 * 1024

export function watchEvents(
  transport: Pick<Transport, 'subscribe'>,
  subjects: Subjects,
  target: WatchTarget,
  signal: AbortSignal,
): AsyncIterable<WatchedEvent> {
  const waiting: { event: WatchedEvent; bytes: number }[] = []
  let waitingBytes = 0
  let wake: (() => void) | undefined
  const take = () => {
    const next = waiting.shift()
    waitingBytes -= next?.bytes ?? 0
    return next?.event
  }
  const subscription = transport.subscribe(subjectOf(subjects, target), {}, ({ payload }) => {
    const event = eventIn(payload)
    if (!event) return
    const bytes = payload.byteLength
    waiting.push({ event, bytes })
    waitingBytes += bytes
    while (waiting.length > WAITING_MAX || waitingBytes > WAITING_BYTES_MAX) take()
    wake?.()
  })
  const end = () => {
    subscription.unsubscribe()
    wake?.()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const next = take()
          if (next) yield next
          else if (signal.aborted) return
          else await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        // Whoever stops listening without a signal would leave the subscription behind.
        signal.removeEventListener('abort', end)
        end()
      }
    },
  }
}

/** Others may speak on these subjects, too: what is no event of an actor is nothing. */
function eventIn(payload: Uint8Array): WatchedEvent | undefined {
  try {
    const event = fromJson(Buffer.from(payload).toString()) as Partial<WatchedEvent> | null
    const isEvent = typeof event?.kind === 'string' && typeof event.address === 'string'
    return isEvent ? (event as WatchedEvent) : undefined
  } catch {
    return undefined
  }
}

function subjectOf(subjects: Subjects, target: WatchTarget): string {
  if (target === 'all') return subjects.events()
  return 'address' in target
    ? subjects.event(canonicalAddress(target.address))
    : subjects.eventOf(target.machine)
}
