/**
 * The composition root of a worker in a process of its own: `troupe worker`. Decides: the order in which
 * it starts and ends, and what outlives it (the commands that it runs, in its data directory). Leaves to
 * others: which tasks there are (apps), who admits it and how it gets there (`worker-access.ts`).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NatsOptions } from '../adapters/nats/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../adapters/system/index.ts'
import { Client } from '../client/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  isNodeName,
  type Limits,
  resolveLimits,
  sectionsOf,
  TroupeError,
} from '../protocol/index.ts'
import {
  type AcceptanceLimits,
  type HostFigures,
  Reports,
  Worker,
  type WorkerCondition,
  type WorkerLimits,
  type WorkerStatus,
} from '../worker/index.ts'
import type { App } from './app.ts'
import { type DataLock, lockData } from './data-lock.ts'
import { type Registered, register } from './registration.ts'
import { troupeVersion } from './version.ts'
import type { WorkerAccess } from './worker-access.ts'
import { configsOfTasks, queuesWithMore } from './worker-config.ts'
import { HttpAccess } from './worker-over-http.ts'

/** `server` and `key`, or `nats`. */
export interface WorkerOptions {
  /** The URL of a node that it serves. */
  server?: string
  /** Of the group, for that node; asked again when the node refuses it. */
  key?: () => string
  /** Where the queues of the cluster are, and who it is there: NATS lets it in, without a key. */
  nats?: NatsOptions
  /** Of `nats`. Default `troupe`. */
  cluster?: string
  group: string
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
  /** Ends waiting for a node, or for NATS, that does not answer. */
  signal?: AbortSignal
}

export interface WorkerProcess {
  readonly name: string
  /**
   * Resolves when it is refused for good, since another process has its name by now, or its nodes speak another
   * form: it takes nothing new. Drain it then; what it runs is still its own.
   */
  readonly lost: Promise<TroupeError>
  status(): WorkerStatus
  /**
   * Takes nothing new and waits until all that runs has ended and is answered for, for at most
   * `timeoutMs`; then stops.
   */
  drain(timeoutMs: number): Promise<void>
  /** Stops at once; commands go on by themselves, and the next start attaches to them. */
  stop(): Promise<void>
}

const HELLO_PAUSE_MS = 1_000
const INSTANCE_FILE = 'instance'

/** How a worker gets to its cluster. */
type OpenAccess = (tools: {
  /** Of the worker's data directory. */
  instance: string
  clock: Clock
  random: Random
  log: Log
}) => Promise<WorkerAccess>

/**
 * Waits for its node, then serves it.
 * @throws TroupeError `unauthorized` for a wrong key, `conflict` for a directory or name in use
 */
export async function createWorker(options: WorkerOptions): Promise<WorkerProcess> {
  return startWorker(options, accessOf(options))
}

/** The same by a way of the caller's. */
export async function startWorker(
  options: WorkerOptions,
  openAccess: OpenAccess,
): Promise<WorkerProcess> {
  const { name, cluster = DEFAULT_CONFIG.cluster, dataDirectory, takeOver = false } = options
  for (const [what, given] of Object.entries({ name, cluster })) {
    if (isNodeName(given)) continue
    const why = `${what}: "${given}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`
    throw new TroupeError('invalid-config', why)
  }
  const limits = resolveLimits(options.limits)
  const registered = register(options.apps, limits)
  const sections = sectionsOf(options.apps, options.config ?? {})
  const clock = new SystemClock()
  const random = new SystemRandom()
  makePrivate(dataDirectory)
  const lock = await lockData(dataDirectory, clock, { takeOver })
  let access: WorkerAccess | undefined
  try {
    const instance = instanceOf(dataDirectory, random)
    access = await openAccess({ instance, clock, random, log: options.log ?? silentLog })
    const parts = { options, limits, sections, clock, random, access, lock }
    const process = new RemoteWorkerProcess(parts)
    await process.start(registered)
    return process
  } catch (thrown) {
    await access?.abandon()
    lock.release()
    throw thrown
  }
}

