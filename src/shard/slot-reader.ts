/**
 * Reading and writing one slot with certainty: an unknown outcome is asked again until it is known.
 *
 * Decides: what a writer of slot n may conclude. Leaves to others: what is
 * written, and what being fenced means.
 *
 * It relies on an adapter that answers `unknown` to the first write of a shard on a new connection:
 * then the end is read before anything is sent again, which is all that the connection rule asks.
 */
import type { Clock, Journal, JournalEndOutcome } from '../ports/index.ts'
import { Retries } from './retries.ts'

export type KnownEnd = Extract<JournalEndOutcome, { kind: 'known' }>

export interface SlotWrite {
  slot: number
  record: Uint8Array
  /** Where the stream ended when the writer looked, and in which copy of it. */
  after: { sequence: number; serverId: string }
}

export type SlotWriteOutcome =
  | { kind: 'written'; sequence: number }
  /** The slot holds somebody else's record, for ever. */
  | { kind: 'fenced'; record: Uint8Array }
  /** The stream may have lost its end, or was cleared of this slot: whether it held the record is unknown. */
  | { kind: 'reset'; why: string }

/** Between two tries of the same bytes. */
const AGAIN = { firstMs: 5, maxMs: 1_000 }
/** Slots read at once when many are wanted. */
const READS_MAX = 128
/** And so many at first, whatever was read before: of the largest records, of a MiB each, a page of bytes. */
const READS_FIRST = 8
/** Who is so near to the end of the journal reads up to it without waiting for a turn, and all at once. */
export const NEAR_SLOTS = 64
/** With each record that arrives two more are read at once: those that arrive tell how large the next may be. */
const READS_MORE = 2

/**
 * Bytes of records that one shard holds in memory before they are in the store. As many as a page of slots has
 * under load; with 64 shards that are all taken at once, and nothing but the largest records, half a GiB. Where
 * large records come behind many small ones, those that are on their way by then come on top of it.
 */
export const READ_BYTES_MAX = 8 * 1024 * 1024

export interface SlotRange {
  from: number
  to: number
  bytesMax: number
}

export class SlotReader {
  readonly #shard: number
  readonly #journal: Journal
  readonly #retries: Retries
  /** Bytes of a record by what was read last, rather too many; 0 while that is not known. */
  #usual = 0

  constructor(shard: number, journal: Journal, clock: Clock) {
    this.#shard = shard
    this.#journal = journal
    this.#retries = new Retries(clock, AGAIN)
  }

  /** From now on nobody is told anything. */
  stop(): void {
    this.#retries.stop()
  }

  end(done: (end: KnownEnd) => void, tries = 0): void {
    this.#journal.end(this.#shard, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'known') done(outcome)
      else this.#retries.again(tries, () => this.end(done, tries + 1))
    })
  }

  /** The record of a slot, or undefined when the slot is empty. */
  read(
    slot: number,
    done: (found: { record: Uint8Array; sequence: number } | undefined) => void,
    tries = 0,
  ): void {
    this.#journal.read(this.#shard, slot, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'unknown')
        this.#retries.again(tries, () => this.read(slot, done, tries + 1))
      else done(outcome.kind === 'found' ? outcome : undefined)
    })
  }

  /**
   * Reads from `from` on, many at once, up to `to` or until no more fit in `bytesMax`, but one at least;
   * undefined when one of them is missing. What is on its way is judged by the size of those before, and it
   * is little at first: records may have grown since.
   */
  readAll(
    { from, to, bytesMax }: SlotRange,
    done: (records: Uint8Array[] | undefined) => void,
  ): void {
    const records: Uint8Array[] = []
    let next = from
    let underWay = 0
    let arrived = 0
    let bytes = 0
    let ended = false
    const mayRead = () => {
      if (next > to) return false
      if (underWay >= Math.min(READS_MAX, READS_FIRST + READS_MORE * arrived)) return false
      if (underWay + arrived === 0) return true
      return bytes + (underWay + 1) * this.#usual <= bytesMax
    }
    const readNext = () => {
      while (mayRead()) {
        const at = next - from
        next += 1
        underWay += 1
        this.read(from + at, (found) => {
          if (ended) return
          if (!found) return end(undefined)
          records[at] = found.record
          underWay -= 1
          arrived += 1
          bytes += found.record.length
          this.#usual = Math.max(found.record.length, this.#usual / 2)
          readNext()
        })
      }
      if (underWay === 0 && !ended) end(records)
    }
    const end = (read: Uint8Array[] | undefined) => {
      ended = true
      done(read)
    }
    readNext()
  }

  /**
   * The newest record as the last of those that are told, none when it is not there. Of few slots from `from` on
   * all, so that none is asked for twice.
   */
  newest(from: number, { lastSlot: to }: KnownEnd, done: (records: Uint8Array[]) => void): void {
    const one = () => this.read(to, (found) => done(found ? [found.record] : []))
    if (from >= to || to - from >= NEAR_SLOTS) return one()
    this.readAll({ from, to, bytesMax: READ_BYTES_MAX }, (records) => {
      if (records?.length === to - from + 1) done(records)
      else one()
    })
  }

  /** Writes until it is certain whose record the slot holds, if that can be known at all. */
  write(write: SlotWrite, done: (outcome: SlotWriteOutcome) => void, tries = 0): void {
    const { slot, record, after } = write
    const request = { shard: this.#shard, slot, record, afterSequence: after.sequence }
    this.#journal.write(request, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'written') done(outcome)
      else this.#judge(write, done, tries)
    })
  }

  /** Refused or unknown: the end first, then the slot; an earlier try of ours may have landed. */
  #judge(write: SlotWrite, done: (outcome: SlotWriteOutcome) => void, tries: number): void {
    const { slot, record, after } = write
    this.end((end) => {
      if (end.serverId !== after.serverId) {
        return done({ kind: 'reset', why: 'the journal may have lost its end' })
      }
      this.read(slot, (found) => {
        if (found) return done(outcomeOf(found, record))
        if (end.lastSequence > after.sequence) {
          return done({ kind: 'reset', why: `slot ${slot} has come and gone` })
        }
        if (end.lastSequence < after.sequence) {
          return done({ kind: 'reset', why: 'the journal has lost its end' })
        }
        // The same bytes every time: an earlier try may still land, and then it is ours.
        this.#retries.again(tries, () => this.write(write, done, tries + 1))
      })
    })
  }
}

function outcomeOf(
  found: { record: Uint8Array; sequence: number },
  record: Uint8Array,
): SlotWriteOutcome {
  const ours = Buffer.compare(found.record, record) === 0
  return ours
    ? { kind: 'written', sequence: found.sequence }
    : { kind: 'fenced', record: found.record }
}
