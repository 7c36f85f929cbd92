/**
 * The replicated log of a shard: numbered slots, each written once.
 *
 * Decides: the outcomes a writer can be told. `unknown` is not a failure: the write may have
 * happened, may still happen, or never will; the only safe reaction is to send the same bytes again.
 */
export interface Journal {
  /**
   * Creates slot `slot` if it does not exist and the last message of the stream is `afterSequence`.
   * The outcome comes by callback, once, never before the call returns. On a new connection every write
   * of a shard is `unknown` until its end was read there: much may have happened in between.
   */
  write(request: JournalWrite, done: (outcome: JournalWriteOutcome) => void): void
  /** Reads one slot through the leader of the stream. */
  read(shard: number, slot: number, done: (outcome: JournalReadOutcome) => void): void
  /** The state of the stream, through its leader. */
  end(shard: number, done: (outcome: JournalEndOutcome) => void): void
  /** Removes slots up to and including `slot`; the caller has proved that nobody needs them. */
  remove(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void
}

export interface JournalWrite {
  shard: number
  slot: number
  /** Its bytes must not change any more: what is unknown may still be sent. */
  record: Uint8Array
  /** The stream's sequence of slot `slot - 1`; 0 for an empty stream. */
  afterSequence: number
}

export type JournalWriteOutcome =
  | { kind: 'written'; sequence: number }
  /** The slot or the end of the stream was not as expected: read before judging. */
  | { kind: 'refused' }
  | { kind: 'unknown'; why: string }

export type JournalReadOutcome =
  | { kind: 'found'; record: Uint8Array; sequence: number }
  | { kind: 'empty' }
  | { kind: 'unknown'; why: string }

export type JournalEndOutcome =
  | {
      kind: 'known'
      /** The first and last slots that exist; both 0 when there are none. */
      firstSlot: number
      lastSlot: number
      lastSequence: number
      /** Identifies the server's copy of the stream; it changes when the stream may have lost its end. */
      serverId: string
    }
  | { kind: 'unknown'; why: string }
