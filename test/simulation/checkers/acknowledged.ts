/**
 * P7: what was acknowledged is there. Every command that was answered `ok` stands in the journal that
 * is left at the end; and no read shows an older state than was acknowledged before it was asked.
 */
import type { SimEvent, Violation } from '../events.ts'
import { finalChains } from '../mirror.ts'

export function acknowledgedIsThere(events: readonly SimEvent[]): Violation[] {
  const there = new Set<string>()
  for (const chain of finalChains(events).values()) {
    for (const { fact } of chain) {
      if (fact.kind === 'batch') for (const name of fact.remembered) there.add(name)
    }
  }
  const reads = new Set<string>()
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind === 'read-began') reads.add(event.id)
    if (event.kind !== 'answered' || event.code !== 'ok' || reads.has(event.id)) continue
    if (there.has(`${event.address} ${event.id}`)) continue
    const { id, address, op, seq } = event
    const what = `${op} ${id} to ${address} was acknowledged and is in no slot that is left`
    found.push({ checker: 'acknowledged-is-there', what, seq, address })
  }
  return found
}

const NOT_APPLIED: ReadonlySet<string> = new Set(['unavailable', 'deadline'])

/** No read shows what is not committed: a head that is dropped later was never true. */
export function readsAreCommitted(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const reads = new Set<string>()
  /** The highest turn that any slot has held. */
  const committed = new Map<string, number>()
  /** Turns, a read and a deletion may share a batch: then the slot shows the deletion only. */
  const deleted = new Set<string>()
  for (const event of events) {
    if (event.kind === 'sent' && event.op === 'delete') deleted.add(event.address)
    if (event.kind === 'read-began') reads.add(event.id)
    if (event.kind === 'slot' && event.fact.kind === 'batch') {
      for (const { address, turn } of event.fact.actors) {
        committed.set(address, Math.max(turn, committed.get(address) ?? 0))
      }
    }
    if (event.kind !== 'released' || event.turn === undefined || !reads.has(event.id)) continue
    const { address, turn, seq } = event
    if (deleted.has(address) || turn <= (committed.get(address) ?? 0)) continue
    const what = `a read of ${address} shows turn ${turn}, which no slot has held`
    found.push({ checker: 'reads-are-committed', what, seq, address })
  }
  return found
}

export function readsAreFresh(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  /** The highest turn that anybody was told of, by actor; a deletion begins anew. */
  const told = new Map<string, number>()
  const asked = new Map<string, number>()
  const deletions = new Map<string, number>()
  for (const event of events) {
    if (event.kind === 'sent' && event.op === 'delete') {
      deletions.set(event.address, event.seq)
      told.delete(event.address)
    }
    if (event.kind === 'read-began') {
      asked.set(event.id, told.get(event.address) ?? 0)
      continue
    }
    if (event.kind !== 'answered' || event.turn === undefined) continue
    const { address, turn, id, seq } = event
    // Once an actor was deleted, turns begin anew, and answers may be of either life.
    if (deletions.has(address)) continue
    const atLeast = asked.get(id)
    if (atLeast !== undefined && turn < atLeast) {
      const what = `a read of ${address} showed turn ${turn}; turn ${atLeast} was acknowledged before it was asked`
      found.push({ checker: 'reads-are-fresh', what, seq, address })
    }
    if (event.code === 'ok') told.set(address, Math.max(told.get(address) ?? 0, turn))
  }
  return found
}

/** A node that says `unavailable` or `deadline` has not applied the command, then or later: so they mean. */
export function refusalsAreTrue(events: readonly SimEvent[]): Violation[] {
  const tries = new Map<string, number>()
  const refused = new Map<string, { node: string; seq: number }>()
  const found: Violation[] = []
  for (const event of events) {
    if (event.kind === 'released') {
      const name = `${event.address} ${event.id} ${event.node}`
      tries.set(name, (tries.get(name) ?? 0) + 1)
      if (NOT_APPLIED.has(event.code)) refused.set(name, { node: event.node, seq: event.seq })
    }
  }
  const once = new Set<string>()
  const sent = new Map<string, number>()
  for (const event of events) {
    if (event.kind !== 'sent') continue
    sent.set(event.id, (sent.get(event.id) ?? 0) + 1)
  }
  for (const event of events) {
    const isOnly = event.kind === 'gave-up' && event.tries === 1 && sent.get(event.id) === 1
    if (isOnly) once.add(`${event.address} ${event.id}`)
  }
  for (const [shard, chain] of finalChains(events)) {
    let owner = ''
    for (const { fact, slot } of chain) {
      if (fact.kind === 'claim') owner = fact.node
      if (fact.kind !== 'batch') continue
      for (const name of fact.remembered) {
        const refusal = refused.get(`${name} ${owner}`)
        if (!refusal || !once.has(name) || tries.get(`${name} ${owner}`) !== 1) continue
        const what = `${owner} refused command ${name} and has it in slot ${slot}`
        found.push({ checker: 'refusals-are-true', what, seq: refusal.seq, shard })
      }
    }
  }
  return found
}
