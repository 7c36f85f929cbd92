/**
 * The composition root of a worker in a process of its own: `troupe worker`. Decides: the order in which
 * it starts and ends, and what outlives it (the commands that it runs, in its data directory). Leaves to
 * others: which tasks there are (apps), who admits it (the node that it serves).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HttpCaller, HttpLink, HttpRunUploads } from '../adapters/http/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../adapters/system/index.ts'
import { Client } from '../client/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import {
  isNodeName,
  type Limits,
  pack,
  resolveLimits,
  sectionsOf,
  subjectsOf,
  TroupeError,
  unpack,
} from '../protocol/index.ts'
import {
  type AcceptanceLimits,
  type HostFigures,
  Reports,
  Worker,
  type WorkerAnswer,
  type WorkerCondition,
  type WorkerLimits,
  type WorkerStatus,
} from '../worker/index.ts'
import type { App } from './app.ts'
import { type DataLock, lockData } from './data-lock.ts'
import { type Registered, register } from './registration.ts'
import { troupeVersion } from './version.ts'
import { configsOfTasks, queuesWithMore } from './worker-config.ts'

export interface WorkerOptions {
  /** The URL of the node that it serves. */
  server: string
  group: string
  /** The key of the group; asked again when the node refuses it. */
  key: () => string
  /** Unique among the workers of the cluster; owners send cancels to it. */
  name: string
  /** Its own; what it runs is found again by the next start on it. */
  dataDirectory: string
  /** Take over from a worker that lives on the same directory. */
  takeOver?: boolean
  /** Attempts that run at a time. */
  slots: number
  /** Where it can be found, for people: `ip:port`. */
  address?: string
  /** Their tasks are what it can run. */
  apps: readonly App[]
  /** Sections of the apps by name; of this machine, not of the node. */
  config?: Readonly<Record<string, unknown>>
  acceptance?: AcceptanceLimits
  /** What is measured of its machine. Default: the machine. */
  figures?: () => HostFigures
  limits?: Partial<Limits>
  workerLimits?: Partial<WorkerLimits>
  log?: Log
  /** Ends waiting for a node that does not answer. */
  signal?: AbortSignal
}

export interface WorkerProcess {
  readonly name: string
  status(): WorkerStatus
  /**
   * Takes nothing new and waits until all that runs has ended and is answered for, for at most
   * `timeoutMs`; then stops.
   */
  drain(timeoutMs: number): Promise<void>
  /** Stops at once; commands go on by themselves, and the next start attaches to them. */
  stop(): Promise<void>
}

const REPORT_MS = 10_000
const HELLO_PAUSE_MS = 1_000
const INSTANCE_FILE = 'instance'

/**
 * Waits for its node, then serves it.
 * @throws TroupeError `unauthorized` for a wrong key, `conflict` for a directory or name in use
 */
export async function createWorker(options: WorkerOptions): Promise<WorkerProcess> {
  if (!isNodeName(options.name)) {
    const why = `name: "${options.name}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`
    throw new TroupeError('invalid-config', why)
  }
  const limits = resolveLimits(options.limits)
  const registered = register(options.apps, limits)
  const sections = sectionsOf(options.apps, options.config ?? {})
  const clock = new SystemClock()
  const { server: url, group, name: worker, key, dataDirectory, takeOver = false } = options
  const caller = new HttpCaller({ url, group, worker, key })
  makePrivate(dataDirectory)
  const lock = await lockData(dataDirectory, clock, { takeOver })
  try {
    const process = new RemoteWorkerProcess({ options, limits, sections, clock, caller, lock })
    await process.start(registered)
    return process
  } catch (thrown) {
    caller.close()
    lock.release()
    throw thrown
  }
}

interface Parts {
  options: WorkerOptions
  limits: Limits
  sections: readonly unknown[]
  clock: Clock
  caller: HttpCaller
  lock: DataLock
}

