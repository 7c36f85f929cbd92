/**
 * Taking an actor away with everything that belongs to it. Decides: what that is; command ids are
 * remembered for their window all the same, and a new birth keeps effect ids apart.
 */
import { childOf } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { removeHistory } from './history.ts'
import { removeIndexRows } from './index-rows.ts'
import { actorKey, drainingKey, keptKey, liveKey, taskKey, timerKey } from './keys.ts'
import type { Head, TaskEntry } from './records.ts'

export function removeActor(shard: ShardContext, batch: Batch, head: Head): void {
  for (const timer of head.timers) {
    if (timer.frozenMs === null)
      batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  }
  for (const task of head.tasks) removeTaskRow(shard, batch, task)
  for (const child of head.children) {
    if (child.done) continue
    if (child.kind === 'live') {
      batch.write(liveKey(shard.shard, child.effectId), null)
      batch.releases.push({ kind: 'live-stop', effectId: child.effectId })
    } else if (child.kind !== 'task') {
      const below = shard.heads.get(childOf(head.address, child.childId, shard.limits))
      if (below) removeActor(shard, batch, below)
    }
  }
  for (let n = head.keptFrom; n < head.keptTo; n++)
    batch.write(keptKey(shard.shard, head.address, n), null)
  if (head.keptFrom < head.keptTo) batch.write(drainingKey(shard.shard, head.address), null)
  removeHistory(shard, batch, head)
  removeIndexRows(shard, batch, head)
  batch.write(actorKey(shard.shard, head.address), null)
  batch.removed.add(head.address)
  batch.dirty.delete(head)
  shard.heads.removeForGood(head.address)
}

/** The worker that runs it is told; one that misses it learns by its next heartbeat. */
export function removeTaskRow(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  batch.write(taskKey(shard.shard, task.effectId), null)
  shard.leases.forget(task.effectId)
  if (task.state === 'running') {
    batch.releases.push({ kind: 'cancel-task', worker: task.worker, taskId: task.effectId })
  }
}
