/**
 * Taking an actor away with everything that belongs to it. Decides: what that is; command ids are
 * remembered for their window all the same, and a new birth keeps effect ids apart.
 */
import { childOf } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import { stopLive } from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { historyRows, removeHistory } from './history.ts'
import { removeIndexRows } from './index-rows.ts'
import { actorKey, drainingKey, keptKey, taskKey, timerKey } from './keys.ts'
import type { ChildEntry, Head, TaskEntry } from './records.ts'

export function removeActor(shard: ShardContext, batch: Batch, head: Head): void {
  removeBelongings(shard, batch, head)
  removeNumbered(shard, batch, head)
  removeIndexRows(shard, batch, head)
  batch.write(actorKey(shard.shard, head.address), null)
  batch.removed.add(head.address)
  batch.dirty.delete(head)
  shard.heads.removeForGood(head.address)
  // Whoever watches has no other way to hear of it.
  if (shard.announces)
    batch.releases.push({ kind: 'removed', address: head.address, turn: head.turn })
}

/** What only a living actor has: timers, tasks and children. */
export function removeBelongings(shard: ShardContext, batch: Batch, head: Head): void {
  for (const timer of head.timers) {
    if (timer.frozenMs !== null) continue
    batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  }
  for (const task of head.tasks) removeTaskRow(shard, batch, task)
  for (const child of head.children) {
    if (!child.done) removeChild(shard, batch, head, child)
  }
}

/** Kept events and history: there may be more of them than a batch can hold. */
function removeNumbered(shard: ShardContext, batch: Batch, head: Head): void {
  const kept = head.keptTo - head.keptFrom
  if (kept > 0) batch.write(drainingKey(shard.shard, head.address), null)
  if (shard.leftovers.mustTake(head, kept + historyRows(shard, head), batch)) {
    shard.leftovers.take(batch, head)
    return
  }
  removeKept(shard, batch, head)
  removeHistory(shard, batch, head)
}

function removeKept(shard: ShardContext, batch: Batch, head: Head): void {
  for (let n = head.keptFrom; n < head.keptTo; n++) {
    batch.write(keptKey(shard.shard, head.address, n), null)
  }
}

/** Stops a child that is not a task, with everything below it. */
export function removeChild(
  shard: ShardContext,
  batch: Batch,
  parent: Head,
  child: ChildEntry,
): void {
  if (child.kind === 'task') return
  if (child.kind === 'live') {
    stopLive(shard, batch, child.effectId)
    return
  }
  const head = shard.heads.get(childOf(parent.address, child.childId, shard.limits))
  if (head) removeActor(shard, batch, head)
}

/** The worker that runs it is told; one that misses it learns by its next heartbeat. */
export function removeTaskRow(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  batch.write(taskKey(shard.shard, task.effectId), null)
  shard.leases.forget(task.effectId)
  if (task.state === 'running') {
    batch.releases.push({ kind: 'cancel-task', worker: task.worker, taskId: task.effectId })
  }
}
