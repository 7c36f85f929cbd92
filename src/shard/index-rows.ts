/**
 * The rows that lists and counts are answered from. Decides: when they change: with the position,
 * the condition or an indexed field, and then in the same commit.
 */
import type { IndexValue } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { clipIndexValue, clipState, fieldPrefix, fieldSuffix, stateIndexKey } from './index-keys.ts'
import { EMPTY } from './keys.ts'
import { conditionOf, type Head, type IndexedAs } from './records.ts'

/** Brings the index rows to what the head says now. */
export function updateIndexRows(shard: ShardContext, batch: Batch, head: Head): void {
  const was = head.indexed
  const now: IndexedAs = {
    condition: conditionOf(head),
    stateText: head.stateText,
    since: head.since,
    index: head.index,
  }
  const moved = !was || was.condition !== now.condition || was.stateText !== now.stateText
  if (moved || was.since !== now.since) {
    if (was) batch.write(stateRow(shard, head, was), null)
    batch.write(stateRow(shard, head, now), EMPTY)
  }
  if (moved) {
    if (was) batch.count(counterName(head, was), -1)
    batch.count(counterName(head, now), 1)
  }
  if (now.index !== was?.index) updateFields(shard, batch, head, was?.index, now.index)
  head.indexed = now
}

export function removeIndexRows(shard: ShardContext, batch: Batch, head: Head): void {
  const was = head.indexed
  if (!was) return
  batch.write(stateRow(shard, head, was), null)
  batch.count(counterName(head, was), -1)
  updateFields(shard, batch, head, was.index, {})
  head.indexed = undefined
}

function counterName(head: Head, as: IndexedAs) {
  return { machine: head.kindName, condition: as.condition, state: clipState(as.stateText) }
}

function stateRow(shard: ShardContext, head: Head, as: IndexedAs): Buffer {
  const { condition, stateText, since } = as
  return stateIndexKey(shard.shard, head.kindName, condition, stateText, since, head.address)
}

function updateFields(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  was: Readonly<Record<string, IndexValue>> | undefined,
  now: Readonly<Record<string, IndexValue>>,
): void {
  const fieldRow = (field: string, value: IndexValue) =>
    Buffer.concat([
      fieldPrefix(shard.shard, head.kindName, field),
      fieldSuffix(value, head.address),
    ])
  for (const [field, value] of Object.entries(was ?? {})) {
    if (!sameRow(now[field], value)) batch.write(fieldRow(field, value), null)
  }
  for (const [field, value] of Object.entries(now)) {
    if (!sameRow(was?.[field], value)) batch.write(fieldRow(field, value), EMPTY)
  }
}

/** What was stored may be cut; no row tells the difference. */
function sameRow(a: IndexValue | undefined, b: IndexValue): boolean {
  return a !== undefined && clipIndexValue(a) === clipIndexValue(b)
}
