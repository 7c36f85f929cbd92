/**
 * Lists and counts are true: what a shard answers is what its journal said at one moment between the
 * question and the answer, and nothing that was committed before the question is missing.
 *
 * Leaves out shards of which an owner cannot read an actor: its lists show that one as parked, and the
 * next owner's do until it has gone through its rows.
 */
import { lineOfRow } from '../asker.ts'
import type { ActorFact, QuestionFact, SimEvent, SlotEvent, Violation } from '../events.ts'
import { entryOf } from '../mirror.ts'

interface Shelf {
  slots: SlotEvent[]
  /** So many of them were committed: their writer knew of them, and had them on its disk. */
  committed: number
  /** As those left the actors. */
  actors: Map<string, ActorFact>
  /** The slots that `actors` has. */
  applied: number
  /** Of its present owner's node. */
  version: number
  /** An owner could not read all of it. */
  isForeign: boolean
}

/** A question under way, and the shard as it was when it was asked. */
interface Open {
  question: QuestionFact
  from: number
  actors: Map<string, ActorFact>
}

export function listsAreTrue(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const shelves = new Map<number, Shelf>()
  const open = new Map<string, Open & { shard: number }>()
  const shelfOf = (shard: number) =>
    entryOf(
      shelves,
      shard,
      (): Shelf => ({
        ...{ slots: [], committed: 0, actors: new Map(), applied: 0 },
        ...{ version: Number.POSITIVE_INFINITY, isForeign: false },
      }),
    )
  const marks = new Map<string, number>()
  const versions = new Map<string, number>()
  for (const event of events) {
    if (event.kind === 'node-up') versions.set(event.node, event.version)
    else if (event.kind === 'taken') {
      shelfOf(event.shard).version = versions.get(event.node) ?? Number.POSITIVE_INFINITY
    } else if (event.kind === 'slot') shelfOf(event.shard).slots.push(event)
    else if (event.kind === 'slot-known' || event.kind === 'flushed') {
      const name = `${event.node} ${event.shard} ${event.slot}`
      marks.set(name, (marks.get(name) ?? 0) | (event.kind === 'flushed' ? 1 : 2))
      if (marks.get(name) === 3) commit(shelfOf(event.shard), event.node, event.slot)
    } else if (event.kind === 'slots-lost') {
      cut(shelfOf(event.shard), event.lastSlot)
      for (const [id, { shard }] of open) if (shard === event.shard) open.delete(id)
    } else if (event.kind === 'asked') {
      const { shard, question, id } = event
      const shelf = shelfOf(shard)
      catchUp(shelf)
      open.set(id, { shard, question, from: shelf.applied, actors: new Map(shelf.actors) })
    } else if (event.kind === 'told') {
      const { id, lines, seq, shard } = event
      const asked = open.get(id)
      open.delete(id)
      if (!asked || isForeign(shelfOf(shard)) || wasEver(asked, shelfOf(shard).slots, lines))
        continue
      const what = `a ${asked.question.kind} of shard ${shard} (${id}) was answered [${lines.join('; ')}], which was never so while it was asked`
      found.push({ checker: 'lists-are-true', what, seq, shard })
    }
  }
  return found
}

/** What comes before a committed slot is committed as well. */
function commit(shelf: Shelf, node: string, slot: number): void {
  const at = shelf.slots.findLastIndex((one) => one.slot === slot && one.node === node)
  shelf.committed = Math.max(shelf.committed, at + 1)
}

function cut(shelf: Shelf, lastSlot: number): void {
  shelf.slots = shelf.slots.filter(({ slot }) => slot <= lastSlot)
  shelf.committed = Math.min(shelf.committed, shelf.slots.length)
  if (shelf.applied <= shelf.slots.length) return
  shelf.applied = 0
  shelf.actors.clear()
}

function catchUp(shelf: Shelf): void {
  for (; shelf.applied < shelf.committed; shelf.applied++) {
    apply(shelf.actors, shelf.slots[shelf.applied]!)
  }
}

function isForeign(shelf: Shelf): boolean {
  catchUp(shelf)
  shelf.isForeign ||= [...shelf.actors.values()].some(({ version }) => version > shelf.version)
  return shelf.isForeign
}

function apply(actors: Map<string, ActorFact>, { fact }: SlotEvent): void {
  if (fact.kind !== 'batch') return
  for (const actor of fact.actors) actors.set(actor.address, actor)
  for (const address of fact.removed) actors.delete(address)
}

function wasEver(
  { question, from, actors }: Open,
  slots: readonly SlotEvent[],
  lines: readonly string[],
): boolean {
  const told = textOf(question, lines)
  for (let at = from; ; at++) {
    if (textOf(question, expected(question, actors)) === told) return true
    const next = slots[at]
    if (!next) return false
    apply(actors, next)
  }
}

/** Who was born at the same instant may stand in either order. */
function textOf({ by }: QuestionFact, lines: readonly string[]): string {
  return (by === 'since' ? [...lines].sort() : lines).join('\n')
}

function expected(question: QuestionFact, actors: ReadonlyMap<string, ActorFact>): string[] {
  const { kind, machine, condition, children, descending, limit, after } = question
  const all = [...actors.values()].filter((actor) => {
    const [root, , child] = actor.address.split('/')
    if (child !== undefined && !children) return false
    if (machine !== null && root !== machine) return false
    return condition === null || conditionOf(actor) === condition
  })
  if (kind === 'count') return counted(all)
  const sign = descending ? -1 : 1
  const isAfter = ({ address }: ActorFact) =>
    after === null || (descending ? address < after : address > after)
  return all
    .filter(isAfter)
    .sort((a, b) => (a.address < b.address ? -sign : sign))
    .slice(0, limit)
    .map((actor) => lineOfRow({ ...actor, parked: actor.parked !== null } as never))
}

function counted(actors: readonly ActorFact[]): string[] {
  const counts = new Map<string, number>()
  for (const actor of actors) {
    const name = `${kindOf(actor)} ${conditionOf(actor)}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).sort()
}

/** Children are counted by what they are made of, which their ids begin with. */
function kindOf({ address }: ActorFact): string {
  const [root = '', , ...path] = address.split('/')
  return [root, ...path.map((id) => id.split('_')[0])].join('/')
}

function conditionOf({ status, parked, paused }: ActorFact): string {
  if (status !== 'active') return status
  if (parked !== null) return 'parked'
  return paused ? 'paused' : 'active'
}
