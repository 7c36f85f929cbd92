/**
 * P1: a shard has one writer. Slots come one after the other, each once and each naming the one
 * before; only the owner of the newest claim writes, and an older claim never writes after a newer.
 */
import type { SimEvent, SlotEvent, Violation } from '../events.ts'
import { entryOf } from '../mirror.ts'

const GENESIS = '0'.repeat(16)

interface Line {
  slots: SlotEvent[]
  /** The claim under which the last slot was written. */
  claim: SlotEvent | undefined
}

type Owns = Extract<SimEvent, { kind: 'owns' }>

export function oneWriter(events: readonly SimEvent[]): Violation[] {
  const found: Violation[] = []
  const lines = new Map<number, Line>()
  /** Of the directory, where there is no journal. */
  let owner: Owns | undefined
  for (const event of events) {
    if (event.kind === 'owns') owner = event
    if (event.kind === 'slots-lost') lose(lines, event.shard, event.lastSlot)
    if (event.kind !== 'slot') continue
    const { shard, seq } = event
    const line = entryOf(lines, shard, (): Line => ({ slots: [], claim: undefined }))
    for (const what of wrongs(line, event, owner))
      found.push({ checker: 'one-writer', what, seq, shard })
    line.slots.push(event)
    if (event.fact.kind === 'claim') line.claim = event
    // The directory is a member's: nobody owns it any more who has no claim.
    if (event.fact.kind === 'founded') owner = undefined
  }
  return found
}

function* wrongs(
  { slots, claim }: Line,
  event: SlotEvent,
  owner: Owns | undefined,
): Generator<string> {
  const { slot, prev, node, fact } = event
  const last = slots.at(-1)
  const expected = (last?.slot ?? 0) + 1
  if (slot !== expected) yield `${node} wrote slot ${slot}, the next one was ${expected}`
  if (prev !== (last?.hash ?? GENESIS)) {
    yield `slot ${slot} by ${node} does not name the record before it`
  }
  if (fact.kind === 'claim' || fact.kind === 'founded') return
  if (owner) {
    if (fact.epoch.claimId === owner.ownerId) return
    yield `${node} wrote slot ${slot} into the directory that ${owner.node} owns`
    return
  }
  if (claim?.fact.kind !== 'claim') {
    yield `${node} wrote slot ${slot} without a claim before it`
    return
  }
  const { epoch } = fact
  if (epoch.slot !== claim.slot || epoch.claimId !== claim.fact.claimId) {
    yield `${node} wrote slot ${slot} by its claim of slot ${epoch.slot}; ${claim.fact.node} has claimed slot ${claim.slot} since`
  }
}

function lose(lines: Map<number, Line>, shard: number, lastSlot: number): void {
  const line = lines.get(shard)
  if (!line) return
  const slots = line.slots.filter(({ slot }) => slot <= lastSlot)
  lines.set(shard, { slots, claim: slots.findLast(({ fact }) => fact.kind === 'claim') })
}
