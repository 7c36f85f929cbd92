/**
 * Publishing tasks, again if need be. Decides: that a task whose message was lost is found and
 * published again; its row is the truth, the queue only carries it.
 */
import type { TaskMessage } from '../ports/index.ts'
import type { EngineDeps } from './engine-deps.ts'
import { taskKey } from './keys.ts'
import type { TaskRow } from './task-rows.ts'
import { decodeTaskRow, messageIdOf } from './task-rows.ts'

/**
 * After so many times `taskRepublishMs` a task is published again though its queue still holds messages:
 * its own may be the one that was lost. Twice as long the next time, so that a queue that is only slow
 * does not grow by it: a message too many costs a worker one refused start.
 */
const PATIENCE = 10
/** Rows that one sweep reads: tens of thousands may wait for a worker. */
const SWEPT_AT_ONCE_MAX = 1_000

interface Waiting {
  /** On the monotonic clock. */
  publishedAt: number
  /** When it was looked at last; a sweep goes by that. */
  seenAt: number
  /** Age at which it is published again though its queue holds messages. */
  patienceMs: number
  /** Nobody knows whether the queue has it. */
  unknown: boolean
}

export class TaskBoard {
  readonly #deps: EngineDeps
  /** Published and not known to be started; those first that were looked at first. */
  readonly #waiting = new Map<string, Waiting>()
  #cancelSweep: (() => void) | undefined
  #stopped = false

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  /** After a takeover everything that is queued is published; a repeat is refused by its owner. */
  recover(tasks: readonly (TaskRow & { taskId: string })[]): void {
    for (const task of tasks) if (task.queued) this.publish(this.#message(task.taskId, task))
  }

  publish(message: TaskMessage, patienceMs = PATIENCE * this.#deps.limits.taskRepublishMs): void {
    if (this.#stopped) return
    const now = this.#deps.clock.monotonic()
    const waiting: Waiting = { publishedAt: now, seenAt: now, patienceMs, unknown: false }
    // At the end of the order, also when it is published again.
    this.#waiting.delete(message.taskId)
    this.#waiting.set(message.taskId, waiting)
    this.#deps.taskQueue.publish(message, (outcome) => {
      if (outcome !== 'unknown') return
      waiting.unknown = true
      this.#deps.log.warn(
        { taskId: message.taskId },
        'it is unknown whether a task was published; it will be again',
      )
    })
    this.#planSweep(this.#deps.limits.taskRepublishMs / 2)
  }

  stop(): void {
    this.#stopped = true
    this.#cancelSweep?.()
  }

  #message(taskId: string, row: TaskRow): TaskMessage {
    const { queue, priority, attempt, name, ticket } = row
    const messageId = messageIdOf(this.#deps, taskId, attempt)
    return { taskId, name, queue, priority, ticket, messageId }
  }

  #planSweep(delayMs: number): void {
    if (this.#cancelSweep || this.#stopped) return
    this.#cancelSweep = this.#deps.clock.after(delayMs, () => {
      this.#cancelSweep = undefined
      this.#sweep()
    })
  }

  /** Those not looked at for longest come first: the map keeps that order. */
  #sweep(): void {
    const { shard, store, clock, limits, taskQueue } = this.#deps
    const now = clock.monotonic()
    let looked = 0
    for (const [taskId, waiting] of this.#waiting) {
      if (waiting.seenAt > now - limits.taskRepublishMs) break
      // The rest is due as well; others get the event loop in between.
      if (looked === SWEPT_AT_ONCE_MAX) return this.#planSweep(0)
      looked += 1
      this.#waiting.delete(taskId)
      const row = store.get(taskKey(shard, taskId))
      if (!row) continue
      const task = decodeTaskRow(row)
      if (!task.queued) continue
      const isOld = now - waiting.publishedAt >= waiting.patienceMs
      // A queue that holds messages has hardly lost them: they wait for a worker.
      if (waiting.unknown || isOld || taskQueue.depth(task.queue) === 0) {
        const patienceMs = isOld ? waiting.patienceMs * 2 : waiting.patienceMs
        this.publish(this.#message(taskId, task), patienceMs)
      } else {
        waiting.seenAt = now
        this.#waiting.set(taskId, waiting)
      }
    }
    if (this.#waiting.size > 0) this.#planSweep(limits.taskRepublishMs / 2)
  }
}
