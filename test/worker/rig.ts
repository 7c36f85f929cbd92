/**
 * A worker with a scripted owner: one shard that grants, refuses or ignores what the worker asks, and
 * keeps what it was asked. Time is real, leases are short.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryTaskQueue, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { SystemClock, SystemRandom } from '../../src/adapters/system/index.ts'
import { Client } from '../../src/client/index.ts'
import type { AnyTask, WorkerLostPolicy } from '../../src/machine/index.ts'
import {
  type Command,
  type ErrorCode,
  errorRecord,
  type Outcome,
  pack,
  resolveLimits,
  subjectsOf,
  unpack,
} from '../../src/protocol/index.ts'
import { Worker, type WorkerDeps, type WorkerLimits } from '../../src/worker/index.ts'
import { Journals } from '../../src/worker/journals.ts'
import { silentLog } from './process/real-time.ts'
import { endRuns } from './process/runs.ts'

export interface Granted {
  taskId: string
  name: string
  input?: unknown
  leaseMs?: number
  onWorkerLost?: WorkerLostPolicy
}

type TaskCommand = Extract<Command, { taskId: string }>
/** What the owner does with a command: an outcome, or silence. */
type Script = (command: TaskCommand) => Outcome | 'silence' | undefined

export class WorkerRig {
  readonly directory: string
  readonly clock = new SystemClock()
  readonly random = new SystemRandom()
  readonly transport = new MemoryTransport({ clock: this.clock })
  readonly taskQueue = new MemoryTaskQueue({ clock: this.clock })
  readonly subjects = subjectsOf('test')
  readonly limits = resolveLimits()
  /** Every command that reached the owner, and in how many requests. */
  readonly commands: TaskCommand[] = []
  readonly requests: TaskCommand[][] = []
  /** Asked first; what it leaves undefined is granted. */
  script: Script = () => undefined
  readonly #tasks = new Map<string, AnyTask>()
  readonly #granted = new Map<string, Granted>()
  readonly #workers: Worker[] = []
  #attempts = 0

  private constructor(directory: string) {
    this.directory = directory
    this.transport.subscribe(this.subjects.shard(0), {}, ({ payload, reply }) => {
      const commands = unpack(payload) as TaskCommand[]
      this.requests.push(commands)
      this.commands.push(...commands)
      const outcomes = commands.map((command) => this.script(command) ?? this.#grant(command))
      if (!outcomes.includes('silence')) reply?.(pack(outcomes))
    })
  }

  static async create(): Promise<WorkerRig> {
    return new WorkerRig(await mkdtemp(join(tmpdir(), 'troupe-worker-')))
  }

  task(task: AnyTask): void {
    this.#tasks.set(task.name, task)
  }

  async worker(
    given: Partial<WorkerDeps> = {},
    workerLimits: Partial<WorkerLimits> = {},
  ): Promise<Worker> {
    const { clock, random, transport, subjects, limits, taskQueue } = this
    const client = new Client({ clock, random, transport, subjects, limits, shardCount: 1 })
    const worker = new Worker({
      name: 'w1',
      directory: this.directory,
      slots: 4,
      queues: ['q'],
      tasks: this.#tasks,
      client,
      taskQueue,
      transport,
      subjects,
      clock,
      random,
      log: silentLog,
      limits,
      workerLimits: {
        requestMs: 150,
        retryFirstMs: 20,
        retryMaxMs: 200,
        drainMs: 200,
        stopReportMs: 300,
        ...workerLimits,
      },
      ...given,
    })
    this.#workers.push(worker)
    await worker.start()
    return worker
  }

  /** What the owner would answer to the start of a task. */
  grant(granted: Granted): void {
    this.#granted.set(granted.taskId, granted)
  }

  publish({ queue = 'q', ...granted }: Granted & { queue?: string }): void {
    this.grant(granted)
    const { taskId, name } = granted
    const messageId = `${taskId}:${this.random.id()}`
    this.taskQueue.publish({ queue, priority: 0, messageId, taskId, name, ticket: 't' }, () => {})
  }

  /** Commands of one kind, for one task. */
  asked<Op extends TaskCommand['op']>(op: Op, taskId?: string): Extract<TaskCommand, { op: Op }>[] {
    const found = this.commands.filter(
      (one) => one.op === op && (taskId === undefined || one.taskId === taskId),
    )
    return found as Extract<TaskCommand, { op: Op }>[]
  }

  /** The attempts that the next process would find. */
  live(): string[] {
    const journals = new Journals(join(this.directory, 'live'))
    journals.open()
    return journals.names()
  }

  cancel(taskId: string): void {
    this.transport.publish(this.subjects.cancel('w1'), pack(taskId))
  }

  async close(): Promise<void> {
    this.script = (command) => refused('task-gone')(command)
    for (const worker of this.#workers) await worker.stop()
    this.transport.close()
    this.taskQueue.close()
    await endRuns(join(this.directory, 'attempts'))
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #grant(command: TaskCommand): Outcome {
    const granted = this.#granted.get(command.taskId)
    // The rest of it is as the worker knows it already.
    if (command.op === 'task.attach')
      return { ok: { input: pack(granted?.input) }, durability: 'flushed' }
    if (command.op !== 'task.start') return { ok: null, durability: 'flushed' }
    if (!granted) return { error: errorRecord('task-gone', 'gone') }
    const { taskId, name, input, leaseMs = 30_000, onWorkerLost = 'rerun' } = granted
    const [address] = taskId.split('#')
    const ok = {
      taskId,
      address,
      name,
      input: pack(input),
      attempt: ++this.#attempts,
      token: `token-${this.#attempts}`,
      leaseMs,
      onWorkerLost,
    }
    return { ok, durability: 'flushed' }
  }
}

export function refused(code: ErrorCode): Script {
  return () => ({ error: errorRecord(code, `refused: ${code}`) })
}

/** A script that refuses or ignores commands of one kind, so many times; the others are granted. */
export function first(count: number, op: TaskCommand['op'], script: Script | 'silence'): Script {
  let left = count
  return (command) => {
    if (command.op !== op || left === 0) return undefined
    left -= 1
    return script === 'silence' ? 'silence' : script(command)
  }
}
