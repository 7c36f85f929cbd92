/**
 * What the answer of a unit means for the blob. Decides: by the blobnode's refusal, or its silence. Leaves
 * to others: what follows when several answers are laid side by side (`read-plan.ts`, `quorum.ts`).
 */
import { nothingIsThere, StorageRefusal } from '../codes/index.ts'

/** Why a unit does not give a shard, or take one. */
export type UnitFailure =
  /** It never had the shard, or has deleted it for good. */
  | 'none'
  /** The shard is marked as deleted. */
  | 'deleted'
  /** The bytes are not those that were written. */
  | 'damaged'
  /** Its disk or its chunk is gone: nothing will come from there. */
  | 'broken'
  /** Nobody answers, or not now. */
  | 'unreachable'

const BID_NOT_FOUND = 651
/** Marked, or deleted and still remembered. */
const MARKED_DELETED = 654
/** It has another size than the blob's. */
const RANGE_WRONG = 655
const CHECKSUM_WRONG = 658

export function unitFailureOf(thrown: unknown): UnitFailure {
  if (!(thrown instanceof StorageRefusal)) return 'unreachable'
  switch (thrown.status) {
    case BID_NOT_FOUND:
      return 'none'
    case MARKED_DELETED:
      return 'deleted'
    case RANGE_WRONG:
    case CHECKSUM_WRONG:
      return 'damaged'
    default:
      return nothingIsThere(thrown) ? 'broken' : 'unreachable'
  }
}

export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
