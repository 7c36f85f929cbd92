/** The shards of one chunk, in the order of their bids. Decides: that the next page is fetched while one is read. */
import { LIST_COUNT_MAX, type ShardInfo } from '../../plane/blobnode/index.ts'
import type { Unit } from './move-task.ts'
import type { ChunkCalls } from './ports.ts'
import { type TryDeps, tried } from './tried.ts'

export interface ListDeps extends TryDeps {
  chunks: Pick<ChunkCalls, 'listShards'>
  io: 'migrate' | 'repair'
}

/** Marked ones among them. @throws as the blobnode answers, or nobody does */
export async function* shardsOf(
  unit: Unit,
  deps: ListDeps,
): AsyncGenerator<readonly ShardInfo[], void, undefined> {
  const { chunks, io, signal } = deps
  const page = (from: bigint) => {
    const fetched = tried(deps, () =>
      chunks.listShards(unit, { from, status: 0, count: LIST_COUNT_MAX }, { io, signal }),
    )
    // Whoever stops reading leaves it behind.
    fetched.catch(() => undefined)
    return fetched
  }
  let coming = page(0n)
  for (;;) {
    const { shards, next } = await coming
    if (next !== 0n) coming = page(next)
    yield shards
    if (next === 0n) return
  }
}
