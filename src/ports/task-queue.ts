/**
 * Hands published tasks to workers: a JetStream work queue in a cluster, in-process otherwise.
 *
 * Decides: at-least-once. A task may be delivered twice, late, or while it runs; the owner of the
 * actor decides by lease and token who may run it. The queue is never the
 * only place that knows of a task.
 */
export interface TaskQueue {
  /** Puts a task on its queue. The same `messageId` within a short window is put once. */
  publish(message: TaskMessage, done: (outcome: 'published' | 'unknown') => void): void
  /** Asks for up to `slots()` deliveries at any time until stopped. */
  consume(options: ConsumeOptions, deliver: (delivery: TaskDelivery) => void): TaskConsumer
  /** Messages that wait, for operators. */
  depth(queue: string): number
}

export interface TaskMessage {
  queue: string
  /** Larger first. */
  priority: number
  /** `<taskId>:<attempt>:<publication>` */
  messageId: string
  taskId: string
  /**
   * What it runs: a worker without it leaves the task to others. Empty for rows that were written
   * without it.
   */
  name: string
  /** What only who was given this message knows: the owner asks for it when the task is started. */
  ticket: string
  /** Unix ms before which it is not delivered. */
  notBefore?: number
}

export interface ConsumeOptions {
  queue: string
  /** Deliveries that this consumer has not acknowledged never exceed this number. */
  slots: number
}

export interface TaskDelivery {
  message: TaskMessage
  /** The message is done with: it will not be delivered again. */
  ack(): void
  /** Somebody else may have it, after `delayMs`. */
  retry(delayMs: number): void
  /** It is still being worked on; without this it is delivered again after the queue's own wait. */
  working(): void
}

export interface TaskConsumer {
  /** No new deliveries; those under way stay. */
  stop(): void
}
