/**
 * The slots of a worker. Decides: that a worker asks queues for tasks only while it has free slots,
 * so that a busy worker keeps nothing from others, that it asks for none while somebody holds it, or while
 * too many ends of earlier ones have not been told, that a task keeps to its own concurrency, and that a task
 * which this worker lacks is left to others before an attempt of it is begun.
 *
 * Attempts that wait for a turn have slots. So that a long row of one task leaves slots to others, only few of
 * them wait here: its queue is not asked while they do, and the rest stands there.
 */
import type { AnyTask } from '../machine/index.ts'
import type { Clock, Log, TaskConsumer, TaskDelivery, TaskQueue } from '../ports/index.ts'

/**
 * So many ends per slot may be on their way. An end has no slot: the next task need not wait for it, but for the
 * first try of one that offers a slot which nobody else waits for (`offered-slot.ts`). But where a node takes ends more slowly than tasks end, they would gather without bound.
 */
const ENDS_PER_SLOT = 4
const ENDS = 'ends'
/** Of the attempts of a task that run: so many of it wait, to begin as soon as one of those has ended. */
const WAITING_SHARE = 1 / 2

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
  /** Taken, and not known yet whether they begin. */
  coming: number
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
  /** By queue. */
  readonly #consumers = new Map<string, TaskConsumer>()
  /** Queues that are not asked, by the task of which enough wait here. */
  readonly #full = new Map<string, AnyTask>()
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

  /** More than one slot would be free behind an attempt of the task: nobody waits in a queue for its own. */
  hasSpare({ concurrency }: AnyTask): boolean {
    const isShort = this.#used >= this.#deps.slots || this.#full.size > 0
    return this.#takesWork && !isShort && concurrency === undefined
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

  /** What was taken is known to begin, which asks for its turn at once, or not to. */
  came(name: string): void {
    const task = this.#deps.tasks.get(name)
    const turns = this.#turns.get(name)
    if (!task || !turns) return
    turns.coming -= 1
    this.#askIfRoomFor(task)
  }

  /** Waits until another attempt of the task may run. It keeps its slot and its lease meanwhile. */
  async turnOf(task: AnyTask): Promise<void> {
    if (task.concurrency === undefined) return
    const turns = this.#turnsOf(task)
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
    this.#askIfRoomFor(task)
  }

  #turnsOf(task: AnyTask): Turns {
    const turns = this.#turns.get(task.name) ?? { coming: 0, running: 0, waiting: [] }
    this.#turns.set(task.name, turns)
    return turns
  }

  #hasRoomFor(task: AnyTask): boolean {
    if (task.concurrency === undefined) return true
    const { coming, running, waiting } = this.#turnsOf(task)
    const waitingMax = Math.ceil(task.concurrency * WAITING_SHARE)
    return coming + running + waiting.length < task.concurrency + waitingMax
  }

  #askIfRoomFor(task: AnyTask): void {
    if (this.#full.size === 0 || !this.#hasRoomFor(task)) return
    for (const [queue, one] of this.#full) if (one === task) this.#full.delete(queue)
    this.#ask()
  }

  #ask(): void {
    const { queues, slots, taskQueue } = this.#deps
    const free = slots - this.#used
    if (!this.#takesWork || free <= 0) return
    for (const queue of queues) {
      if (this.#consumers.has(queue) || this.#full.has(queue)) continue
      const take = (delivery: TaskDelivery) => this.#receive(queue, delivery)
      this.#consumers.set(queue, taskQueue.consume({ queue, slots: free }, take))
    }
  }

  #receive(queue: string, delivery: TaskDelivery): void {
    const { name } = delivery.message
    const task = this.#deps.tasks.get(name)
    if (name !== '' && task === undefined) return this.#leaveToOthers(delivery)
    // It came while the last slot was given away: back to its place.
    if (!this.#takesWork || this.#used >= this.#deps.slots) return delivery.retry(0)
    if (task?.concurrency !== undefined) {
      if (!this.#hasRoomFor(task)) return this.#putBack(queue, task, delivery)
      this.#turnsOf(task).coming += 1
    }
    this.#take(delivery)
  }

  #putBack(queue: string, task: AnyTask, delivery: TaskDelivery): void {
    this.#full.set(queue, task)
    this.#consumers.get(queue)?.stop()
    this.#consumers.delete(queue)
    delivery.retry(0)
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
    for (const consumer of this.#consumers.values()) consumer.stop()
    this.#consumers.clear()
  }
}
