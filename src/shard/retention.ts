/**
 * What goes away by itself: audit rows and dead letters past their time, and what removed actors left.
 * Decides: that they go a few at a time, and that nobody looks for trails with every batch.
 */
import { type Batch, ROW_BYTES } from './batch.ts'
import type { ShardContext } from './context.ts'
import { sequencedBound, TABLE, tableRange } from './keys.ts'

const LOOK_EVERY_MS = 10 * 60_000
const REMOVED_PER_LOOK_MAX = 500

export class Retention {
  readonly #shard: ShardContext
  #lookAt = 0

  constructor(shard: ShardContext) {
    this.#shard = shard
  }

  sweep(batch: Batch): void {
    this.#shard.leftovers.step(batch)
    this.#sweepTrails(batch)
  }

  #sweepTrails(batch: Batch): void {
    if (batch.now < this.#lookAt) return
    const { shard, limits } = this.#shard
    const before = Math.max(0, batch.now - limits.auditRetentionMs)
    let removed = 0
    for (const table of [TABLE.audit, TABLE.deadLetter] as const) {
      const { from } = tableRange(shard, table)
      const to = sequencedBound(shard, table, before)
      for (const { key } of this.#shard.store.range({ from, to, limit: REMOVED_PER_LOOK_MAX })) {
        if (batch.roomLeft(limits) < key.length + ROW_BYTES) return
        batch.write(key, null)
        removed += 1
      }
    }
    // More of them are left: the next batch goes on.
    if (removed < REMOVED_PER_LOOK_MAX) this.#lookAt = batch.now + LOOK_EVERY_MS
  }
}
