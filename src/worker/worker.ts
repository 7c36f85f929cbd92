/**
 * The worker: takes tasks from queues, runs their attempts, and reports how they ended.
 *
 * Decides: how many attempts run, and what becomes of them across a stop and a restart. Leaves to
 * others: who may run a task (its owner, by lease and token; `starter.ts` asks), one attempt
 * (`attempt.ts`), heartbeats (`beats.ts`), results (`endings.ts`), files (`attempt-files.ts`).
 */
import { setMaxListeners } from 'node:events'
import type { Client } from '../client/index.ts'
import type { AnyTask } from '../machine/index.ts'
import type {
  Clock,
  Log,
  Random,
  RunUploads,
  Subscription,
  TaskDelivery,
  TaskQueue,
  Transport,
} from '../ports/index.ts'
import { type Limits, type Subjects, toErrorRecord, unpack } from '../protocol/index.ts'
import { type AttemptDeps, RunningAttempt } from './attempt.ts'
import {
  AttemptFiles,
  type AttemptRecord,
  type GrantedAttempt,
  type Intent,
  type KeptAttempt,
} from './attempt-files.ts'
import type { TaskNode } from './attempt-runtime.ts'
import { Beats } from './beats.ts'
import { Endings } from './endings.ts'
import { Intake } from './intake.ts'
import { resolveWorkerLimits, type WorkerLimits } from './limits.ts'
import { LogStore } from './logs/index.ts'
import type { Patience } from './patience.ts'
import { Reporter } from './reporter.ts'
import { Rivals } from './rivals.ts'
import { RunUploader } from './run-uploader.ts'
import { Runtimes, readBootId } from './runtimes.ts'
import { Starter } from './starter.ts'
import { Sweeper } from './sweep.ts'
import { WorkUnderWay } from './work-under-way.ts'

export interface WorkerDeps {
  /** Its name in the cluster: owners send cancels to it. */
  name: string
  /** Its own; kept across restarts. */
  directory: string
  /** Attempts that run at a time. */
  slots: number
  queues: readonly string[]
  tasks: ReadonlyMap<string, AnyTask>
  client: Client
  taskQueue: Pick<TaskQueue, 'consume'>
  transport: Pick<Transport, 'subscribe'>
  subjects: Subjects
  clock: Clock
  random: Random
  log: Log
  limits: Limits
  workerLimits?: Partial<WorkerLimits>
  /** Where what commands write is brought, when this disk is out of the readers' reach. */
  uploads?: RunUploads
  /** What the app of a task, by its name, is configured with here. */
  configOf?: (task: string) => unknown
  /** For tasks that run on nodes. */
  node?: TaskNode
}

export interface WorkerStatus {
  name: string
  state: 'new' | 'serving' | 'draining' | 'stopped'
  slots: number
  queues: readonly string[]
  running: {
    taskId: string
    task: string
    attempt: number
    startedAt: number
    reattached: boolean
  }[]
  /** Attempts that have ended and whose owners have not answered yet. */
  reporting: number
  /** Why it takes no new tasks now, in words; empty while it does. */
  refusals: string[]
}

const WHY_NOT = {
  new: 'it is starting',
  draining: 'it is stopping',
  stopped: 'it has stopped',
} as const
/** A node that was just started has better things to do. */
const FIRST_SWEEP_MS = 60_000
/** How soon a task is looked at again that waits for the end of a command. */
const RIVAL_WAIT_MS = 500

export class Worker {
  readonly #deps: WorkerDeps
  readonly #limits: WorkerLimits
  readonly #files: AttemptFiles
  readonly #sweeper: Sweeper
  readonly #beats: Beats
  readonly #starter: Starter
  readonly #endings: Endings
  readonly #intake: Intake
  readonly #rivals: Rivals
  readonly #closing = new AbortController()
  readonly #running = new Map<string, RunningAttempt>()
  /** Attempts whose leases are kept: those that run and those that are being answered for. */
  readonly #leased = new Set<RunningAttempt>()
  /** Each piece of it has one slot until it gives it back. */
  readonly #work: WorkUnderWay
  readonly #bootId = readBootId()
  readonly #runtimes: Runtimes
  readonly #uploader: RunUploader | undefined
  #state: WorkerStatus['state'] = 'new'
  #subscription: Subscription | undefined
  #stopping: Promise<void> | undefined

  /** Where the runs of an actor lie, as apps ask for it. */
  readonly runs: Pick<AttemptFiles, 'latest' | 'runs'>

