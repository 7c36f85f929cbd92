/**
 * What a blobnode says of a chunk that cannot be used although its disk works. Decides: by which refusals. Such a
 * chunk takes no shard, and gives none, until it is released. Leaves to others: what is done about it.
 */
import { StorageRefusal } from '../codes/index.ts'

/** There is no such chunk, or it is released already. */
export const GONE: ReadonlySet<number> = new Set([621, 623])
/** Its file cannot be read, or is another chunk's. */
export const DAMAGED: ReadonlySet<number> = new Set([624, 658])

/** @param thrown by a call of the chunk as a whole: of a single shard 658 says less */
export function isUnusable(thrown: unknown): boolean {
  if (!(thrown instanceof StorageRefusal)) return false
  return GONE.has(thrown.status) || DAMAGED.has(thrown.status)
}
