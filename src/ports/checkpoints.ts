/**
 * Checkpoints of shards, where every node finds them: chunks of bytes, and one record for each shard
 * and slot.
 *
 * Decides: that a record is created once, whoever tries, and that `unknown` may have happened: to ask
 * again is always safe. Leaves to others: what stands in chunks and records, and which are needed.
 * Outcomes come by callback, once, never before the call returns.
 */
import type { ClaimOutcome } from './registry.ts'

export interface Checkpoints {
  /** Stores a chunk; the same bytes again change nothing. */
  write(chunk: ChunkName, bytes: Uint8Array, done: (outcome: 'written' | 'unknown') => void): void
  read(chunk: ChunkName, done: (outcome: ChunkReadOutcome) => void): void
  /** Creates the record of a checkpoint if nobody ever did. */
  record(
    shard: number,
    slot: number,
    value: Uint8Array,
    done: (outcome: ClaimOutcome) => void,
  ): void
  /** The records of a shard, the lowest slot first. It may be what was true a moment ago. */
  list(shard: number, done: (outcome: CheckpointListOutcome) => void): void
  /** Removes the chunks of an attempt that nobody will record. */
  discard(attempt: AttemptName, done: (outcome: 'removed' | 'unknown') => void): void
  /** Removes all records, then all chunks of slots below `slot`, recorded or not. */
  removeBelow(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void
}

/** Two who write a checkpoint of the same slot do not meet: each has an `attempt` of its own. */
export interface AttemptName {
  shard: number
  slot: number
  attempt: string
}

export interface ChunkName extends AttemptName {
  index: number
}

export type ChunkReadOutcome =
  | { kind: 'found'; bytes: Uint8Array }
  | { kind: 'absent' }
  | { kind: 'unknown'; why: string }

export interface CheckpointRecord {
  slot: number
  value: Uint8Array
}

export type CheckpointListOutcome =
  | { kind: 'listed'; records: CheckpointRecord[] }
  | { kind: 'unknown'; why: string }
