/**
 * P3: a command has one outcome, however often it was sent, and is applied once. P8: what was refused
 * as bad input left no trace.
 */
import type { SimEvent, Violation } from '../events.ts'
import { entryOf, finalChains } from '../mirror.ts'

/** Outcomes that are remembered; other failures are judged anew each time. */
const REMEMBERED = new Set(['ok', 'parked'])

export function appliedOnce(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const add = (what: string, seq: number, shard?: number) =>
    found.push({ checker: 'applied-once', what, seq, ...(shard === undefined ? {} : { shard }) })
  for (const [shard, chain] of finalChains(events)) {
    const remembered = new Set<string>()
    const turns = new Map<string, number>()
    for (const { fact, slot, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const name of fact.remembered) {
        if (remembered.has(name))
          add(`command ${name} was applied again in slot ${slot}`, seq, shard)
        remembered.add(name)
      }
      for (const { address, birth, entries } of fact.actors) {
        for (const { commandId, turn } of entries) {
          if (commandId === null) continue
          const name = `${address} ${birth} ${commandId}`
          const before = entryOf(turns, name, () => turn)
          if (before !== turn) {
            add(`command ${commandId} made turns ${before} and ${turn} of ${address}`, seq, shard)
          }
        }
      }
    }
  }
  for (const violation of outcomes(events)) found.push(violation)
  return found
}

function* outcomes(events: readonly SimEvent[]): Generator<Violation> {
  const told = new Map<string, string>()
  const reads = new Set<string>()
  for (const event of events) {
    if (event.kind === 'read-began') reads.add(event.id)
    if (event.kind !== 'answered' || !REMEMBERED.has(event.code) || reads.has(event.id)) continue
    const before = entryOf(told, event.id, () => event.text)
    if (before === event.text) continue
    const { seq, address } = event
    const what = `command ${event.id} was answered ${before} and ${event.text}`
    yield { checker: 'applied-once', what, seq, address }
  }
}

/** P8. */
export function badInputChangesNothing(events: readonly SimEvent[]): Violation[] {
  const bad = new Set<string>()
  for (const event of events) if (event.kind === 'sent' && event.bad) bad.add(event.id)
  const found: Violation[] = []
  const checker = 'bad-input'
  for (const event of events) {
    if (event.kind === 'answered' && bad.has(event.id) && event.code === 'ok') {
      const { id, address, seq } = event
      found.push({ checker, what: `bad input ${id} was accepted`, seq, address })
    }
    if (event.kind !== 'slot' || event.fact.kind !== 'batch') continue
    for (const { address, entries } of event.fact.actors) {
      const entry = entries.find(({ commandId }) => commandId !== null && bad.has(commandId))
      if (!entry) continue
      const what = `bad input ${entry.commandId} made turn ${entry.turn} of ${address}`
      found.push({ checker, what, seq: event.seq, shard: event.shard, address })
    }
  }
  return found
}
