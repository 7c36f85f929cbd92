/**
 * The rows of tasks and their publication. Decides: the form of a task row, that a message carries the
 * ticket that was committed with its task, and that a message id is never used twice (a queue swallows
 * repeats).
 */
import type { AnyTask, Effect, WorkerLostPolicy } from '../machine/index.ts'
import { pack, TroupeError, unpack } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { taskKey } from './keys.ts'
import { packOutgoing } from './outgoing.ts'
import type { Head, TaskEntry } from './records.ts'

/** @throws TroupeError when the input cannot be stored, or the task says nothing sensible of where */
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
  const input = packOutgoing(shard, `the input of task ${task.name}`, effect.input)
  return {
    effectId,
    childId: effect.childId,
    src: effect.src,
    name: task.name,
    ...placeOf(task, effect.input),
    input: new Uint8Array(input),
    attempt: 0,
    token: shard.random.id(),
    worker: '',
    since: now,
    state: 'queued',
    notBefore: 0,
    lastFailure: '',
    leaseMs:
      typeof task.leaseMs === 'number' ? task.leaseMs : shard.limits[task.leaseMs ?? 'leaseMs'],
  }
}

type Place = Pick<TaskEntry, 'queue' | 'priority' | 'onWorkerLost'>

/**
 * Where it waits, before whom, and what is done when its worker falls silent. The machine's own code may
 * say so; what it says is stored and sent, so it is looked at.
 */
function placeOf({ name, queue, priority, onWorkerLost }: AnyTask, input: unknown): Place {
  const place: Place = {
    queue: (typeof queue === 'function' ? queue(input) : queue) ?? 'default',
    priority: (typeof priority === 'function' ? priority(input) : priority) ?? 0,
    onWorkerLost:
      (typeof onWorkerLost === 'function' ? onWorkerLost(input) : onWorkerLost) ?? 'rerun',
  }
  const wrong = wrongOf(place)
  if (wrong === undefined) return place
  throw new TroupeError('conflict', `task ${name}: its "${wrong}" is ${describe(place[wrong])}`)
}

function wrongOf({ queue, priority, onWorkerLost }: Place): keyof Place | undefined {
  if (typeof queue !== 'string' || !QUEUE_NAME.test(queue)) return 'queue'
  if (!Number.isSafeInteger(priority)) return 'priority'
  return LOST_POLICIES.includes(onWorkerLost) ? undefined : 'onWorkerLost'
}

function describe(value: unknown): string {
  const what = typeof value === 'object' ? 'an object' : String(value).slice(0, 80)
  return `${what}: a queue is named by a text of at most 256 characters without control characters, a priority is a whole number, and onWorkerLost is one of ${LOST_POLICIES.join(', ')}`
}

const LOST_POLICIES: readonly WorkerLostPolicy[] = ['wait', 'rerun', 'park']
/** What can be written in UTF-8: it becomes part of a subject. */
const QUEUE_NAME = /^[^\p{Cc}\p{Cs}]{1,256}$/u

/** What recovery needs without reading the actor. */
export function writeTaskRow(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  batch.write(taskKey(shard.shard, task.effectId), encodeTaskRow(task))
}

export function encodeTaskRow(task: TaskEntry): Uint8Array {
  const { state, queue, priority, attempt, name, token } = task
  const isQueued = state === 'queued'
  return pack([isQueued ? 1 : 0, queue, priority, attempt, name, isQueued ? token : ''])
}

export interface TaskRow {
  queued: boolean
  queue: string
  priority: number
  attempt: number
  /** Empty when it was written before rows held the name. */
  name: string
  /** Empty unless it is queued. */
  ticket: string
}

export function decodeTaskRow(bytes: Uint8Array): TaskRow {
  const [queued, queue, priority, attempt, name = '', ticket = ''] = unpack(bytes) as [
    number,
    string,
    number,
    number,
    string?,
    string?,
  ]
  return { queued: queued === 1, queue, priority, attempt, name, ticket }
}

export function publishTask(shard: ShardContext, batch: Batch, task: TaskEntry): void {
  const { effectId, queue, priority, attempt, name, token: ticket } = task
  batch.releases.push({
    kind: 'publish-task',
    message: {
      queue,
      priority,
      taskId: effectId,
      name,
      ticket,
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
