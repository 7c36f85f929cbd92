/**
 * The slots of a worker. Decides: that a worker asks queues for tasks only while it has free slots,
 * so that a busy worker keeps nothing from others, that it asks for none while somebody holds it, or while
 * too many ends of earlier ones have not been told, that a task keeps to its own concurrency, and that a task which this worker lacks is left to others before an
 * attempt of it is begun.
 */
import type { AnyTask } from '../machine/index.ts'
import type { Clock, Log, TaskConsumer, TaskDelivery, TaskQueue } from '../ports/index.ts'

/**
 * So many ends per slot may be on their way. An end has no slot: the next task need not wait for it. But
 * where a node takes ends more slowly than tasks end, they would gather without bound.
 */
const ENDS_PER_SLOT = 4
const ENDS = 'ends'

export interface IntakeDeps {
  slots: number
  queues: readonly string[]
  tasks: ReadonlyMap<string, AnyTask>
  taskQueue: Pick<TaskQueue, 'consume'>
  clock: Clock
  log: Log
  /** How long a task that this worker lacks is kept from it. */
  lackedMs: number
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
  /** Names of tasks that came and that this worker does not have. */
  readonly #lacking = new Set<string>()
  /** Reasons to take nothing, by the name of who says so. */
  readonly #holds = new Map<string, string>()
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

  hold(name: string, reason: string): void {
    this.#holds.set(name, reason)
    this.#stopAsking()
  }

  lift(name: string): void {
    if (this.#holds.delete(name)) this.#ask()
  }

  /** How many ends are on their way to their owners now. */
  ending(count: number): void {
    if (count < this.#deps.slots * ENDS_PER_SLOT) this.lift(ENDS)
    else this.hold(ENDS, `count: ${count} ends of tasks have not been told yet`)
  }

  /** Why nothing is taken now. */
  refusals(): string[] {
    const { slots } = this.#deps
    const full = this.#used >= slots ? [`count: ${this.#used} of ${slots} slots are taken`] : []
    return [...this.#holds.values(), ...full]
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
    if (!this.#takesWork || free <= 0 || this.#consumers.length > 0) return
    const { queues, taskQueue } = this.#deps
    this.#consumers = queues.map((queue) =>
      taskQueue.consume({ queue, slots: free }, (delivery) => this.#receive(delivery)),
    )
  }

  #receive(delivery: TaskDelivery): void {
    const { name } = delivery.message
    if (name !== '' && !this.#deps.tasks.has(name)) this.#leaveToOthers(delivery)
    else if (this.#takesWork && this.#used < this.#deps.slots) this.#take(delivery)
    // It came while the last slot was given away: back to its place.
    else delivery.retry(0)
  }

  #leaveToOthers(delivery: TaskDelivery): void {
    const { log, lackedMs } = this.#deps
    const { taskId, name: task } = delivery.message
    delivery.retry(lackedMs)
    // It comes back again and again, for as long as nobody takes it.
    if (this.#lacking.has(task)) return
    this.#lacking.add(task)
    log.warn({ taskId, task }, 'this worker does not have a task: it is left to others')
  }

  get #takesWork(): boolean {
    return this.#open && this.#holds.size === 0
  }

  #stopAsking(): void {
    for (const consumer of this.#consumers) consumer.stop()
    this.#consumers = []
  }
}