/** @throws TroupeError `invalid-config` */
function accessOf({ server, key, nats, cluster, group, name, signal }: WorkerOptions): OpenAccess {
  const worker = name
  if (nats !== undefined && server === undefined && key === undefined) {
    return async (tools) => {
      // Who is served over HTTP does not load what only NATS needs.
      const { openNatsAccess } = await import('./worker-over-nats.ts')
      const place = { options: nats, cluster: cluster ?? DEFAULT_CONFIG.cluster, group, worker }
      return openNatsAccess({ ...tools, ...place, signal })
    }
  }
  if (nats !== undefined || server === undefined || key === undefined) {
    throw new TroupeError('invalid-config', 'a worker has a server and a key, or nats')
  }
  return async (tools) => new HttpAccess({ ...tools, server, group, worker, key })
}

interface Parts {
  options: WorkerOptions
  limits: Limits
  sections: readonly unknown[]
  clock: Clock
  random: Random
  access: WorkerAccess
  lock: DataLock
}

class RemoteWorkerProcess implements WorkerProcess {
  readonly name: string
  readonly lost: Promise<TroupeError>
  readonly #parts: Parts
  readonly #log: Log
  #lost: (why: TroupeError) => void = () => {}
  #worker: Worker | undefined
  #reports: Reports | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: Parts) {
    const { options } = parts
    this.name = options.name
    this.#parts = parts
    this.#log = options.log ?? silentLog
    this.lost = new Promise((resolve) => {
      this.#lost = resolve
    })
  }

  async start({ tasks, machines }: Registered): Promise<void> {
    const { options, limits, sections, clock, random, access } = this.#parts
    const { name, slots, dataDirectory, acceptance, figures, workerLimits } = options
    const { cluster, queues: given, shardCount } = await this.#hello()
    const configured = { apps: options.apps, sections }
    const queues = queuesWithMore(given, configured)
    const log = this.#log
    const subjects = access.subjectsOf(cluster)
    const { transport, taskQueue, uploads, answerMs } = access
    const tries = answerMs === undefined ? {} : { answerMs }
    const tools = { transport, subjects, clock, random, limits }
    const client = new Client({ ...tools, shardCount, ...tries })
    const worker = new Worker({
      name,
      directory: join(dataDirectory, 'worker'),
      slots,
      queues,
      tasks,
      client: client.as(`worker ${name}`),
      ...{ ...tools, taskQueue, uploads, log },
      configOf: configsOfTasks(configured, machines),
      ...(workerLimits === undefined ? {} : { workerLimits }),
    })
    this.#worker = worker
    this.#reports = new Reports({
      worker,
      ...this.#place(),
      ...(acceptance === undefined ? {} : { acceptance }),
      ...(figures === undefined ? {} : { figures }),
      send: (condition) => access.report(condition),
      lost: (why) => this.#lost(why),
      clock,
      log,
    })
    access.enter((order) => this.#reports?.obey(order))
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
    const { access, lock } = this.#parts
    this.#reports?.stop()
    await this.#worker?.stop()
    await this.#reports?.sendNow()
    await access.close()
    lock.release()
    this.#log.info({ worker: this.name }, 'the worker has stopped')
  }

  #place(): { address: string; version: string } {
    return { address: this.#parts.options.address ?? '', version: troupeVersion() }
  }

  /** Until a node answers: it may be started later than its workers. */
  async #hello(): ReturnType<WorkerAccess['report']> {
    const { options, clock, access } = this.#parts
    const { slots, signal } = options
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
        return await access.report(condition)
      } catch (thrown) {
        const isPassing = thrown instanceof TroupeError && thrown.retry
        if (!isPassing || signal?.aborted) throw thrown
        const { target } = access
        if (isFirst) this.#log.warn({ target, why: thrown.message }, 'waits for a node')
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
