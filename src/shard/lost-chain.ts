/**
 * What a journal lost at its end, put together from what its members kept.
 *
 * Decides: which records follow the end that is left, and which of several ends is right. A chain may
 * come from several members: a store that began with a checkpoint has nothing from before it. Leaves to
 * others: asking the members (cluster/tails.ts), writing the chain again (taking.ts).
 */
import { hashBytes } from '../protocol/index.ts'
import { epochSlotOf, type RecordHead } from './slot-records.ts'
import { recordOf, type TailRow } from './tail.ts'

/** What one member kept, and the newest slot that its store has applied. */
export interface Kept {
  applied: number
  rows: Iterable<TailRow>
}

export interface JournalEnd {
  slot: number
  /** Of the record there. */
  hash: string
  serverId: string
}

interface Link {
  row: TailRow
  record: RecordHead
  hash: string
  before: Link | undefined
}

/**
 * Of all chains that join the end the one with the highest (epoch, slot): who claimed last had
 * everything before its claim. Of two that are equal the one that was kept by the first.
 */
export function lostChain(members: readonly Kept[], end: JournalEnd): TailRow[] {
  const rows = rowsBySlot(members, end)
  let best: Link | undefined
  let links = linksTo(undefined, end.hash, rows.get(end.slot + 1) ?? [])
  for (let slot = end.slot + 1; links.length > 0; slot++) {
    for (const link of links) if (!best || isHigher(link, best)) best = link
    const next = rows.get(slot + 1) ?? []
    links = links.flatMap((link) => linksTo(link, link.hash, next))
  }
  const chain: TailRow[] = []
  for (let link = best; link; link = link.before) chain.push(link.row)
  return chain.reverse()
}

/** Different records only; of the first slot those only that may be lost. */
function rowsBySlot(members: readonly Kept[], end: JournalEnd): Map<number, TailRow[]> {
  const bySlot = new Map<number, TailRow[]>()
  for (const { applied, rows } of members) {
    for (const row of rows) {
      // Asked for when the journal was shorter, they may begin before its present end.
      if (row.slot <= end.slot) continue
      if (row.slot === end.slot + 1 && !mayBeLost(row, applied, end)) continue
      const known = bySlot.get(row.slot)
      if (!known) bySlot.set(row.slot, [row])
      else if (known.every(({ bytes }) => Buffer.compare(bytes, row.bytes) !== 0)) known.push(row)
    }
  }
  return bySlot
}

/** What was sent to the present copy of the stream only was never acknowledged by it: not lost. */
function mayBeLost(row: TailRow, applied: number, end: JournalEnd): boolean {
  return applied > end.slot || recordOf(row)?.serverId !== end.serverId
}

function linksTo(before: Link | undefined, hash: string, rows: readonly TailRow[]): Link[] {
  return rows.flatMap((row) => {
    const record = recordOf(row)
    return record?.prev === hash ? [{ row, record, hash: hashBytes(row.bytes), before }] : []
  })
}

function isHigher(one: Link, other: Link): boolean {
  const epoch = epochSlotOf(one.row.slot, one.record)
  const otherEpoch = epochSlotOf(other.row.slot, other.record)
  return epoch > otherEpoch || (epoch === otherEpoch && one.row.slot > other.row.slot)
}