class RemoteWorkerProcess implements WorkerProcess {
  readonly name: string
  readonly #parts: Parts
  readonly #log: Log
  readonly #random: Random = new SystemRandom()
  readonly #instance: string
  readonly #link: HttpLink
  #worker: Worker | undefined
  #reports: Reports | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: Parts) {
    const { options, clock, caller } = parts
    this.name = options.name
    this.#parts = parts
    this.#log = options.log ?? silentLog
    this.#instance = instanceOf(options.dataDirectory, this.#random)
    this.#link = new HttpLink({
      caller,
      instance: this.#instance,
      clock,
      random: this.#random,
      log: this.#log,
    })
  }

  async start({ tasks, machines }: Registered): Promise<void> {
    const { options, limits, sections, clock, caller } = this.#parts
    const { name, slots, dataDirectory, acceptance, figures, workerLimits } = options
    const { cluster, queues: given } = await this.#hello()
    const configured = { apps: options.apps, sections }
    const queues = queuesWithMore(given, configured)
    const random = this.#random
    const log = this.#log
    const subjects = subjectsOf(cluster)
    const link = this.#link
    const client = new Client({ transport: link, subjects, clock, random, limits, shardCount: 1 })
    const worker = new Worker({
      name,
      directory: join(dataDirectory, 'worker'),
      slots,
      queues,
      tasks,
      client: client.as(`worker ${name}`),
      taskQueue: link,
      transport: link,
      subjects,
      clock,
      random,
      log,
      limits,
      uploads: new HttpRunUploads(caller),
      configOf: configsOfTasks(configured, machines),
      ...(workerLimits === undefined ? {} : { workerLimits }),
    })
    this.#worker = worker
    this.#reports = new Reports({
      worker,
      ...this.#place(),
      ...(acceptance === undefined ? {} : { acceptance }),
      ...(figures === undefined ? {} : { figures }),
      send: (condition) => this.#report(condition),
      clock,
      log,
    })
    // The machine and the operator are asked before the first task.
    await this.#reports.sendNow()
    await worker.start()
    this.#reports.start()
    log.info({ worker: name, queues, slots }, 'the worker serves')
  }

  status(): WorkerStatus {
    if (!this.#worker) throw new TroupeError('internal', 'the worker was not started')
    return this.#worker.status()
  }

  async drain(timeoutMs: number): Promise<void> {
    const drained = this.#worker?.drain()
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.clock.after(timeoutMs, resolve)
    })
    await Promise.race([drained, late])
    cancel()
    await this.stop()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const { caller, lock } = this.#parts
    this.#reports?.stop()
    await this.#worker?.stop()
    await this.#reports?.sendNow()
    await this.#link.close()
    caller.close()
    lock.release()
    this.#log.info({ worker: this.name }, 'the worker has stopped')
  }

  #place(): { address: string; version: string } {
    return { address: this.#parts.options.address ?? '', version: troupeVersion() }
  }

  async #report(condition: WorkerCondition): Promise<WorkerAnswer> {
    const { caller } = this.#parts
    const body = pack({ ...condition, instance: this.#instance })
    const answer = await caller.call('report', body, { timeoutMs: REPORT_MS })
    return unpack(answer) as WorkerAnswer
  }

  /** Until the node answers: it may be started later than its workers. */
  async #hello(): Promise<WorkerAnswer> {
    const { options, clock } = this.#parts
    const { slots, server, signal } = options
    const nothing = {
      running: 0,
      queues: [],
      load: 0,
      memoryFreeBytes: 0,
      refusals: ['it is starting'],
    }
    const condition: WorkerCondition = { ...this.#place(), slots, state: 'new', ...nothing }
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await this.#report(condition)
      } catch (thrown) {
        const isPassing = thrown instanceof TroupeError && thrown.retry
        if (!isPassing || signal?.aborted) throw thrown
        if (isFirst) this.#log.warn({ server, why: thrown.message }, 'waits for its node')
        await new Promise<void>((resolve) => clock.after(HELLO_PAUSE_MS, resolve))
      }
    }
  }
}

/** What commands wrote lies in it: of the users of this machine, only ours reads it. */
function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot make ${directory}`, { cause })
  }
}

/** Of the directory, made once. */
function instanceOf(directory: string, random: Random): string {
  const path = join(directory, INSTANCE_FILE)
  try {
    const known = readFileSync(path, 'utf8').trim()
    if (/^[\w-]{1,64}$/.test(known)) return known
  } catch {
    // The first start.
  }
  const instance = random.id()
  try {
    writeFileSync(path, `${instance}\n`, { mode: 0o600 })
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot write ${path}`, { cause })
  }
  return instance
}
