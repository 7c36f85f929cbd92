/**
 * P2: nothing leaves a node before it is committed: the journal has acknowledged the slot to that very
 * node, and its own disk has flushed it; or it began with a checkpoint that has what the slot held.
 * Replies, messages to other shards and tasks alike.
 */
import type { SimEvent, SlotEvent, Violation } from '../events.ts'
import { entryOf } from '../mirror.ts'

interface Place {
  shard: number
  slot: number
}

export function commitBeforeEffect(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const known = new Set<string>()
  const flushed = new Set<string>()
  const lastSlots = new Map<number, number>()
  /** By node and shard, the slot of the newest checkpoint, or of the directory, that it began with. */
  const loaded = new Map<string, number>()
  /** They leave no trace in the journal. */
  const reads = new Set<string>()
  /** Where an effect was committed; after a loss the same id may stand in another slot. */
  const origins = new Map<string, Place[]>()
  const judge = (node: string, effect: string, seq: number) => {
    const places = origins.get(effect)
    const last = places?.at(-1)
    const fail = (what: string) => {
      const at = last === undefined ? {} : { shard: last.shard }
      found.push({ checker: 'commit-before-effect', what, seq, ...at })
    }
    if (!places || !last) return fail(`${node} let out ${effect}, which no slot holds`)
    const names = places.map(({ shard, slot }) => `${node} ${shard} ${slot}`)
    if (names.some((name) => known.has(name) && flushed.has(name))) return
    const hasLoaded = ({ shard, slot }: Place) => slot <= (loaded.get(`${node} ${shard}`) ?? 0)
    if (places.some(hasLoaded)) return
    const isKnown = names.some((name) => known.has(name))
    const what = isKnown ? `slot ${last.slot} was flushed` : `it knew of slot ${last.slot}`
    fail(`${node} let out ${effect} before ${what}`)
  }
  for (const event of events) {
    const { seq } = event
    if (event.kind === 'read-began') reads.add(event.id)
    else if (event.kind === 'slot') {
      remember(origins, event)
      lastSlots.set(event.shard, event.slot)
    }
    // Its own row was flushed behind all that older processes have written.
    else if (event.kind === 'owns') {
      for (const [shard, slot] of lastSlots) loaded.set(`${event.node} ${shard}`, slot)
    } else if (event.kind === 'slot-known') known.add(`${event.node} ${event.shard} ${event.slot}`)
    else if (event.kind === 'flushed') flushed.add(`${event.node} ${event.shard} ${event.slot}`)
    else if (event.kind === 'checkpoint-loaded') {
      loaded.set(`${event.node} ${event.shard}`, event.slot)
    } else if (event.kind === 'released' && event.code === 'ok') {
      const reply = `the reply to ${event.address} ${event.id}`
      if (!reads.has(event.id)) judge(event.node, reply, seq)
    } else if (event.kind === 'callback') {
      if (event.how === 'begins') judge(event.node, `callback ${event.effectId}`, seq)
    } else if (event.kind === 'task-published') judge(event.node, `task ${event.taskId}`, seq)
    else if (event.kind === 'relayed') {
      for (let n = event.first; n < event.first + event.count; n++)
        judge(event.node, `message ${event.shard}>${event.target}/${n}`, seq)
    }
  }
  return found
}

function remember(origins: Map<string, Place[]>, event: SlotEvent): void {
  const { shard, slot, fact } = event
  if (fact.kind !== 'batch') return
  const add = (effect: string) => {
    const places = entryOf(origins, effect, () => [])
    if (places.at(-1)?.slot !== slot) places.push({ shard, slot })
  }
  for (const name of fact.remembered) add(`the reply to ${name}`)
  for (const { target, number } of fact.outbox) add(`message ${shard}>${target}/${number}`)
  for (const { lives } of fact.actors) {
    for (const effectId of lives) add(`callback ${effectId}`)
  }
  for (const taskId of fact.tasks) add(`task ${taskId}`)
}
