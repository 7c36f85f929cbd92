/**
 * Callbacks: what one sends counts only while its actor has it; and when all is at rest, the owner of
 * each shard runs exactly those that its actors have.
 */
import type { SimEvent, Violation } from '../events.ts'
import { finalChains, finalMirror } from '../mirror.ts'

export function callbacksAreTheirActors(events: readonly SimEvent[]): Violation[] {
  return [...heard(events), ...running(events)]
}

function* heard(events: readonly SimEvent[]): Generator<Violation> {
  for (const [shard, chain] of finalChains(events)) {
    const lives = new Map<string, readonly string[]>()
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const { address, entries, context, lives: now } of fact.actors) {
        const known = [...(lives.get(address) ?? []), ...now]
        lives.set(address, now)
        const by = context['live']
        if (!entries.some(({ cause }) => cause === 'PULSE') || known.includes(String(by))) continue
        const what = `${address} took an event of the callback ${String(by)}, which it no longer has`
        yield { checker: 'callbacks', what, seq, shard, address }
      }
    }
  }
}

interface Running {
  node: string
  shard: number
}

function* running(events: readonly SimEvent[]): Generator<Violation> {
  /** By shard, who serves it. */
  const owners = new Map<number, string>()
  /** By `node effectId`. */
  const running = new Map<string, Running>()
  /** `node shard slot` of releases, and `node shard` of what was let go by one that its writer knows of. */
  const releases = new Map<string, string>()
  const letGo = new Set<string>()
  /** By `node shard`, the slot of the newest claim: who takes a shard again may still read its old release. */
  const claims = new Map<string, number>()
  for (const event of events) {
    if (event.kind === 'slot' && event.fact.kind === 'claim') {
      claims.set(`${event.node} ${event.shard}`, event.slot)
    } else if (event.kind === 'slot' && event.fact.kind === 'release') {
      const { node, shard, slot } = event
      releases.set(`${node} ${shard} ${slot}`, `${node} ${shard}`)
    } else if (event.kind === 'slot-known') {
      const place = releases.get(`${event.node} ${event.shard} ${event.slot}`)
      if (place !== undefined && event.slot > (claims.get(place) ?? 0)) letGo.add(place)
    } else if (event.kind === 'taken') {
      const { node, shard, seq } = event
      owners.set(shard, node)
      letGo.delete(`${node} ${shard}`)
      for (const [name, one] of running) {
        if (one.shard !== shard || !letGo.has(`${one.node} ${shard}`)) continue
        const what = `${name} still runs; ${one.node} has handed its shard over`
        yield { checker: 'callbacks', what, seq, shard }
      }
    } else if (event.kind === 'callback') {
      const { node, shard, effectId, how } = event
      const name = `${node} ${effectId}`
      if (how === 'begins') running.set(name, { node, shard })
      else running.delete(name)
    } else if (event.kind === 'node-down') {
      for (const [name, { node }] of running) if (node === event.node) running.delete(name)
    } else if (event.kind === 'drained') break
  }
  if (!events.some(({ kind }) => kind === 'drained')) return
  const isEmbedded = events.some(({ kind }) => kind === 'owns')
  const wanted = new Map<string, number>()
  const mirror = finalMirror(events)
  for (const shard of mirror.shards) {
    for (const { lives } of mirror.actors(shard).values()) {
      for (const effectId of lives) wanted.set(`${owners.get(shard)} ${effectId}`, shard)
    }
  }
  const seq = events.length - 1
  for (const [name, shard] of wanted) {
    if (running.has(name)) continue
    yield { checker: 'callbacks', what: `${name} does not run at the end`, seq, shard }
  }
  for (const [name, { node, shard }] of running) {
    // An older process on a directory finds out with its next commit, if there is one.
    if (wanted.has(name) || (isEmbedded && owners.get(shard) !== node)) continue
    yield {
      checker: 'callbacks',
      what: `${name} runs at the end, and no actor has it there`,
      seq,
      shard,
    }
  }
}
