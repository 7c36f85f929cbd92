/**
 * Events as they are published. Decides: only how they are handed over. Publishing is best effort: a
 * watcher that must not miss anything looks at the actor as well (`waitFor` does).
 */
import type { Transport } from '../ports/index.ts'
import { canonicalAddress, type EventObject, type Subjects, unpack } from '../protocol/index.ts'

export type WatchedEvent =
  | {
      kind: 'transition'
      address: string
      turn: number
      cause: string
      from: string | null
      to: string
      status: string
    }
  | { kind: 'emitted'; address: string; turn: number; event: EventObject }

/** Events that wait for a slow watcher; beyond it the oldest are dropped. */
const WAITING_MAX = 100_000

export function watchEvents(
  transport: Transport,
  subjects: Subjects,
  target: { address: string } | { machine: string },
  signal: AbortSignal,
): AsyncIterable<WatchedEvent> {
  const subject =
    'address' in target
      ? subjects.event(canonicalAddress(target.address))
      : subjects.eventOf(target.machine)
  const waiting: WatchedEvent[] = []
  let wake: (() => void) | undefined
  const subscription = transport.subscribe(subject, {}, ({ payload }) => {
    if (waiting.length >= WAITING_MAX) waiting.shift()
    waiting.push(unpack(payload) as WatchedEvent)
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
          const next = waiting.shift()
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
