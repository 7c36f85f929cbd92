/**
 * A simulated worker: it speaks the protocol of tasks and does nothing but let time pass.
 *
 * Decides: start, beats, report, each as the protocol asks, and how a worker goes wrong: it dies, it
 * freezes and reports late as if nothing had happened. Leaves to others: when (faults.ts).
 */
import type { TaskConsumer, TaskDelivery, TaskQueue } from '../../src/ports/index.ts'
import { addressOfEffect, type Command, type Outcome, unpack } from '../../src/protocol/index.ts'
import { WORK_OUTPUT } from './chart-actions.ts'
import { Caller, type CallerOptions } from './client.ts'
import type { SimTasks } from './sim-tasks.ts'
import { failureAt, type WorkerProcess, type WorkPlan, workMs } from './worker-process.ts'

const SLOTS = 4
const BEAT_MS = 500
const PATIENCE_MS = 4_000

interface Attempt {
  taskId: string
  token: string
  delivery: TaskDelivery
  stopBeats: () => void
}

export class SimWorker implements WorkerProcess {
  readonly name: string
  readonly #options: CallerOptions
  readonly #tasks: SimTasks
  #lives = 0
  #caller: Caller | undefined
  #consumer: TaskConsumer | undefined
  readonly #attempts = new Map<string, Attempt>()
  plan: WorkPlan | undefined

  constructor(name: string, options: CallerOptions, tasks: SimTasks) {
    this.name = name
    this.#options = options
    this.#tasks = tasks
  }

  get open(): number {
    return this.#attempts.size
  }

  start(): void {
    if (this.#caller) return
    this.#lives += 1
    const { recorder } = this.#options
    recorder.add({ kind: 'worker', worker: this.name, how: 'starts' })
    const random = this.#options.random.fork(`${this.name}.${this.#lives}`)
    this.#caller = new Caller(`${this.name}.${this.#lives}`, { ...this.#options, random })
    const queue: TaskQueue = this.#tasks.connect(this.name, this.#caller.process)
    this.#consumer = queue.consume({ queue: 'work', slots: SLOTS }, (delivery) =>
      this.#take(delivery),
    )
  }

  /** Its attempts are gone with it; the queue finds out by its own patience. */
  crash(): void {
    if (!this.#caller) return
    this.#options.recorder.add({ kind: 'worker', worker: this.name, how: 'dies' })
    this.#consumer?.stop()
    this.#caller.process.die()
    this.#caller.transport.close()
    this.#caller = undefined
    this.#attempts.clear()
  }

  freeze(): void {
    this.#options.recorder.add({ kind: 'worker', worker: this.name, how: 'freezes' })
    this.#caller?.process.freeze()
  }

  thaw(): void {
    if (!this.#caller?.process.isFrozen) return
    this.#options.recorder.add({ kind: 'worker', worker: this.name, how: 'thaws' })
    this.#caller.process.thaw()
  }

  #call(caller: Caller, taskId: string, operation: object, told: (outcome?: Outcome) => void) {
    const command = { address: addressOfEffect(taskId), taskId, ...operation } as unknown as Command
    caller.call(command, PATIENCE_MS, told)
  }

  #take(delivery: TaskDelivery): void {
    const caller = this.#caller
    if (!caller) return
    const { taskId, ticket } = delivery.message
    this.#call(caller, taskId, { op: 'task.start', worker: this.name, ticket }, (outcome) => {
      if (!outcome) return delivery.retry(500)
      if ('ok' in outcome) return this.#run(caller, delivery, outcome.ok as Started)
      // Whoever holds it may die: somebody has to ask again.
      if (outcome.error.code === 'task-held') delivery.retry(1_000)
      else delivery.ack()
    })
  }

  #run(caller: Caller, delivery: TaskDelivery, started: Started): void {
    const { taskId, attempt, token, input } = started
    const { recorder, random } = this.#options
    recorder.add({ kind: 'task-began', worker: this.name, taskId, attempt, token })
    let beating = true
    const attemptHere: Attempt = { taskId, token, delivery, stopBeats: () => (beating = false) }
    this.#attempts.set(token, attemptHere)
    const beat = () => {
      if (!beating) return
      delivery.working()
      this.#call(caller, taskId, { op: 'task.beat', token }, (outcome) => {
        if (outcome && 'error' in outcome && !outcome.error.retry) this.#drop(attemptHere)
      })
      caller.process.after(BEAT_MS, beat)
    }
    caller.process.after(BEAT_MS, beat)
    const plan = this.plan ?? {
      ms: random.exponential((unpack(input) as { ms: number }).ms),
      fate: random.fraction(),
    }
    caller.process.after(workMs(plan), () => this.#report(caller, attemptHere, plan.fate))
  }

  #report(caller: Caller, attempt: Attempt, fate: number): void {
    const { taskId, token } = attempt
    if (!this.#attempts.has(token)) return
    const failed = failureAt(fate)
    const operation =
      failed === undefined
        ? { op: 'task.done', token, output: WORK_OUTPUT }
        : { op: 'task.failed', token, failure: { class: failed, message: 'as drawn' } }
    this.#call(caller, taskId, operation, (outcome) => {
      attempt.stopBeats()
      this.#attempts.delete(token)
      const code = outcome === undefined ? 'unknown' : 'ok' in outcome ? 'ok' : outcome.error.code
      const { recorder } = this.#options
      const { op } = operation
      recorder.add({ kind: 'task-reported', worker: this.name, taskId, token, op, code })
      if (outcome === undefined) attempt.delivery.retry(500)
      else attempt.delivery.ack()
    })
  }

  #drop(attempt: Attempt): void {
    attempt.stopBeats()
    if (this.#attempts.delete(attempt.token)) attempt.delivery.ack()
  }
}

interface Started {
  taskId: string
  attempt: number
  token: string
  input: Uint8Array
}