  /** @throws TroupeError `invalid-config` */
  constructor(deps: WorkerDeps) {
    const { client, clock, log, random, name: worker } = deps
    const limits = resolveWorkerLimits(deps.workerLimits)
    const files = new AttemptFiles(deps.directory)
    const { retryFirstMs: firstMs, retryMaxMs: maxMs, requestMs, killGraceMs } = limits
    const { signal } = this.#closing
    // Whatever asks listens to it: as many as there are attempts, so their number says nothing of a leak.
    setMaxListeners(0, signal)
    const patience: Patience = { clock, random, firstMs, maxMs, signal }
    const reporter = new Reporter({ client, log, patience, requestMs })
    this.#deps = deps
    this.#limits = limits
    this.#files = files
    this.#work = new WorkUnderWay({ clock, log })
    const logs = new LogStore({ clock, log })
    this.#sweeper = new Sweeper({ files, logs, clock, log, limits })
    const bootId = this.#bootId
    this.#starter = new Starter({ worker, bootId, client, files, reporter, patience, limits, log })
    const { uploads, node, configOf = () => undefined } = deps
    const uploader = uploads && new RunUploader({ uploads, files, patience, clock, log })
    this.#uploader = uploader
    const kept = { files, logs, bootId, uploader }
    this.#runtimes = new Runtimes({ ...kept, killGraceMs, clock, log, node, configOf })
    const runner = () => this.#runtimes.runner()
    const rivals = new Rivals({
      running: () => this.#running.values(),
      ask: (attempt) => this.#beats.ask(attempt, requestMs),
    })
    this.#rivals = rivals
    const ending = { files, reporter, rivals, runner, killGraceMs, log, uploader }
    this.#endings = new Endings({ ...ending, counted: (count) => this.#intake.ending(count) })
    this.#beats = new Beats({
      client,
      clock,
      log,
      attempts: () => this.#leased,
      accepted: (attempt) => this.#runtimes.touch(attempt),
    })
    this.#intake = new Intake({ ...deps, lackedMs: maxMs }, (delivery) => this.#take(delivery))
    this.runs = files
  }

  status(): WorkerStatus {
    const { name, slots, queues } = this.#deps
    const running = [...this.#running.values()].map(({ record, reattached }) => {
      const { taskId, name: task, attempt, startedAt } = record
      return { taskId, task, attempt, startedAt, reattached }
    })
    const { reporting } = this.#endings
    const refusals = this.#state === 'serving' ? this.#intake.refusals() : [WHY_NOT[this.#state]]
    return { name, state: this.#state, slots, queues, running, reporting, refusals }
  }

  /**
   * No new tasks for this reason, until `release` of the same name; what runs goes on. Both may be said
   * again and again.
   */
  hold(name: string, reason: string): void {
    this.#intake.hold(name, reason)
  }

  release(name: string): void {
    this.#intake.lift(name)
  }

  /** Takes up what an earlier process left, then new work. @throws TroupeError `store-failed` */
  async start(): Promise<void> {
    const { transport, subjects, name } = this.#deps
    this.#files.open()
    this.#state = 'serving'
    this.#subscription = transport.subscribe(subjects.cancel(name), {}, ({ payload }) =>
      this.#cancel(payload),
    )
    for (const { name: attemptName, intent } of this.#files.live()) {
      this.#intake.reserve()
      this.#work.add(this.#takeUp(attemptName, intent))
    }
    this.#intake.open()
    this.#sweeper.start(FIRST_SWEEP_MS)
  }

  /** Takes no new work and waits until all that runs has ended and is answered for. */
  async drain(): Promise<void> {
    this.#close()
    await this.#work.ended()
  }

  /**
   * Takes no new work. Attempts that can go on after a restart are left to themselves; others get
   * `drainMs` to end, and are then aborted and reported as temporary failures. Safe to call twice.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  #close(): void {
    if (this.#state === 'stopped') return
    this.#state = 'draining'
    this.#intake.close()
    this.#sweeper.stop()
  }

  async #stop(): Promise<void> {
    this.#close()
    const { drainMs, stopReportMs } = this.#limits
    for (const attempt of this.#running.values()) if (attempt.task.reattach) attempt.leave()
    await this.#work.settled(drainMs, () => this.#running.size === 0)
    for (const attempt of this.#running.values()) {
      attempt.abort('stopping', 'the worker was stopped')
    }
    await this.#work.settled(stopReportMs, () => this.#work.size === 0)
    this.#closing.abort()
    for (const attempt of this.#running.values()) attempt.leave()
    this.#beats.stop()
    this.#runtimes.close()
    this.#uploader?.stop()
    this.#subscription?.unsubscribe()
    this.#files.close()
    this.#state = 'stopped'
  }

  #cancel(payload: Uint8Array): void {
    let taskId: unknown
    try {
      taskId = unpack(payload)
    } catch (thrown) {
      this.#deps.log.warn({ error: toErrorRecord(thrown) }, 'a cancel could not be read')
    }
    for (const attempt of this.#running.values()) {
      if (attempt.record.taskId !== taskId) continue
      attempt.abort('unwanted', 'the task is no longer wanted')
    }
  }

  #take(delivery: TaskDelivery): void {
    this.#intake.reserve()
    const name = this.#deps.random.id()
    const came = () => this.#intake.came(delivery.message.name)
    this.#work.add(this.#runOnceStarted(name, () => this.#begin(name, delivery), came))
  }

  async #begin(name: string, delivery: TaskDelivery): Promise<GrantedAttempt | undefined> {
    if (!(await this.#rivals.standAgainst(delivery.message)))
      return this.#starter.begin(name, delivery)
    delivery.retry(RIVAL_WAIT_MS)
    return undefined
  }

  /** Goes on where an earlier process was cut off. */
  async #takeUp(name: string, intent: Intent): Promise<void> {
    const { record, result } = this.#readLeft(name)
    if (record === undefined) {
      return this.#runOnceStarted(name, () => this.#starter.ask(name, intent))
    }
    const task = this.#deps.tasks.get(record.name)
    if (task?.reattach && result === undefined) {
      return this.#attach(name, record)
    }
    this.#intake.release()
    if (result !== undefined) return this.#endings.report(name, record, result)
    if (task !== undefined) return this.#failLeft(name, record)
    const { taskId, name: taskName } = record
    this.#deps.log.warn(
      { taskId, task: taskName },
      'an attempt of an unknown task is left as it is',
    )
  }

  async #attach(name: string, record: AttemptRecord): Promise<void> {
    // Each next step has its own hold before this one ends.
    const release = this.#rivals.hold(record)
    let next: Promise<void> | undefined
    try {
      const answer = await this.#starter.attach(record)
      if (typeof answer === 'object') next = this.#run(name, answer, true)
      else this.#intake.release()
      if (answer === 'given-up') next = this.#endings.drop(name, record)
    } finally {
      release()
    }
    await next
  }

  #readLeft(name: string): KeptAttempt {
    try {
      return this.#files.read(name)
    } catch (thrown) {
      this.#intake.release()
      throw thrown
    }
  }

  /** The retry need not wait for the lease. */
  async #failLeft(name: string, record: AttemptRecord): Promise<void> {
    await this.#endings.endRun(name, record)
    const message = 'the worker was restarted while the task ran'
    const failure = { class: 'temporary', code: 'worker-restarted', message } as const
    await this.#endings.finish(name, record, { op: 'task.failed', failure })
  }

  /** @param known told when it is known whether it begins, and has asked for its turn */
  async #runOnceStarted(
    name: string,
    start: () => Promise<GrantedAttempt | undefined>,
    known: () => void = () => {},
  ): Promise<void> {
    let run: Promise<void> | undefined
    try {
      const granted = await start()
      if (granted !== undefined) run = this.#run(name, granted, false)
    } finally {
      if (run === undefined) this.#intake.release()
      known()
    }
    await run
  }

  async #run(name: string, granted: GrantedAttempt, reattached: boolean): Promise<void> {
    const { record } = granted
    const task = this.#deps.tasks.get(record.name)
    if (task === undefined) {
      this.#intake.release()
      return this.#refuseUnknown(name, record)
    }
    const made = { name, ...granted, task, reattached }
    const attempt = new RunningAttempt(this.#attemptDeps(), made)
    this.#running.set(name, attempt)
    this.#leased.add(attempt)
    this.#beats.add(attempt)
    if (this.#stopping && task.reattach) attempt.leave()
    try {
      await this.#intake.turnOf(task)
      const end = await attempt.execute()
      this.#running.delete(name)
      this.#intake.release(task)
      if (end.kind === 'dropped') return await this.#endings.drop(name, record)
      if (end.kind === 'left') return
      if (attempt.aborted !== undefined) await this.#endings.endRun(name, record)
      await this.#endings.finish(name, record, end.result)
    } finally {
      this.#leased.delete(attempt)
    }
  }

  /** The owner's retry gives it to another worker, or parks the actor with this reason. */
  async #refuseUnknown(name: string, record: AttemptRecord): Promise<void> {
    const message = `worker ${this.#deps.name} does not have the task ${record.name}`
    this.#deps.log.warn({ taskId: record.taskId, task: record.name }, message)
    const failure = { class: 'temporary', code: 'unknown-task', message } as const
    await this.#endings.finish(name, record, { op: 'task.failed', failure })
  }

  #attemptDeps(): AttemptDeps {
    const { clock, log, limits } = this.#deps
    const { abortWaitMs } = this.#limits
    return {
      ...{ clock, log, limits, abortWaitMs },
      runtimeOf: (attempt) => this.#runtimes.of(attempt),
      makeDirectory: ({ name, record }) => this.#files.makeDirectory(name, record),
    }
  }
}
