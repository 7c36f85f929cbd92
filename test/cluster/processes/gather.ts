/**
 * The records of all processes, and what is read back from the journals, as one list of events of the form
 * that the simulator's checkers judge.
 *
 * Decides: the order, and which slots there were. Records of all processes have one clock, and each was made
 * before what it tells of left its process, or was heard in it: so causes stand before their effects. A slot
 * stands where the last write of it began before anybody saw it: whoever follows it has seen it, and
 * whatever was refused, or never landed, is not told of. A journal that lost its end begins a new *period*:
 * slots beyond it are told of again once they are seen again. Leaves to others: what is right (checkers of
 * the simulator), what befell whom (checked.ts).
 */

import type { SlotRecord } from '../../../src/shard/slot-records.ts'
import type { Happening, SimEvent, Violation } from '../../simulation/events.ts'
import { entryOf, Mirror } from '../../simulation/mirror.ts'
import { SlotFacts } from '../../simulation/slot-facts.ts'
import type { JournalEnd, SlotRead } from './journal-reader.ts'
import type { Recorded } from './recorded.ts'

export interface Gathering {
  /** Of all processes, in any order. */
  recorded: readonly Recorded[]
  /** What stands in the journals now. */
  slots: readonly SlotRead[]
  /** When journals were found to be shorter than before, and where they ended. */
  losses: readonly Loss[]
  /** Is told of each slot in the order of the list. */
  see?: (shard: number, slot: number, record: SlotRecord) => void
}

export interface Loss {
  at: number
  ends: readonly JournalEnd[]
}

/** One message of a journal. */
interface Message {
  shard: number
  slot: number
  sequence: number
  hash: string
}

interface Placed extends Message {
  at: number
  node: string
}

type Line = Recorded | { kind: 'message'; at: number; message: Placed }

export function gather({ recorded, slots, losses, see }: Gathering): SimEvent[] {
  const records = [...recorded].sort((a, b) => a.at - b.at)
  const bytesOf = bytesByHash(records, slots)
  const placed = new Placing(records, losses).place(slots)
  const lost = losses.flatMap(({ at, ends }) =>
    ends.map((end): Line => ({ kind: 'slots-lost', ...end, at })),
  )
  const lines = [
    ...lost,
    ...placed.map((message): Line => ({ kind: 'message', at: message.at, message })),
  ]
  const inOrder = [...lines, ...records].sort((a, b) => a.at - b.at)
  const list = new List(see)
  for (const line of inOrder) {
    if (line.kind === 'message') list.slot(line.message, bytesOf.get(line.message.hash)!)
    else list.add(line)
  }
  return list.events
}

function bytesByHash(records: readonly Recorded[], slots: readonly SlotRead[]) {
  const bytes = new Map<string, Buffer>(slots.map((slot) => [slot.hash, slot.bytes]))
  for (const event of records) {
    if (event.kind !== 'write-began' || event.record === '' || bytes.has(event.hash)) continue
    bytes.set(event.hash, Buffer.from(event.record, 'base64'))
  }
  return bytes
}

/** Finds out of every message that was ever seen when its write began, and who began it. */
class Placing {
  readonly #records: readonly Recorded[]
  readonly #losses: readonly Loss[]
  /** By slot and hash, in the order of time. */
  readonly #attempts = new Map<string, { at: number; node: string }[]>()
  readonly #placed: Placed[] = []
  /** By shard, the messages of the present period by their sequences. */
  readonly #present = new Map<number, Map<string, Message>>()

