/**
 * The two kinds of upkeep, by the names that the reference and its switches have for them. Decides: which
 * machine and which counters each has, and in which states its messages are.
 */
import { formatAddress } from '../../../../src/index.ts'

export const UPKEEP_KINDS = ['shard_repair', 'blob_delete'] as const
export type UpkeepKind = (typeof UPKEEP_KINDS)[number]

interface KindFacts {
  machine: 'shard-repair' | 'blob-delete'
  /** A node is at it, or will be. */
  working: readonly string[]
  /** The same for one that failed before: it has places of its own. */
  retrying: readonly string[]
  /** Failed at least once: it is tried again by itself, and may be replayed. */
  failed: readonly string[]
}

export const KINDS: Readonly<Record<UpkeepKind, KindFacts>> = {
  shard_repair: {
    machine: 'shard-repair',
    working: ['repairing'],
    retrying: ['retrying'],
    failed: ['waiting', 'punished', 'orphan'],
  },
  blob_delete: {
    machine: 'blob-delete',
    working: ['marking', 'deleting'],
    retrying: ['retrying'],
    failed: ['waiting', 'punished', 'postponed'],
  },
}

/** Of what is held, the field that it is found and put in order by: one for what failed before, one for the others. */
export const HELD_FIELDS = { first: 'held', again: 'heldAgain' } as const

/** For the index of a message. */
export function heldIndex(
  { isHeld, tries }: { isHeld: boolean; tries: number },
  rank: number,
): Record<string, number> {
  return isHeld ? { [tries > 0 ? HELD_FIELDS.again : HELD_FIELDS.first]: rank } : {}
}

export function countersAddress(kind: UpkeepKind): string {
  return formatAddress('upkeep-counters', kind)
}
