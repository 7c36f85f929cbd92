/**
 * How a batch becomes durable. Decides: what the engine may assume of a commit path. There are two:
 * embedded (embedded-commit.ts) and journaled (journaled-commit.ts); the engine knows neither.
 */
import type { StoreWrite } from '../ports/index.ts'
import type { Durability } from '../protocol/index.ts'
import type { Epoch } from './slot-records.ts'

export interface CommitPath {
  /** What is true of a batch when `committed` is told. */
  readonly durability: Durability
  readonly journaled: boolean
  /** By which claim it owns the shard; only of a journal. */
  readonly epoch?: Epoch | undefined
  /**
   * Makes this engine the owner of the shard. Nothing may be read as true before `taken`.
   * @param claimed told at most once, before: nobody else is the owner any more
   */
  take(done: (outcome: TakeOutcome) => void, claimed?: () => void): void
  /** One at a time. The outcome comes once; until then it is unknown, and nothing may be released. */
  commit(request: CommitRequest, done: (outcome: CommitOutcome) => void): void
  /** Confirms that this engine is still the owner: for a batch that only read. */
  confirm(done: (outcome: CommitOutcome) => void): void
  /**
   * Why the rows of the store are known to be another owner's by now, who may have changed them since
   * they were read; undefined when they are not, as far as anybody can say without asking.
   */
  whyLost(): string | undefined
  /** Lets go in good order: says in the journal to whom. Nothing is committed after it. */
  release(to: string, done: (outcome: CommitOutcome) => void): void
  stop(): void
}

export interface CommitRequest {
  slot: number
  writes: readonly StoreWrite[]
  /**
   * Told at most once, before `committed`: the batch has happened, whatever comes, but the store does not
   * show it yet. Replies may leave then; nothing may be read or stepped.
   */
  certain?: () => void
}

export type TakeOutcome =
  /** The slot that the first batch gets. The store shows everything before it. */
  { kind: 'taken'; nextSlot: number } | Lost | { kind: 'failed'; why: string }

export interface Lost {
  kind: 'lost'
  why: string
  unknown?: true
  /** Nobody else has it yet: the journal may have lost its end, and whoever owned it takes it again. */
  reset?: true
}

/** `unknown`: the batch may have happened, so nobody may be told that it did not. */
export type CommitOutcome =
  | { kind: 'committed' }
  /** This engine is no longer the owner: unless `unknown`, nothing of the batch happened or will. */
  | Lost
  /** The disk refused: the process must end, since memory and disk no longer agree. */
  | { kind: 'failed'; why: string; unknown?: true }
