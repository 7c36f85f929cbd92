/**
 * P5: timers are never lost, never early, never doubled. An `ARM`ed timer stands in its actor's record
 * until its `RING` is a turn; nothing else ends it but the end of its actor.
 */
import type { ActorFact, SimEvent, SlotEvent, TimerFact, Violation } from '../events.ts'
import { finalChains } from '../mirror.ts'

export function timersOnceAndOnTime(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const [shard, chain] of finalChains(events)) {
    for (const violation of judge(shard, chain)) found.push(violation)
  }
  return found
}

function* judge(shard: number, chain: readonly SlotEvent[]): Generator<Violation> {
  const before = new Map<string, ActorFact>()
  const gone = new Set<string>()
  for (const { fact, seq } of chain) {
    if (fact.kind !== 'batch') continue
    for (const actor of fact.actors) {
      const { address } = actor
      const last = before.get(address)
      const fail = (what: string) => ({ checker: 'timers', what, seq, shard, address })
      for (const { effectId } of actor.timers) {
        if (gone.has(effectId)) yield fail(`timer ${effectId} of ${address} came back`)
      }
      const ended = last && last.birth === actor.birth ? endedBetween(last, actor) : []
      for (const { effectId } of ended) gone.add(effectId)
      for (const what of early(actor, ended, fact.now)) yield fail(what)
      const what = uneven(actor, ended, last)
      if (what !== undefined) yield fail(what)
      before.set(address, actor)
    }
    for (const address of fact.removed) before.delete(address)
  }
}

function endedBetween(last: ActorFact, actor: ActorFact): TimerFact[] {
  const left = new Set(actor.timers.map(({ effectId }) => effectId))
  return last.timers.filter(({ effectId, kind }) => kind === 'event' && !left.has(effectId))
}

/** A frozen timer has its time again only when it is thawed. */
function* early(actor: ActorFact, ended: readonly TimerFact[], now: number): Generator<string> {
  const rings = actor.entries.filter(({ by }) => by === 'timer')
  for (const { effectId, dueAt, type, frozenMs } of ended) {
    const fired = rings.some(({ cause }) => cause === type)
    // With several of one type in one batch it is not said which was which.
    if (!fired || frozenMs !== null || ended.filter((one) => one.type === type).length > 1) continue
    if (dueAt > now) yield `timer ${effectId} of ${actor.address} fired ${dueAt - now} ms early`
  }
}

/** As many rings as armed timers that ended, while the actor lives on. */
function uneven(
  actor: ActorFact,
  ended: readonly TimerFact[],
  last: ActorFact | undefined,
): string | undefined {
  if (!last || actor.status !== 'active' || actor.birth !== last.birth) return undefined
  // It may have ended and been resumed within one batch: that ends timers, too.
  if (actor.entries.some(({ cause }) => cause === 'cancel')) return undefined
  // Armed and fired within one batch: no record shows it.
  const armedHere = actor.entries.filter(({ cause }) => cause === 'ARM').length
  const listed = actor.timers.filter(
    ({ effectId, type }) =>
      type === 'RING' && !last.timers.some((one) => one.effectId === effectId),
  ).length
  const rang = actor.entries.filter(({ cause, by }) => cause === 'RING' && by === 'timer').length
  const lost = ended.filter(({ type }) => type === 'RING').length + armedHere - listed - rang
  if (lost === 0) return undefined
  if (lost < 0) return `${-lost} timers of ${actor.address} took effect without having been set`
  return `${lost} timers of ${actor.address} are gone and took no effect`
}
