/**
 * The streams behind `MemoryJournal`: what a JetStream server would hold.
 *
 * Decides: the two conditions of a write, and no other (the slot does
 * not exist, and the stream ends at the expected sequence), and what a server can lose: everything
 * that it has not synced, upon which its id changes.
 * Leaves to others: how answers travel (journal.ts).
 */
import type { JournalEndOutcome, JournalReadOutcome, JournalWrite } from '../../ports/index.ts'
import { copyOf } from './bytes.ts'

interface Entry {
  record: Uint8Array
  sequence: number
}

interface Stream {
  /** In the order of their sequences. */
  slots: Map<number, Entry>
  lastSequence: number
  syncedSequence: number
  generation: number
}

export class MemoryJournalServer {
  private readonly streams = new Map<number, Stream>()
  private readonly syncEveryWrite: boolean

  constructor(options: { syncEveryWrite?: boolean } = {}) {
    this.syncEveryWrite = options.syncEveryWrite ?? false
  }

  /** The sequence of the new slot, or undefined when a condition did not hold. */
  write({ shard, slot, record, afterSequence }: JournalWrite): number | undefined {
    const stream = this.stream(shard)
    if (stream.slots.has(slot) || stream.lastSequence !== afterSequence) return undefined
    stream.lastSequence++
    stream.slots.set(slot, { record: copyOf(record), sequence: stream.lastSequence })
    if (this.syncEveryWrite) stream.syncedSequence = stream.lastSequence
    return stream.lastSequence
  }

  read(shard: number, slot: number): JournalReadOutcome {
    const entry = this.stream(shard).slots.get(slot)
    if (entry === undefined) return { kind: 'empty' }
    return { kind: 'found', record: copyOf(entry.record), sequence: entry.sequence }
  }

  end(shard: number): JournalEndOutcome {
    const stream = this.stream(shard)
    const slots = [...stream.slots.keys()]
    return {
      kind: 'known',
      firstSlot: slots[0] ?? 0,
      lastSlot: slots.at(-1) ?? 0,
      lastSequence: stream.lastSequence,
      serverId: `memory-${shard}-${stream.generation}`,
    }
  }

  remove(shard: number, slot: number): void {
    const { slots } = this.stream(shard)
    for (const existing of slots.keys()) {
      if (existing <= slot) slots.delete(existing)
    }
  }

  /** What is there now survives `loseUnsynced`. */
  sync(shard?: number): void {
    for (const stream of this.selected(shard)) stream.syncedSequence = stream.lastSequence
  }

  /** The server's machine dies: what was acknowledged but not synced is gone. */
  loseUnsynced(shard?: number): void {
    for (const stream of this.selected(shard)) truncate(stream, stream.syncedSequence)
  }

  /** Loses the last `count` slots of a stream, synced or not. */
  loseLast(shard: number, count: number): void {
    const stream = this.stream(shard)
    truncate(stream, Math.max(0, stream.lastSequence - count))
  }

  /** Loses a whole stream. */
  wipe(shard: number): void {
    truncate(this.stream(shard), 0)
  }

  /** The slots that exist, for judges in tests. */
  slots(shard: number): { slot: number; sequence: number; record: Uint8Array }[] {
    return [...this.stream(shard).slots].map(([slot, { record, sequence }]) => ({
      slot,
      sequence,
      record: copyOf(record),
    }))
  }

  private selected(shard: number | undefined): Iterable<Stream> {
    return shard === undefined ? this.streams.values() : [this.stream(shard)]
  }

  private stream(shard: number): Stream {
    let stream = this.streams.get(shard)
    if (stream === undefined) {
      stream = { slots: new Map(), lastSequence: 0, syncedSequence: 0, generation: 1 }
      this.streams.set(shard, stream)
    }
    return stream
  }
}

function truncate(stream: Stream, sequence: number): void {
  for (const [slot, entry] of stream.slots) {
    if (entry.sequence > sequence) stream.slots.delete(slot)
  }
  stream.lastSequence = sequence
  stream.syncedSequence = Math.min(stream.syncedSequence, sequence)
  stream.generation++
}
