/**
 * Publishing tasks, again if need be. Decides: that a task whose message was lost is found and
 * published again; its row is the truth, the queue only carries it.
 */
import type { TaskMessage } from '../ports/index.ts'
import type { EngineDeps } from './engine-deps.ts'
import { taskKey } from './keys.ts'
import type { TaskRow } from './task-rows.ts'
import { decodeTaskRow } from './task-rows.ts'

export class TaskBoard {
  readonly #deps: EngineDeps
  /** Published and not known to be started: when, on the monotonic clock. */
  readonly #waiting = new Map<string, number>()
  #cancelSweep: (() => void) | undefined
  #stopped = false

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  /** After a takeover everything that is queued is published; a repeat is refused by its owner. */
  recover(tasks: readonly (TaskRow & { taskId: string })[]): void {
    for (const task of tasks) if (task.queued) this.publish(this.#message(task.taskId, task))
  }

  publish(message: TaskMessage): void {
    if (this.#stopped) return
    this.#waiting.set(message.taskId, this.#deps.clock.monotonic())
    this.#deps.taskQueue.publish(message, (outcome) => {
      if (outcome === 'unknown')
        this.#deps.log.warn(
          { taskId: message.taskId },
          'it is unknown whether a task was published; it will be again',
        )
    })
    this.#planSweep()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelSweep?.()
  }

  #message(taskId: string, row: TaskRow): TaskMessage {
    const { queue, priority, attempt } = row
    return { taskId, queue, priority, messageId: `${taskId}:${attempt}:${this.#deps.random.id()}` }
  }

  #planSweep(): void {
    if (this.#cancelSweep || this.#stopped) return
    this.#cancelSweep = this.#deps.clock.after(this.#deps.limits.taskRepublishMs / 2, () => {
      this.#cancelSweep = undefined
      this.#sweep()
    })
  }

  /** The oldest come first: the map keeps the order of publication. */
  #sweep(): void {
    const { shard, store, clock, limits, taskQueue } = this.#deps
    const before = clock.monotonic() - limits.taskRepublishMs
    for (const [taskId, publishedAt] of this.#waiting) {
      if (publishedAt > before) break
      this.#waiting.delete(taskId)
      const row = store.get(taskKey(shard, taskId))
      if (!row) continue
      const task = decodeTaskRow(row)
      if (!task.queued) continue
      // A queue that holds messages has not lost them: they only wait for a worker.
      if (taskQueue.depth(task.queue) === 0) this.publish(this.#message(taskId, task))
      else this.#waiting.set(taskId, clock.monotonic())
    }
    if (this.#waiting.size > 0) this.#planSweep()
  }
}
