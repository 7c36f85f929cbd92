/**
 * The history of an actor. Decides: that the newest entries stand in the actor's own record and are
 * moved to a row of their own by the chunk: a row per transition would cost more than the transition
 * itself, because LMDB copies a page for every row that lies elsewhere.
 */
import { type HistoryView, pack, unpackAll } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { historyKey } from './keys.ts'
import type { Head } from './records.ts'

/**
 * Entries of one chunk. More than half of them is written again with every transition, to the journal and twice
 * to the disk; fewer cost a page of LMDB for every so many transitions.
 */
const CHUNK_COUNT = 4

/** So many of them as a chunk has stand in the actor's record, also in that of one that is nearly too large. */
const NOTE_CHARS_MAX = 1_000
const NAME_CHARS_MAX = 256

/** What brought a turn about. */
export interface Cause {
  type: string
  by: string
  commandId?: string
  note?: string
}

type Entry = [
  at: number,
  cause: string,
  by: string,
  commandId: string | null,
  from: string | null,
  to: string,
  note: string | null,
]

/** The fields of a record that hold the newest entries, after one more. */
export interface RecentHistory {
  /** Packed entries, one after the other. */
  recent: Uint8Array
  /** The turn of the first of them. */
  recentFrom: number
}

export function historyCount(shard: ShardContext, head: Head): number {
  return head.hosted.definition.retention.historyCount ?? shard.limits.historyCountMax
}

/** Adds an entry in memory; `flushHistory` writes what it pushed out. */
export function withEntry(
  shard: ShardContext,
  head: Head,
  turn: number,
  now: number,
  cause: Cause,
  from: string | null,
  to: string,
): RecentHistory {
  if (historyCount(shard, head) === 0) return { recent: NOTHING, recentFrom: turn + 1 }
  const entry: Entry = [
    now,
    cause.type.slice(0, NAME_CHARS_MAX),
    cause.by,
    cause.commandId ?? null,
    from,
    to,
    cause.note?.slice(0, NOTE_CHARS_MAX) ?? null,
  ]
  const packed = pack(entry)
  // A full chunk was written with its last entry; it leaves the record with the next.
  if (turn - head.recentFrom >= CHUNK_COUNT) return { recent: packed, recentFrom: turn }
  if (head.recent.length === 0) return { recent: packed, recentFrom: head.recentFrom }
  return { recent: Buffer.concat([head.recent, packed]), recentFrom: head.recentFrom }
}

/** Writes a chunk when it is full, and forgets the one that nobody may ask for any more. */
export function flushHistory(shard: ShardContext, batch: Batch, head: Head): void {
  if (chunkBytes(head) === 0) return
  batch.write(historyKey(shard.shard, head.address, head.recentFrom), head.recent)
  const oldest = head.recentFrom - chunksKept(shard, head) * CHUNK_COUNT
  if (oldest > 0) batch.write(historyKey(shard.shard, head.address, oldest), null)
}

/** What `flushHistory` is about to write. */
export function chunkBytes({ turn, recentFrom, recent }: Head): number {
  return turn - recentFrom + 1 === CHUNK_COUNT ? recent.length : 0
}

function chunksKept(shard: ShardContext, head: Head): number {
  return Math.ceil(historyCount(shard, head) / CHUNK_COUNT) + 1
}

/** At most so many rows hold it. */
export function historyRows(shard: ShardContext, head: Head): number {
  return Math.min(chunksKept(shard, head) + 1, Math.ceil(head.recentFrom / CHUNK_COUNT))
}

export function removeHistory(shard: ShardContext, batch: Batch, head: Head): void {
  let first = head.recentFrom
  for (let chunks = chunksKept(shard, head); chunks >= 0 && first > 0; chunks--) {
    batch.write(historyKey(shard.shard, head.address, first), null)
    first -= CHUNK_COUNT
  }
}

/** The newest first. */
export function historyOf(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  limit: number,
  beforeTurn: number,
): HistoryView[] {
  const views: HistoryView[] = []
  const oldest = Math.max(1, head.turn - historyCount(shard, head) + 1)
  const take = (bytes: Uint8Array, firstTurn: number) => {
    const entries = unpackAll(bytes) as Entry[]
    for (let at = entries.length - 1; at >= 0 && views.length < limit; at--) {
      const entry = entries[at]
      const turn = firstTurn + at
      if (entry && turn < beforeTurn && turn >= oldest) views.push(viewOf(turn, entry))
    }
  }
  let first = head.recentFrom
  if (head.recent.length > 0) take(head.recent, first)
  // Chunks stand as many turns apart as they have entries, not always from the first turn: it may have had no
  // history before.
  while (first > oldest && first > CHUNK_COUNT && views.length < limit) {
    first -= CHUNK_COUNT
    const key = historyKey(shard.shard, head.address, first)
    const bytes = batch.written(key) ?? shard.store.get(key)
    if (!bytes) break
    if (first < beforeTurn) take(bytes, first)
  }
  return views
}

function viewOf(turn: number, [at, cause, by, commandId, from, to, note]: Entry): HistoryView {
  const view: HistoryView = { turn, at, cause, by, from, to }
  if (commandId !== null) view.commandId = commandId
  if (note !== null) view.note = note
  return view
}

const NOTHING = new Uint8Array(0)
