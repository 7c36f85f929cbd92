/**
 * Reading and writing one slot with certainty: an unknown outcome is asked again until it is known.
 *
 * Decides: what a writer of slot n may conclude. Leaves to others: what is
 * written, and what being fenced means.
 */
import type { Clock, Journal, JournalEndOutcome } from '../ports/index.ts'

export type KnownEnd = Extract<JournalEndOutcome, { kind: 'known' }>

export type SlotWriteOutcome =
  | { kind: 'written'; sequence: number }
  /** The slot holds somebody else's record, for ever. */
  | { kind: 'fenced'; record: Uint8Array }

/** Between two tries of the same bytes. */
const AGAIN_FIRST_MS = 5
const AGAIN_MAX_MS = 1_000

export class SlotReader {
  readonly #shard: number
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #cancels = new Set<() => void>()
  #stopped = false

  constructor(shard: number, journal: Journal, clock: Clock) {
    this.#shard = shard
    this.#journal = journal
    this.#clock = clock
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#cancels) cancel()
  }

  end(done: (end: KnownEnd) => void, tries = 0): void {
    this.#journal.end(this.#shard, (outcome) => {
      if (this.#stopped) return
      if (outcome.kind === 'known') done(outcome)
      else this.#again(tries, () => this.end(done, tries + 1))
    })
  }

  /** The record of a slot, or undefined when the slot is empty. */
  read(
    slot: number,
    done: (found: { record: Uint8Array; sequence: number } | undefined) => void,
    tries = 0,
  ): void {
    this.#journal.read(this.#shard, slot, (outcome) => {
      if (this.#stopped) return
      if (outcome.kind === 'unknown') this.#again(tries, () => this.read(slot, done, tries + 1))
      else done(outcome.kind === 'found' ? outcome : undefined)
    })
  }

  /** Reads `from..to` in order; stops with undefined at a slot that is missing. */
  readAll(
    from: number,
    to: number,
    done: (records: Uint8Array[] | undefined) => void,
    read: Uint8Array[] = [],
  ): void {
    if (from > to) return done(read)
    this.read(from, (found) => {
      if (!found) return done(undefined)
      read.push(found.record)
      this.readAll(from + 1, to, done, read)
    })
  }

  /**
   * Writes until it is certain whose record the slot holds. The same bytes are sent every time: an
   * earlier try may still land, and then it is ours.
   */
  write(
    slot: number,
    record: Uint8Array,
    afterSequence: number,
    done: (outcome: SlotWriteOutcome) => void,
    tries = 0,
  ): void {
    const again = () =>
      this.#again(tries, () => this.write(slot, record, afterSequence, done, tries + 1))
    this.#journal.write({ shard: this.#shard, slot, record, afterSequence }, (outcome) => {
      if (this.#stopped) return
      if (outcome.kind === 'written') return done(outcome)
      if (outcome.kind === 'unknown') return again()
      this.read(slot, (found) => {
        if (!found) return again()
        const ours = Buffer.compare(found.record, record) === 0
        done(
          ours
            ? { kind: 'written', sequence: found.sequence }
            : { kind: 'fenced', record: found.record },
        )
      })
    })
  }

  #again(tries: number, call: () => void): void {
    const waitMs = Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** Math.min(tries, 10))
    const cancel = this.#clock.after(waitMs, () => {
      this.#cancels.delete(cancel)
      if (!this.#stopped) call()
    })
    this.#cancels.add(cancel)
  }
}
