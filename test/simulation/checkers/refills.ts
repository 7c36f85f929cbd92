/**
 * P7, at its root: a journal that lost its end is given back all that was committed. Nobody claims in
 * the middle of a chain whose next record its writer had committed: acknowledged, and on its disk.
 */
import type { SimEvent, SlotEvent, Violation } from '../events.ts'
import { entryOf } from '../mirror.ts'

export function refillIsWhole(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const lines = new Map<number, SlotEvent[]>()
  /** By shard, slot and the record before it. */
  const lost = new Map<string, SlotEvent>()
  const known = new Set<string>()
  const flushed = new Set<string>()
  for (const event of events) {
    if (event.kind === 'slot-known') known.add(`${event.node} ${event.shard} ${event.slot}`)
    else if (event.kind === 'flushed') flushed.add(`${event.node} ${event.shard} ${event.slot}`)
    else if (event.kind === 'slots-lost') {
      const line = lines.get(event.shard) ?? []
      const gone = line.filter(({ slot }) => slot > event.lastSlot)
      lines.set(
        event.shard,
        line.filter(({ slot }) => slot <= event.lastSlot),
      )
      for (const one of gone) {
        const place = `${one.node} ${one.shard} ${one.slot}`
        if (known.has(place) && flushed.has(place)) lost.set(nameOf(one), one)
      }
    } else if (event.kind === 'slot') {
      entryOf(lines, event.shard, () => []).push(event)
      const before = lost.get(nameOf(event))
      if (!before || before.hash === event.hash) continue
      const { shard, slot, node, seq } = event
      const what = `${node} wrote slot ${slot} anew; ${before.node} had committed another record there, which the journal lost and was not given back`
      found.push({ checker: 'refill-is-whole', what, seq, shard })
    }
  }
  return found
}

function nameOf({ shard, slot, prev }: SlotEvent): string {
  return `${shard} ${slot} ${prev}`
}
