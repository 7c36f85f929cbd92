/**
 * A page of the shards of a chunk, each looked at where it lies. Decides: that a page ends where it has taken
 * long enough, so that no caller gives it up, and that each shard takes a slot of its own, so that clients come
 * between. Leaves to others: whether a shard is what was written (`disk-files`).
 */
import type { Clock } from '../../../../src/index.ts'
import { StorageRefusal } from '../codes/index.ts'
import type { ShardInfo } from './disk-store.ts'
import type { IoKind } from './io-kinds.ts'
import type { ServedDisk } from './served-disk.ts'

export interface VerifiedPage {
  shards: ShardInfo[]
  corrupt: bigint[]
  /** 0 at the end. */
  next: bigint
}

/** A fifth of the time that callers wait for an answer. */
const PAGE_MS_MAX = 2_000
const BID_NOT_FOUND = 651
const MARKED_DELETED = 654

/** @throws StorageRefusal as a list does, and 673 where too many wait already */
export async function verifiedPage(
  disk: ServedDisk,
  { vuid, from, count }: { vuid: bigint; from: bigint; count: number },
  caller: { kind: IoKind; isGone: () => boolean },
  clock: Clock,
): Promise<VerifiedPage> {
  const endMs = clock.monotonic() + PAGE_MS_MAX
  const listed = await disk.store().listShards(vuid, { from, status: 0, count })
  const page: VerifiedPage = { shards: [], corrupt: [], next: listed.next }
  for (const shard of listed.shards) {
    if (page.shards.length > 0 && clock.monotonic() > endMs) return { ...page, next: shard.bid }
    const found = shard.flag === 2 ? 'marked' : await look(disk, shard, caller)
    if (found === 'gone') continue
    page.shards.push(found === 'marked' ? { ...shard, flag: 2 } : shard)
    if (found === 'corrupt') page.corrupt.push(shard.bid)
  }
  return page
}

async function look(
  disk: ServedDisk,
  { vuid, bid }: ShardInfo,
  { kind, isGone }: { kind: IoKind; isGone: () => boolean },
): Promise<'right' | 'corrupt' | 'marked' | 'gone'> {
  const free = await disk.slots.take(kind, isGone)
  try {
    const isRight = await disk.store().verifyShard(vuid, bid)
    disk.counters.verified += 1
    if (isRight) return 'right'
    disk.counters.corrupt += 1
    return 'corrupt'
  } catch (thrown) {
    // It was deleted behind the list.
    const status = thrown instanceof StorageRefusal ? thrown.status : undefined
    if (status === BID_NOT_FOUND) return 'gone'
    if (status === MARKED_DELETED) return 'marked'
    throw thrown
  } finally {
    free()
  }
}
