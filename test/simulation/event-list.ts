/** Lists of events in the making, for tests of checkers: what a test does not name is as in any good list. */
import { check } from './checkers/index.ts'
import type {
  ActorFact,
  BatchFact,
  Happening,
  HistoryEntry,
  QuestionFact,
  SimEvent,
  SlotFact,
} from './events.ts'

const GENESIS = '0'.repeat(16)

/** A list in the making: slots of shard 0 get their numbers and hashes by themselves. */
export class List {
  readonly events: SimEvent[] = []
  #slot = 0
  #prev = GENESIS

  add(happening: Happening): this {
    const seq = this.events.length
    this.events.push({ ...happening, seq, at: seq })
    return this
  }

  slot(fact: SlotFact, changes: Partial<{ node: string; slot: number; prev: string }> = {}): this {
    this.#slot += 1
    const hash = `hash of ${this.#slot}`
    const at = { node: 'n1', shard: 0, slot: this.#slot, sequence: this.#slot, prev: this.#prev }
    this.#prev = hash
    return this.add({ kind: 'slot', ...at, hash, fact, ...changes })
  }

  claim(node = 'n1', claimId = 'a'): this {
    return this.slot({ kind: 'claim', node, claimId, viewVersion: 1 }, { node })
  }

  batch(changes: Partial<BatchFact> = {}): this {
    return this.slot(batch(changes))
  }

  actor(changes: Partial<ActorFact>, more: Partial<BatchFact> = {}): this {
    return this.batch({ actors: [actor(changes)], ...more })
  }

  found(): string[] {
    return [...new Set(check(this.events).map(({ checker }) => checker))]
  }
}

export function batch(changes: Partial<BatchFact>): BatchFact {
  const nothing = { actors: [], removed: [], remembered: [], outbox: [], acknowledged: [] }
  const rest = { inbound: [], deadLetters: [], tasks: [], now: 1_000 }
  return { kind: 'batch', epoch: { slot: 1, claimId: 'a' }, ...nothing, ...rest, ...changes }
}

export function actor(changes: Partial<ActorFact>): ActorFact {
  const who = {
    address: 'flat/a',
    birth: '2.0',
    version: 1,
    turn: 1,
    status: 'active',
    state: 'on',
  }
  const how = {
    paused: false,
    parked: null,
    kept: 0,
    timers: [],
    tasks: [],
    children: [],
    lives: [],
  }
  return { ...who, ...how, remembers: null, entries: [], context: {}, ...changes }
}

export function turn(number: number, changes: Partial<HistoryEntry> = {}): HistoryEntry {
  const entry = { turn: number, at: number, cause: 'ADD', by: 'c1', commandId: null, note: null }
  return { ...entry, from: number === 1 ? null : 'on', to: 'on', ...changes }
}

export function released(id: string) {
  return { kind: 'released' as const, node: 'n1', address: 'flat/a', id, code: 'ok' }
}

export function answered(id: string, text: string) {
  const who = { kind: 'answered' as const, party: 'c1', id, address: 'flat/a' }
  return { ...who, op: 'send', code: 'ok', text }
}

export function readBegan(id: string) {
  return { kind: 'read-began' as const, id, address: 'flat/a' }
}

export function known(slot: number) {
  return { kind: 'slot-known' as const, node: 'n1', shard: 0, slot }
}

export function flushed(slot: number) {
  return { kind: 'flushed' as const, node: 'n1', shard: 0, slot }
}

export function tells(number: number): Partial<BatchFact> {
  return { outbox: [{ target: 1, number, from: 'flat/a', to: 'flat/b', type: 'TOLD' }] }
}

export function checkpoint(slot: number, changes: { hash?: string; differs?: string } = {}) {
  const at = { kind: 'checkpoint' as const, node: 'n1', shard: 0, slot }
  return { ...at, hash: `hash of ${slot}`, differs: null, ...changes }
}

export function removed(to: number) {
  return { kind: 'slots-removed' as const, node: 'n1', shard: 0, to }
}

export function gone(slot: number) {
  return { kind: 'checkpoint-gone' as const, shard: 0, slot, why: 'lost' }
}

export function heard(last: number) {
  return { source: 1, generation: 1, last }
}

export const CALLBACK = 'flat/a#2.0:2:0'

export function served(node = 'n1'): Happening {
  return { kind: 'taken', node, shard: 0, slot: 1, view: 1 }
}

export function callback(how: 'begins' | 'ends', node = 'n1'): Happening {
  return { kind: 'callback', node, shard: 0, effectId: CALLBACK, how }
}

export function asked(changes: Partial<QuestionFact> = {}, id = 'q.1'): Happening {
  const all = { kind: 'list' as const, machine: null, condition: null, children: false }
  const page = { by: 'id' as const, descending: false, limit: 10, after: null }
  return { kind: 'asked', party: 'q1', id, shard: 0, question: { ...all, ...page, ...changes } }
}

export function told(line?: string, id = 'q.1'): Happening {
  return { kind: 'told', party: 'q1', id, shard: 0, lines: line === undefined ? [] : [line] }
}

export function owns(node: string, ownerId: string): Happening {
  return { kind: 'owns', node, ownerId }
}
