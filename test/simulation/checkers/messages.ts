/**
 * P4: messages between actors arrive once and in order, and each is delivered or visibly dead: at the
 * end every outbox is empty, the receivers count what was sent, and none saw an older number.
 */
import type { ActorFact, SimEvent, SlotEvent, Violation } from '../events.ts'
import { entryOf, finalChains, finalMirror, type Mirror } from '../mirror.ts'

export function messagesOnceInOrder(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const [shard, chain] of finalChains(events)) {
    for (const violation of channels(shard, chain)) found.push(violation)
  }
  const isDrained = events.some(({ kind }) => kind === 'drained')
  if (isDrained) for (const violation of balance(events)) found.push(violation)
  return found
}

/** The numbers of a channel only rise, on both of its ends; what is heard is newer than before. */
function* channels(shard: number, chain: readonly SlotEvent[]): Generator<Violation> {
  const sent = new Map<number, number>()
  const heard = new Map<number, number>()
  const wrongs = new Map<string, number>()
  for (const { fact, slot, seq } of chain) {
    if (fact.kind !== 'batch') continue
    const fail = (what: string) => ({ checker: 'messages', what, seq, shard })
    for (const { target, number } of fact.outbox) {
      const last = sent.get(target) ?? 0
      if (number !== last + 1) {
        yield fail(`slot ${slot} sends message ${number} to shard ${target} after ${last}`)
      }
      sent.set(target, number)
    }
    for (const { source, last } of fact.inbound) {
      const before = heard.get(source) ?? 0
      if (last <= before) {
        yield fail(`slot ${slot} has stepped message ${last} of shard ${source} after ${before}`)
      }
      heard.set(source, last)
    }
    for (const { address, context } of fact.actors) {
      const wrong = wrongOf(context)
      if (wrong > (wrongs.get(address) ?? 0)) {
        yield { ...fail(`${address} was told a message twice or out of order`), address }
      }
      wrongs.set(address, wrong)
    }
  }
}

function wrongOf(context: ActorFact['context'] | undefined): number {
  return (context?.['wrong'] as number | undefined) ?? 0
}

/** What was sent is what was heard and what is dead, for each pair of actors. */
function* balance(events: readonly SimEvent[]): Generator<Violation> {
  const mirror = finalMirror(events)
  const dead = new Map<string, number>()
  for (const chain of mirror.chains.values()) {
    for (const { fact } of chain) {
      if (fact.kind !== 'batch') continue
      for (const { to, type } of fact.deadLetters) {
        if (type === 'TOLD') dead.set(to, (dead.get(to) ?? 0) + 1)
      }
    }
  }
  const { sent, isWhole } = sentOf(mirror)
  const seq = events.length - 1
  for (const actor of mirror.all()) {
    const { address } = actor
    const heard = (actor.context?.['heard'] as number | undefined) ?? 0
    const total = heard + (dead.get(address) ?? 0) + wrongOf(actor.context)
    const expected = sent.get(address) ?? 0
    if (!address.startsWith('flat/') || total === expected) continue
    if (total > expected && !isWhole) continue
    const what = `${expected} messages were sent to ${address}; ${heard} were heard and ${dead.get(address) ?? 0} are dead letters`
    yield { checker: 'messages', what, seq, address }
  }
  for (const { address, state, context } of mirror.all()) {
    const tally = state === 'counting' ? actorAt(mirror, `${address}/tally`) : undefined
    if (!tally || tally.context['n'] === context['poked']) continue
    const what = `${address} has sent ${context['poked']} events to its child, which has had ${tally.context['n']}`
    yield { checker: 'messages', what, seq, address }
  }
}

function actorAt(mirror: Mirror, address: string): ActorFact | undefined {
  for (const actor of mirror.all()) if (actor.address === address) return actor
  return undefined
}

/** By target, over all lives of all senders: also those that were deleted have sent. */
function sentOf(mirror: Mirror): { sent: ReadonlyMap<string, number>; isWhole: boolean } {
  const lives = new Map<string, Record<string, number>>()
  let isWhole = true
  for (const chain of mirror.chains.values()) {
    for (const { fact } of chain) {
      if (fact.kind !== 'batch') continue
      for (const { address, birth, context } of fact.actors) {
        lives.set(`${address} ${birth}`, (context['sent'] ?? {}) as Record<string, number>)
      }
      // What it has sent in this very batch is not shown.
      if (fact.removed.some((address) => address.split('/').length === 2)) isWhole = false
    }
  }
  const sent = new Map<string, number>()
  for (const counts of lives.values()) {
    for (const [to, count] of Object.entries(counts)) {
      sent.set(to, entryOf(sent, to, () => 0) + count)
    }
  }
  return { sent, isWhole }
}
