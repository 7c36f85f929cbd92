/**
 * The production worker (src/worker) on simulated ports: its promises go on between two instants of
 * virtual time, so a world with it is run by `runWithPromises`.
 *
 * Decides: what the code of its tasks does, what a crash takes from it (everything but its
 * directory), and what is told of it. Its tasks may be run again when their worker is lost, so that
 * nothing waits for a real disk: files are written at once.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CallOptions, Client } from '../../src/client/index.ts'
import { type TaskAttempt, TaskError } from '../../src/machine/index.ts'
import type { Log, TaskConsumer, TaskQueue } from '../../src/ports/index.ts'
import { type Limits, type Operation, TroupeError } from '../../src/protocol/index.ts'
import { Worker } from '../../src/worker/index.ts'
import { WORK_OUTPUT } from './chart-actions.ts'
import type { CallerOptions } from './client.ts'
import type { Recorder } from './events.ts'
import { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'
import { type RunOptions, runSeedWithPromises, type SeedResult } from './run.ts'
import type { SimTasks } from './sim-tasks.ts'
import { SimTransport } from './sim-transport.ts'
import { failureAt, type WorkerProcess, type WorkPlan, workMs } from './worker-process.ts'

const SLOTS = 2
const WORKER_LIMITS = { requestMs: 10_000, retryMaxMs: 1_000, abortWaitMs: 3_000 }

/** A seed whose tasks are run by production workers, in directories that go with it. */
export async function runSeedWithWorkers(options: RunOptions): Promise<SeedResult> {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-sim-'))
  try {
    return await runSeedWithPromises({
      ...options,
      makeWorker: (name, caller, limits, tasks) =>
        new ProductionWorker(name, caller, limits, tasks, join(directory, name)),
    })
  } finally {
    rmSync(directory, { recursive: true })
  }
}

interface Life {
  worker: Worker
  process: ProcessClock
  transport: SimTransport
  consumers: Set<TaskConsumer>
}

export class ProductionWorker implements WorkerProcess {
  readonly name: string
  readonly #options: CallerOptions
  readonly #limits: Limits
  readonly #tasks: SimTasks
  readonly #directory: string
  #lives = 0
  #life: Life | undefined
  plan: WorkPlan | undefined

  constructor(
    name: string,
    options: CallerOptions,
    limits: Limits,
    tasks: SimTasks,
    directory: string,
  ) {
    this.name = name
    this.#options = options
    this.#limits = limits
    this.#tasks = tasks
    this.#directory = directory
  }

  get open(): number {
    const status = this.#life?.worker.status()
    return status ? status.running.length + status.reporting : 0
  }

  start(): void {
    if (this.#life) return
    this.#lives += 1
    this.#tell('starts')
    const { base, network, subjects, skewMs, shards, recorder } = this.#options
    const party = `${this.name}.${this.#lives}`
    const random = this.#options.random.fork(party)
    const process = new ProcessClock(base, { skewMs, rate: 1 })
    const transport = new SimTransport(network, party, process)
    const consumers = new Set<TaskConsumer>()
    const ports = { transport, subjects, clock: process, random, limits: this.#limits }
    const client = new TellingClient({ ...ports, shardCount: shards }, recorder, party)
    const run = (attempt: TaskAttempt<unknown>) => this.#run(attempt, process, random)
    const worker = new Worker({
      ...ports,
      name: this.name,
      directory: this.#directory,
      slots: SLOTS,
      queues: ['work'],
      tasks: new Map([['work', { name: 'work', run }]]),
      client,
      taskQueue: watched(this.#tasks.connect(this.name, process), consumers),
      log: SILENT,
      workerLimits: WORKER_LIMITS,
    })
    this.#life = { worker, process, transport, consumers }
    void worker.start()
  }

  /**
   * As kill -9: its directory is left, and the next life takes up what it finds there. A promise that
   * was resolved before goes on to its next wait: as if the process had died a moment later.
   */
  crash(): void {
    if (!this.#life) return
    this.#tell('dies')
    const { process, transport, consumers } = this.#life
    for (const consumer of consumers) consumer.stop()
    process.die()
    transport.close()
    this.#life = undefined
  }

  freeze(): void {
    this.#tell('freezes')
    this.#life?.process.freeze()
  }

  thaw(): void {
    if (!this.#life?.process.isFrozen) return
    this.#tell('thaws')
    this.#life.process.thaw()
  }

  #tell(how: string): void {
    this.#options.recorder.add({ kind: 'worker', worker: this.name, how })
  }

  /** The code of every task: it lets time pass, and listens to its signal. */
  async #run(
    { taskId, attempt, token, input, signal }: TaskAttempt<unknown>,
    process: ProcessClock,
    random: SimRandom,
  ): Promise<number> {
    this.#options.recorder.add({ kind: 'task-began', worker: this.name, taskId, attempt, token })
    const plan = this.plan ?? {
      ms: random.exponential((input as { ms: number }).ms),
      fate: random.fraction(),
    }
    await new Promise<void>((resolve, reject) => {
      const cancel = process.after(workMs(plan), resolve)
      const stop = () => {
        cancel()
        reject(signal.reason as Error)
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
    const failure = failureAt(plan.fate)
    if (failure !== undefined) throw new TaskError(failure, 'as drawn')
    return WORK_OUTPUT
  }
}

/** What it asks of owners and is answered stands in the list, heartbeats left out. */
export class TellingClient extends Client {
  readonly #recorder: Recorder
  readonly #party: string

  constructor(deps: ConstructorParameters<typeof Client>[0], recorder: Recorder, party: string) {
    super(deps, party)
    this.#recorder = recorder
    this.#party = party
  }

  override async execute(
    address: string,
    operation: Operation,
    options: CallOptions = {},
  ): Promise<unknown> {
    if (operation.op === 'task.beat') return super.execute(address, operation, options)
    // The client makes a command of the operation itself.
    const asked = { ...operation }
    const { id = '' } = options
    const { op } = asked
    this.#recorder.add({ kind: 'sent', party: this.#party, id, address, op })
    try {
      const value = await super.execute(address, operation, options)
      this.#answered(address, id, asked, 'ok', value)
      return value
    } catch (thrown) {
      if (thrown instanceof TroupeError && !thrown.retry) {
        this.#answered(address, id, asked, thrown.code, thrown.message)
      }
      throw thrown
    }
  }

  #answered(address: string, id: string, asked: Operation, code: string, value: unknown): void {
    const { op } = asked
    const text = JSON.stringify(value) ?? ''
    this.#recorder.add({ kind: 'answered', party: this.#party, id, address, op, code, text })
    if (asked.op !== 'task.done' && asked.op !== 'task.failed') return
    const { taskId, token } = asked
    const worker = this.#party
    this.#recorder.add({ kind: 'task-reported', worker, taskId, token, op: asked.op, code })
  }
}

/** Knows who consumes, so that a crash can end it: a queue gives nothing to a process that is gone. */
export function watched(queue: TaskQueue, consumers: Set<TaskConsumer>): TaskQueue {
  return {
    publish: (message, done) => queue.publish(message, done),
    depth: (name) => queue.depth(name),
    consume: (options, deliver) => {
      const consumer = queue.consume(options, deliver)
      consumers.add(consumer)
      return {
        stop: () => {
          consumers.delete(consumer)
          consumer.stop()
        },
      }
    },
  }
}

const quiet = () => {}
export const SILENT: Log = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
  child: () => SILENT,
}
