/**
 * Actors on a virtual clock with a worker that runs the code of their tasks. `crash` is kill -9 of the node: what
 * was not flushed is gone, what was done to the world stays, and calls that are under way are done or not.
 */
import {
  type AnyTask,
  type MachineDefinition,
  TaskError,
  type TaskLogic,
} from '../../../src/machine/index.ts'
import type { TaskDelivery } from '../../../src/ports/index.ts'
import type { ActorView, EventObject } from '../../../src/protocol/index.ts'
import { RUNTIME } from '../../../src/worker/attempt-runtime.ts'
import type { Harness } from '../../shard/harness.ts'
import { open, restart, worker } from '../../shard/support.ts'

const BEAT_MS = 10_000
const STEP_MS = 50
const WITHIN_MS = 3_600_000

export interface Process {
  h: Harness
  /** Aborted when it is killed. */
  signal: AbortSignal
  config: object
}

export interface EngineSimOptions {
  machines: readonly MachineDefinition[]
  // biome-ignore lint/suspicious/noExplicitAny: tasks of any input and output
  tasks: readonly TaskLogic<any, any>[]
  /** What its tasks work with. */
  opened: (process: Process) => void
}

export class EngineSim {
  h: Harness
  /** Tasks that begin from now on fail. */
  isFailing = false
  /** Of the clock, between two looks. */
  stepMs = STEP_MS
  readonly #options: EngineSimOptions
  readonly #tasks: readonly AnyTask[]
  #stop = new AbortController()

  constructor(options: EngineSimOptions) {
    this.#options = options
    this.#tasks = options.tasks.map(({ troupeTask }) => troupeTask)
    this.h = open(options.machines, { shardCount: 4, flushDelayMs: 2 })
    this.#serve()
  }

  crash(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.h = restart(this.h, this.#options.machines)
    this.#serve()
  }

  view(address: string): Promise<ActorView> {
    return this.h.run(this.h.client.get(address))
  }

  async context<T>(address: string): Promise<T> {
    return (await this.view(address)).context as T
  }

  send(address: string, event: EventObject): Promise<unknown> {
    return this.h.run(this.h.client.send(address, event))
  }

  /** By the clock of the simulation. */
  async until(what: string, is: () => Promise<boolean>, withinMs = WITHIN_MS): Promise<void> {
    const endMs = this.h.clock.monotonic() + withinMs
    while (!(await is())) {
      if (this.h.clock.monotonic() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
      await this.h.advance(this.stepMs)
    }
  }

  #serve(): void {
    const process: Process = { h: this.h, signal: this.#stop.signal, config: {} }
    this.#options.opened(process)
    for (const { queue, concurrency = 1 } of this.#tasks)
      for (let place = 0; place < concurrency; place += 1) this.#offer(queue as string, process)
  }

  /** A place for one attempt at a time: as a worker does, it asks for the next when that has ended. */
  #offer(queue: string, process: Process): void {
    if (process.signal.aborted) return
    const consumer = process.h.taskQueue.consume({ queue, slots: 1 }, (delivery) => {
      consumer.stop()
      void this.#perform(delivery, process)
        .catch(() => {})
        .finally(() => this.#offer(queue, process))
    })
  }

  async #perform(delivery: TaskDelivery, { h, signal, config }: Process): Promise<void> {
    const { taskId, name } = delivery.message
    const task = this.#tasks.find((one) => one.name === name)
    if (!task) throw new Error(`there is no task ${name}`)
    const { start, beat, done, fail } = worker(h)
    const { token, attempt, input } = await start(taskId)
    delivery.ack()
    let isOver = false
    const beating = () => {
      if (signal.aborted || isOver) return
      beat(taskId, token).catch(() => {})
      h.clock.after(BEAT_MS, beating)
    }
    beating()
    const { client, clock, limits } = h
    const address = taskId.slice(0, taskId.indexOf('#'))
    const given = task.input === undefined ? input : task.input.parse(input)
    try {
      if (this.isFailing) throw new Error('as the test wants it')
      const output = await task.run({
        ...{ input: given, address, taskId, attempt, token, signal, directory: '' },
        ...{ reattached: false, leaseMs: limits.leaseMs, onWorkerLost: 'rerun' },
        ...{ progress: () => {}, log: () => {} },
        [RUNTIME]: { config, node: { client, clock, limits, machines: new Map() } },
      } as never)
      if (!signal.aborted) await done(taskId, token, output)
    } catch (thrown) {
      const kind = thrown instanceof TaskError ? thrown.failure.class : 'temporary'
      if (!signal.aborted) await fail(taskId, token, kind, (thrown as Error).message)
    } finally {
      isOver = true
    }
  }
}