  constructor(records: readonly Recorded[], losses: readonly Loss[]) {
    this.#records = records
    this.#losses = losses
    for (const event of records) {
      if (event.kind !== 'write-began') continue
      const { at, node } = event
      entryOf(this.#attempts, nameOf(event), () => []).push({ at, node })
    }
  }

  place(slots: readonly SlotRead[]): Placed[] {
    const losses = [...this.#losses]
    let periodAt = Number.NEGATIVE_INFINITY
    for (const event of this.#records) {
      for (; losses[0] && losses[0].at <= event.at; losses.shift()) {
        periodAt = losses[0].at
        this.#lose(losses[0].ends)
      }
      if (event.kind === 'slot-seen') this.#see(event, event.at, periodAt)
    }
    for (const { at, ends } of losses) {
      periodAt = at
      this.#lose(ends)
    }
    for (const slot of slots) this.#see(slot, Number.POSITIVE_INFINITY, periodAt)
    return this.#placed
  }

  /** What is tried in vain at first, and then again, is there by its last try before it is seen. */
  #see(message: Message, seenAt: number, periodAt: number): void {
    const present = entryOf(this.#present, message.shard, () => new Map<string, Message>())
    const name = `${message.sequence} ${nameOf(message)}`
    if (present.has(name)) return
    present.set(name, message)
    const attempts = this.#attempts.get(nameOf(message)) ?? []
    const last = attempts.findLast(({ at }) => at <= seenAt)
    const { shard, slot, sequence, hash } = message
    const at = Math.max(last?.at ?? periodAt, periodAt)
    this.#placed.push({ shard, slot, sequence, hash, at, node: last?.node ?? 'nobody' })
  }

  #lose(ends: readonly JournalEnd[]): void {
    for (const { shard, lastSlot } of ends) {
      const present = this.#present.get(shard)
      for (const [name, { slot }] of present ?? []) if (slot > lastSlot) present!.delete(name)
    }
  }
}

function nameOf({ shard, slot, hash }: { shard: number; slot: number; hash: string }): string {
  return `${shard} ${slot} ${hash}`
}

class List {
  readonly events: SimEvent[] = []
  readonly #facts = new SlotFacts()
  readonly #mirror = new Mirror()
  readonly #see: NonNullable<Gathering['see']>
  /** Callers and nodes tell of the same reads; when they began, their callers know. */
  readonly #reads = new Set<string>()
  /** By shard, the slots of checkpoints. */
  readonly #checkpoints = new Map<number, Set<number>>()

  constructor(see: Gathering['see'] = () => {}) {
    this.#see = see
  }

  add(event: Recorded): void {
    const { at } = event
    switch (event.kind) {
      case 'write-began':
        return
      case 'slot-seen': {
        const { node, shard, slot } = event
        return this.#push({ kind: 'slot-known', node, shard, slot }, at)
      }
      case 'checkpoints-removed':
        return this.#checkpointsGone(event.shard, event.below, at)
      case 'read-began':
        if (this.#reads.has(event.id)) return
        this.#reads.add(event.id)
        return this.#push(event, at)
      case 'checkpoint':
        entryOf(this.#checkpoints, event.shard, () => new Set()).add(event.slot)
        return this.#push(event, at)
      case 'slots-lost':
        this.#push(event, at)
        return this.#facts.rewind(this.#mirror.all())
      default:
        this.#push(event, at)
    }
  }

  slot({ shard, slot, sequence, node, at }: Placed, bytes: Buffer): void {
    const { hash, prev, record, fact } = this.#facts.of(bytes)
    this.#see(shard, slot, record)
    this.#push({ kind: 'slot', node, shard, slot, sequence, hash, prev, fact }, at)
  }

  #checkpointsGone(shard: number, below: number, at: number): void {
    const known = this.#checkpoints.get(shard) ?? new Set<number>()
    for (const slot of known) {
      if (slot >= below) continue
      known.delete(slot)
      this.#push({ kind: 'checkpoint-gone', shard, slot, why: 'removed' }, at)
    }
  }

  #push(happening: Happening, at: number): void {
    const event = { ...happening, seq: this.events.length, at } as SimEvent
    this.events.push(event)
    this.#mirror.see(event)
  }
}

/**
 * What is wrong between the list and what was read back: a slot that was seen, was not removed and is gone,
 * though nobody has taken it away.
 */
export function journalsKeepAll(
  events: readonly SimEvent[],
  slots: readonly SlotRead[],
): Violation[] {
  const there = new Set(slots.map((slot) => nameOf(slot)))
  const removed = new Map<number, number>()
  for (const event of events) {
    if (event.kind === 'slots-removed') {
      removed.set(event.shard, Math.max(removed.get(event.shard) ?? 0, event.to))
    }
  }
  const mirror = new Mirror()
  for (const event of events) mirror.see(event)
  const found: Violation[] = []
  for (const [shard, chain] of mirror.chains) {
    for (const { slot, hash, seq } of chain) {
      if (slot <= (removed.get(shard) ?? 0) || there.has(nameOf({ shard, slot, hash }))) continue
      const what = `slot ${slot} of shard ${shard} was seen, and the journal does not have it`
      found.push({ checker: 'journals-keep-all', what, seq, shard })
    }
  }
  return found
}
