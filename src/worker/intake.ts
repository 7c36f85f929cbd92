/**
 * The slots of a worker. Decides: that a worker asks queues for tasks only while it has free slots,
 * so that a busy worker keeps nothing from others, and that a task keeps to its own concurrency.
 */
import type { AnyTask } from '../machine/index.ts'
import type { Clock, TaskConsumer, TaskDelivery, TaskQueue } from '../ports/index.ts'

export interface IntakeDeps {
  slots: number
  queues: readonly string[]
  taskQueue: TaskQueue
  clock: Clock
}

/** Attempts of one task, when it limits them. */
interface Turns {
  running: number
  waiting: (() => void)[]
}

export class Intake {
  readonly #deps: IntakeDeps
  readonly #take: (delivery: TaskDelivery) => void
  readonly #turns = new Map<string, Turns>()
  #consumers: TaskConsumer[] = []
  #used = 0
  #open = false
  #planned = false

  constructor(deps: IntakeDeps, take: (delivery: TaskDelivery) => void) {
    this.#deps = deps
    this.#take = take
  }

  open(): void {
    this.#open = true
    this.#ask()
  }

  /** No new deliveries. */
  close(): void {
    this.#open = false
    this.#stopAsking()
  }

  /** A slot is taken; there may be more attempts than slots after a restart with fewer of them. */
  reserve(): void {
    this.#used += 1
    if (this.#used >= this.#deps.slots) this.#stopAsking()
  }

  /** A slot is free again; with a task, its turn is over as well. */
  release(task?: AnyTask): void {
    this.#used -= 1
    if (task) this.#endTurn(task)
    // Together with others that end now.
    if (this.#planned) return
    this.#planned = true
    this.#deps.clock.defer(() => {
      this.#planned = false
      this.#ask()
    })
  }

  /** Waits until another attempt of the task may run. It keeps its slot and its lease meanwhile. */
  async turnOf(task: AnyTask): Promise<void> {
    if (task.concurrency === undefined) return
    const turns = this.#turns.get(task.name) ?? { running: 0, waiting: [] }
    this.#turns.set(task.name, turns)
    if (turns.running < task.concurrency) {
      turns.running += 1
      return
    }
    const { waiting } = turns
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  #endTurn(task: AnyTask): void {
    const turns = this.#turns.get(task.name)
    if (!turns) return
    const next = turns.waiting.shift()
    if (next) next()
    else turns.running -= 1
  }

  #ask(): void {
    const free = this.#deps.slots - this.#used
    if (!this.#open || free <= 0 || this.#consumers.length > 0) return
    const { queues, taskQueue } = this.#deps
    this.#consumers = queues.map((queue) =>
      taskQueue.consume({ queue, slots: free }, (delivery) => this.#receive(delivery)),
    )
  }

  #receive(delivery: TaskDelivery): void {
    if (this.#open && this.#used < this.#deps.slots) this.#take(delivery)
    // It came while the last slot was given away: back to its place.
    else delivery.retry(0)
  }

  #stopAsking(): void {
    for (const consumer of this.#consumers) consumer.stop()
    this.#consumers = []
  }
}
