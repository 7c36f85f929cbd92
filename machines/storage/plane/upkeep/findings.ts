/**
 * What the units of a volume say of one shard each. Decides: what an answer, or none, means for the blob.
 * Leaves to others: asking.
 */
import { TroupeError } from '../../../../src/index.ts'
import { nothingIsThere, StorageRefusal } from '../codes/index.ts'

export type Finding =
  /** There, and not marked. */
  | { kind: 'whole'; size: number }
  /** It was there, and its blob is deleted. */
  | { kind: 'deleted' }
  /** Never written, or deleted for good. */
  | { kind: 'absent' }
  /** There, and not what was written. */
  | { kind: 'corrupt'; why: string }
  /** Its disk or its chunk is: nothing comes from there any more. */
  | { kind: 'gone'; why: string }
  /** Nobody answers, or not now. */
  | { kind: 'away'; why: string }

const BID_NOT_FOUND = 651
const MARKED_DELETED = 654
/** What a blobnode answers when the bytes do not fit their checksum. */
const CHECKSUM_WRONG = 658

/** @throws what is no answer, and no silence */
export function findingOf(thrown: unknown): Finding {
  if (!(thrown instanceof TroupeError)) throw thrown
  const why = thrown.message
  const status = thrown instanceof StorageRefusal ? thrown.status : undefined
  if (status === BID_NOT_FOUND) return { kind: 'absent' }
  if (status === MARKED_DELETED) return { kind: 'deleted' }
  if (status === CHECKSUM_WRONG) return { kind: 'corrupt', why }
  return { kind: nothingIsThere(thrown) ? 'gone' : 'away', why }
}

/** The size that most whole shards have: all shards of a blob have the same one. */
export function commonSize(findings: readonly Finding[]): number | undefined {
  const counts = new Map<number, number>()
  for (const finding of findings) {
    if (finding.kind !== 'whole') continue
    counts.set(finding.size, (counts.get(finding.size) ?? 0) + 1)
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0]
}
