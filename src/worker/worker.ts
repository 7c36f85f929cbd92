/**
 * The worker: takes tasks from queues, runs their attempts, and reports how they ended.
 *
 * Decides: how many attempts run, and what becomes of them across a stop and a restart. Leaves to
 * others: who may run a task (its owner, by lease and token; `starter.ts` asks), one attempt
 * (`attempt.ts`), heartbeats (`beats.ts`), results (`endings.ts`), files (`attempt-files.ts`).
 */
import { setMaxListeners } from 'node:events'
import { type Client, wait } from '../client/index.ts'
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
  type AttemptResult,
  type GrantedAttempt,
} from './attempt-files.ts'
import type { TaskNode } from './attempt-runtime.ts'
import { Beats } from './beats.ts'
import { Endings } from './endings.ts'
import { Intake } from './intake.ts'
import { LeftAttempts } from './left-attempts.ts'
import { resolveWorkerLimits, type WorkerLimits } from './limits.ts'
import { LogStore } from './logs/index.ts'
import { OfferedSlot } from './offered-slot.ts'
import type { Patience } from './patience.ts'
import { Reporter } from './reporter.ts'
import { Rivals } from './rivals.ts'
import { RunUploader } from './run-uploader.ts'
import { Runtimes, readBootId } from './runtimes.ts'
import { type NextAttempt, Starter } from './starter.ts'
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

/** `started`: asked for, after its rivals were; `next`: begun with the end of another. */
type Origin = 'started' | 'reattached' | 'next'

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
  readonly #left: LeftAttempts
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
  /** What cannot go on after a restart is not waited for any more. */
  #aborting = false

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
    const ending = {
      ...{ files, reporter, starter: this.#starter, rivals, runner },
      ...{ killGraceMs, log, uploader },
    }
    this.#endings = new Endings({ ...ending, counted: (count) => this.#intake.ending(count) })
    this.#beats = new Beats({
      client,
      clock,
      log,
      attempts: () => this.#leased,
      accepted: (attempt) => this.#runtimes.touch(attempt),
    })
    this.#intake = new Intake({ ...deps, lackedMs: maxMs }, (delivery) => this.#take(delivery))
    this.#left = new LeftAttempts({
      ...{ files, tasks: deps.tasks, starter: this.#starter, endings: this.#endings, rivals, log },
      intake: this.#intake,
      begin: (left, start) => this.#runOnceStarted(left, start),
      run: (granted, origin) => this.#run(granted, origin),
    })
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
    for (const takenUp of this.#left.takeUp()) this.#work.add(takenUp)
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
    this.#aborting = true
    for (const attempt of this.#running.values()) abortForStop(attempt)
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

  /** @param known told when it is known whether it begins, and has asked for its turn */
  async #runOnceStarted(
    name: string,
    start: () => Promise<GrantedAttempt | undefined>,
    known: () => void = () => {},
  ): Promise<void> {
    let run: Promise<void> | undefined
    try {
      const granted = await start()
      if (granted !== undefined) run = this.#run({ name, ...granted }, 'started')
    } finally {
      if (run === undefined) this.#intake.release()
      known()
    }
    await run
  }

  async #run(granted: NextAttempt, origin: Origin): Promise<void> {
    const { name, record } = granted
    const reattached = origin === 'reattached'
    const task = this.#deps.tasks.get(record.name)
    if (task === undefined) {
      this.#intake.release()
      return this.#refuseUnknown(name, record)
    }
    const attempt = new RunningAttempt(this.#attemptDeps(), { ...granted, task, reattached })
    this.#running.set(name, attempt)
    this.#leased.add(attempt)
    this.#beats.add(attempt)
    if (this.#stopping && task.reattach) attempt.leave()
    else if (this.#aborting) abortForStop(attempt)
    try {
      if (origin === 'next') await this.#rivalsGone(attempt)
      await this.#intake.turnOf(task)
      const end = await attempt.execute()
      this.#running.delete(name)
      if (end.kind === 'result' && this.#mayGoOn(attempt, end.result)) {
        return await this.#goOn(attempt, end.result)
      }
      this.#intake.release(task)
      if (end.kind === 'dropped') return await this.#endings.drop(name, record)
      if (end.kind === 'left') return
      if (attempt.aborted !== undefined) await this.#endings.endRun(name, record)
      await this.#endings.finish(name, record, end.result)
    } finally {
      this.#leased.delete(attempt)
    }
  }

  /** Begun by its owner, without the question that is asked before a delivery is: it has its lease meanwhile. */
  async #rivalsGone(attempt: RunningAttempt): Promise<void> {
    const context = { clock: this.#deps.clock, signal: this.#closing.signal }
    while (attempt.mayBegin && (await this.#rivals.standAgainst(attempt.record, attempt)))
      await wait(context, RIVAL_WAIT_MS)
  }

  /**
   * Another slot is free: its own can be for what the actor wants next, which begins as this ends. Workers
   * outside a node, which have uploads, may not say so: that would be a start without a ticket.
   */
  #mayGoOn({ task, record, reattached, aborted }: RunningAttempt, { op }: AttemptResult): boolean {
    // Of one from before a restart it is not known whether its queue is still this worker's.
    const isPlain = op === 'task.done' && aborted === undefined && !reattached
    const isHome = this.#uploader === undefined
    return isPlain && isHome && this.#intake.hasSpare(task) && this.#rivals.isAlone(record)
  }

  async #goOn({ name, record }: RunningAttempt, result: AttemptResult): Promise<void> {
    const slot = new OfferedSlot(this.#intake, this.#deps.name)
    let next: NextAttempt | undefined
    try {
      next = await this.#endings.finish(name, record, result, slot)
    } finally {
      if (next === undefined) slot.giveBack()
    }
    if (next === undefined) return
    slot.take()
    this.#work.add(this.#run(next, 'next'))
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

function abortForStop(attempt: RunningAttempt): void {
  attempt.abort('stopping', 'the worker was stopped')
}
