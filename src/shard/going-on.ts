/**
 * What a worker goes on with. Who reports that a task is done may say that it has room (`next`): then what the
 * actor wants next of the same task and queue begins in that very commit, without a message in the queue, a
 * question of the worker and a commit of its own.
 *
 * Decides: which task that is, and that it begins as any other does, or waits in its queue as any other. Leaves
 * to others: whether it may begin (task-starts.ts), and whether a worker has room that nobody waits for (intake.ts).
 */
import type { Command } from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { startAttempt } from './task-starts.ts'

type Done = Extract<Command, { op: 'task.done' }>

/** @param deliver steps what the end sends: another actor may have to give leave, as a pool does */
export function endAndGoOn(
  shard: ShardContext,
  batch: Batch,
  command: Done,
  end: () => Answer,
  deliver: () => void,
): Answer {
  const { address, taskId, next: worker } = command
  const ended = shard.heads.get(address)?.tasks.find(({ effectId }) => effectId === taskId)
  const releasesBefore = batch.releases.length
  const answer = end()
  if (worker === undefined || ended === undefined || 'error' in answer) return answer
  deliver()
  const head = shard.heads.get(address)
  // Of one that was there before a message is on its way: whoever takes that has it.
  const published = batch.publicationsFrom(releasesBefore)
  const task = head?.tasks.find(
    ({ effectId, state, name, queue }) =>
      state === 'queued' && name === ended.name && queue === ended.queue && published.has(effectId),
  )
  const publication = task && published.get(task.effectId)
  if (!head || !task || !publication || !batch.mayStep(shard.limits)) return answer
  const begin = { op: 'task.start', address, taskId: task.effectId, worker } as const
  const started = startAttempt(shard, batch, head, task, begin)
  if ('error' in started) return answer
  batch.takeBack(publication)
  return started
}
