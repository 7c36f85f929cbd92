/**
 * The life of every actor as the journal tells it: history is linear without gaps; a paused actor
 * makes no turn until it is resumed; nobody dies silently (P9); nobody is migrated twice; a birth
 * and a turn stand for one thing only.
 */
import type { ActorFact, HistoryEntry, SimEvent, SlotEvent, Violation } from '../events.ts'
import { finalChains } from '../mirror.ts'

/** What operators do to an actor that is paused. */
const CONTROL = new Set(['pause', 'resume', 'patch', 'cancel', 'delete'])
/** What takes an actor away. */
const ENDS = new Set(['delete', 'cancel'])

export function historyIsLinear(events: readonly SimEvent[]): Violation[] {
  return overActors(events, 'history', function* ({ last, actor }) {
    if (!last) {
      const [first] = actor.entries
      if (first && first.turn !== 1) yield `its history begins with turn ${first.turn}`
      return
    }
    // A migration may have given its state another name.
    const isSame = last.version === actor.version
    let before: HistoryEntry | undefined = isSame ? last.entries.at(-1) : undefined
    let turn = last.turn
    for (const entry of actor.entries) {
      if (entry.turn !== turn + 1) yield `turn ${entry.turn} follows turn ${turn}`
      if (before && entry.from !== before.to) {
        yield `turn ${entry.turn} begins in ${entry.from}, the one before ended in ${before.to}`
      }
      if (before && entry.at < before.at) yield `turn ${entry.turn} is older than the one before`
      before = entry
      turn = entry.turn
    }
    if (turn !== actor.turn) yield `it is at turn ${actor.turn}, its history ends at ${turn}`
  })
}

export function pausedStandsStill(events: readonly SimEvent[]): Violation[] {
  return overActors(events, 'paused', function* ({ last, actor }) {
    if (!last?.paused) return
    for (const { cause, turn } of actor.entries) {
      if (cause === 'resume' || cause === 'cancel') return
      if (!CONTROL.has(cause) && !cause.startsWith('parked by')) {
        yield `it made turn ${turn} (${cause}) while it was paused`
      }
    }
  })
}

/** A resume that asks for nothing more leaves what runs as it is: no task begins anew. */
export function resumeGoesOn(events: readonly SimEvent[]): Violation[] {
  return overActors(events, 'resume', function* ({ last, actor }) {
    const [entry, ...more] = actor.entries
    const isPlain = entry?.cause === 'resume' && entry.note === null && more.length === 0
    if (!last?.paused || last.parked !== null || !isPlain) return
    const left = new Set(actor.tasks.map(({ taskId }) => taskId))
    for (const { taskId, state } of last.tasks) {
      if (!left.has(taskId) && state !== 'result-kept') yield `its resume ended task ${taskId}`
    }
  })
}

export function migratedOnce(events: readonly SimEvent[]): Violation[] {
  return overActors(events, 'migrated', function* ({ actor }) {
    const migrated = (actor.context?.['migrated'] as number | undefined) ?? 0
    if (migrated > 1) yield `it was migrated ${migrated} times`
  })
}

/** P9: whoever is gone was deleted or cancelled, was a child that ended, or its time was over. */
export function nobodyDiesSilently(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const deleted = new Set<string>()
  for (const event of events) {
    if (event.kind === 'sent' && ENDS.has(event.op)) deleted.add(event.address)
  }
  for (const [shard, chain] of finalChains(events)) {
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const address of fact.removed) {
        const isChild = address.split('/').length > 2
        if (isChild || deleted.has(address)) continue
        const what = `${address} is gone, and nobody deleted it`
        found.push({ checker: 'nobody-dies', what, seq, shard, address })
      }
    }
  }
  return found
}

/** The ids of effects are never used twice: births and turns make them, so those must be new. */
export function birthsAreNew(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  for (const [shard, chain] of finalChains(events)) {
    const births = new Map<string, string>()
    const gone = new Set<string>()
    for (const { fact, seq } of chain) {
      if (fact.kind !== 'batch') continue
      for (const address of fact.removed) gone.add(`${address} ${births.get(address)}`)
      for (const { address, birth } of fact.actors) {
        const before = births.get(address)
        if (before !== undefined && before !== birth) gone.add(`${address} ${before}`)
        if (gone.has(`${address} ${birth}`)) {
          const what = `${address} was made again with the birth ${birth} of one that is gone`
          found.push({ checker: 'births', what, seq, shard, address })
        }
        births.set(address, birth)
      }
    }
  }
  return found
}

interface Step {
  last: ActorFact | undefined
  actor: ActorFact
}

/** Every change of every actor, in the order of the journal. */
function overActors(
  events: readonly SimEvent[],
  checker: string,
  judge: (step: Step) => Iterable<string>,
): Violation[] {
  const found: Violation[] = []
  for (const [shard, chain] of finalChains(events)) {
    const actors = new Map<string, ActorFact>()
    for (const event of chain) {
      const { fact, seq } = event as SlotEvent
      if (fact.kind !== 'batch') continue
      for (const address of fact.removed) actors.delete(address)
      for (const actor of fact.actors) {
        const known = actors.get(actor.address)
        const last = known?.birth === actor.birth ? known : undefined
        for (const wrong of judge({ last, actor })) {
          const what = `${actor.address}: ${wrong}`
          found.push({ checker, what, seq, shard, address: actor.address })
        }
        // The newest entry is kept for the next step, also when this one told none.
        const older = last?.version === actor.version ? last.entries : []
        const entries = actor.entries.length > 0 ? actor.entries : older
        actors.set(actor.address, { ...actor, entries })
      }
    }
  }
  return found
}
