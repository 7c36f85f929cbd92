/**
 * What must be true when the troubles are over: everything drains within the bound, stores hold what
 * a replay of their journals gives, and no engine broke an invariant.
 */
import type { SimEvent, Violation } from '../events.ts'

export function everythingDrains(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind !== 'not-drained') continue
    found.push({
      checker: 'liveness',
      what: `it does not come to rest: ${event.why}`,
      seq: event.seq,
    })
  }
  return found
}

export function storesEqualJournals(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind !== 'end-store' || event.differs === null) continue
    const { node, shard, seq, differs } = event
    const what = `shard ${shard} at ${node}: ${differs}`
    found.push({ checker: 'store-equals-journal', what, seq, shard })
  }
  return found
}

export function nothingBreaks(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind === 'broke') {
      found.push({ checker: 'invariants', what: `${event.node}: ${event.why}`, seq: event.seq })
    }
  }
  return found
}
