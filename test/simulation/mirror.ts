/**
 * What the journal says of every shard at this moment: the facts of its slots, in order, and each
 * actor as the last of them left it. For the simulator's own questions (is everything drained?) and
 * for checkers, which replay the list of events through it.
 */
import type { ActorFact, SimEvent, SlotEvent } from './events.ts'

export class Mirror {
  /** By shard, the slots that exist, the first at index 0. */
  readonly chains = new Map<number, SlotEvent[]>()
  readonly #actors = new Map<number, Map<string, ActorFact>>()
  readonly #outbox = new Map<number, Set<string>>()

  see(event: SimEvent): void {
    if (event.kind === 'slot') this.#add(event)
    else if (event.kind === 'slots-lost') this.#cut(event.shard, event.lastSlot)
  }

  actors(shard: number): ReadonlyMap<string, ActorFact> {
    return this.#actors.get(shard) ?? new Map()
  }

  outbox(shard: number): ReadonlySet<string> {
    return this.#outbox.get(shard) ?? new Set()
  }

  get shards(): number[] {
    return [...this.chains.keys()].sort((a, b) => a - b)
  }

  *all(): Generator<ActorFact> {
    for (const shard of this.shards) yield* this.actors(shard).values()
  }

  #add(event: SlotEvent): void {
    const { shard } = event
    const chain = this.chains.get(shard)
    if (chain) chain.push(event)
    else this.chains.set(shard, [event])
    this.#apply(event)
  }

  #apply({ shard, fact }: SlotEvent): void {
    if (fact.kind !== 'batch') return
    const actors = entryOf(this.#actors, shard, () => new Map<string, ActorFact>())
    const outbox = entryOf(this.#outbox, shard, () => new Set<string>())
    for (const actor of fact.actors) actors.set(actor.address, actor)
    for (const address of fact.removed) actors.delete(address)
    for (const { target, number } of fact.outbox) outbox.add(`${target}/${number}`)
    for (const row of fact.acknowledged) outbox.delete(row)
  }

  /** The journal lost its end: what it holds now is applied from the beginning. */
  #cut(shard: number, lastSlot: number): void {
    const chain = this.chains.get(shard) ?? []
    const left = chain.filter(({ slot }) => slot <= lastSlot)
    if (left.length === chain.length) return
    this.chains.set(shard, left)
    this.#actors.delete(shard)
    this.#outbox.delete(shard)
    for (const event of left) this.#apply(event)
  }
}

export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

/** A list is judged by many checkers: what it ends with is found once. */
const ENDS = new WeakMap<readonly SimEvent[], { length: number; mirror: Mirror }>()

/** The world as the journal has it when the list ends. */
export function finalMirror(events: readonly SimEvent[]): Mirror {
  const known = ENDS.get(events)
  if (known?.length === events.length) return known.mirror
  const mirror = new Mirror()
  for (const event of events) mirror.see(event)
  ENDS.set(events, { length: events.length, mirror })
  return mirror
}

/** The slots that are left at the end, by shard, in order: the truth that all else is held against. */
export function finalChains(events: readonly SimEvent[]): ReadonlyMap<number, SlotEvent[]> {
  return finalMirror(events).chains
}
