/**
 * The rows of tasks and their publication. Decides: the form of a task row, and that a message id is
 * never used twice (a queue swallows repeats).
 */
import type { Effect } from '../machine/index.ts'
import { pack, TroupeError, unpack } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { taskKey } from './keys.ts'
import type { Head, TaskEntry } from './records.ts'

/** @throws TroupeError when the input cannot be stored */
export function newTask(
  shard: ShardContext,
  head: Head,
  effect: Effect & { kind: 'task' },
  effectId: string,
  now: number,
): TaskEntry {
  const source = head.logic.kind === 'chart' ? head.logic.chart.sources.get(effect.src) : undefined
  if (source?.kind !== 'task') throw new TroupeError('conflict', `${effect.src} is not a task`)
  const { task } = source
  const bytes = pack(effect.input).length
  if (bytes > shard.limits.payloadBytesMax) {
    throw new TroupeError(
      'too-large',
      `the input of task ${task.name} has ${bytes} bytes; the limit is ${shard.limits.payloadBytesMax} (payloadBytesMax)`,
    )
  }
  const { queue, priority, onWorkerLost } = task
  return {
    effectId,
    childId: effect.childId,
    src: effect.src,
    name: task.name,
    queue: (typeof queue === 'function' ? queue(effect.input) : queue) ?? 'default',
    priority: (typeof priority === 'function' ? priority(effect.input) : priority) ?? 0,
    input: effect.input,
    attempt: 0,
    token: '',
    worker: '',
    since: now,
    state: 'queued',
    notBefore: 0,
    lastFailure: '',
    leaseMs: task.leaseMs ?? shard.limits.leaseMs,
    onWorkerLost:
      (typeof onWorkerLost === 'function' ? onWorkerLost(effect.input) : onWorkerLost) ?? 'rerun',
  }
}

/** What recovery needs without reading the actor. */
export function writeTaskRow(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  batch.write(
    taskKey(shard.shard, task.effectId),
    pack([task.state === 'queued' ? 1 : 0, task.queue, task.priority, task.attempt]),
  )
}

export interface TaskRow {
  queued: boolean
  queue: string
  priority: number
  attempt: number
}

export function decodeTaskRow(bytes: Uint8Array): TaskRow {
  const [queued, queue, priority, attempt] = unpack(bytes) as [number, string, number, number]
  return { queued: queued === 1, queue, priority, attempt }
}

export function publishTask(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  const { effectId, queue, priority, attempt } = task
  batch.releases.push({
    kind: 'publish-task',
    message: {
      queue,
      priority,
      taskId: effectId,
      messageId: messageIdOf(shard, effectId, attempt),
    },
  })
}

/** A random last part stands for the publication: no count survives a takeover. */
export function messageIdOf(
  { random }: Pick<ShardContext, 'random'>,
  effectId: string,
  attempt: number,
): string {
  return `${effectId}:${attempt}:${random.id()}`
}
