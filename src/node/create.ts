/**
 * The composition root of an embedded node: the only place that knows which adapter stands behind
 * which port. Decides: the order of start and stop. Leaves to others: everything else.
 */
import { MemoryTaskQueue, MemoryTransport } from '../adapters/memory/index.ts'
import { SystemClock, SystemRandom, silentLog } from '../adapters/system/index.ts'
import { Client } from '../client/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import {
  DEFAULT_CONFIG,
  formatAddress,
  isNodeName,
  type Limits,
  resolveLimits,
  type Subjects,
  subjectsOf,
  TroupeError,
} from '../protocol/index.ts'
import {
  EmbeddedCommit,
  ResidentBudget,
  ShardEngine,
  type ShardServer,
  serveShard,
} from '../shard/index.ts'
import { UploadedRuns, Worker } from '../worker/index.ts'
import type { App, AppContext, AppDaemon } from './app.ts'
import { serveSubject } from './app-subjects.ts'
import { type DataDirectory, openData } from './data.ts'
import { LiveActors } from './live-host.ts'
import type { ReadyReport, RunningApp, TroupeNode } from './node.ts'
import { type Registered, register, sectionsOf } from './registration.ts'
import { NodeWorkers } from './workers.ts'

export interface NodeOptions {
  /** Made if it does not exist. One node per directory: a second one makes the first stop. */
  dataDirectory: string
  /** Default `n1`. */
  name?: string
  /** Default `troupe`. */
  cluster?: string
  apps: readonly App[]
  limits?: Partial<Limits>
  log?: Log
  /** The node's own worker; false for none. Default: 8 slots on the queues of its tasks. */
  worker?: { slots?: number; queues?: readonly string[] } | false
  /** Sections of the apps by name. */
  config?: Readonly<Record<string, unknown>>
}

/** A batch that waits longer than this for its commit means that the disk does not answer. */
const COMMIT_STUCK_MS = 10_000

/** Puts an embedded node together and starts it. @throws TroupeError naming what is wrong */
export async function createNode(options: NodeOptions): Promise<TroupeNode> {
  checkNames(options)
  const limits = resolveLimits(options.limits)
  const registered = register(options.apps, limits)
  const sections = sectionsOf(options.apps, options.config ?? {})
  const cluster = options.cluster ?? DEFAULT_CONFIG.cluster
  const random = new SystemRandom()
  const data = await openData(options.dataDirectory, cluster, random)
  const node = new EmbeddedNode(options, cluster, limits, registered, data, random)
  try {
    await node.start(sections)
  } catch (thrown) {
    await node.stop()
    throw thrown
  }
  return node
}

/** Both stand in subjects, where a dot or a star would mean something else. */
function checkNames({ name, cluster }: NodeOptions): void {
  for (const [what, given] of Object.entries({ name, cluster })) {
    if (given === undefined || isNodeName(given)) continue
    throw new TroupeError(
      'invalid-config',
      `${what}: "${given}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`,
    )
  }
}

class EmbeddedNode implements TroupeNode {
  readonly name: string
  readonly cluster: string
  readonly limits: Limits
  readonly log: Log
  readonly clock: Clock = new SystemClock()
  readonly client: Client
  readonly machines: Registered['machines']
  readonly stopped: Promise<string>
  apps: readonly RunningApp[] = []
  readonly #options: NodeOptions
  readonly #data: DataDirectory
  readonly #registered: Registered
  readonly #random: Random
  readonly #subjects: Subjects
  readonly #transport: MemoryTransport
  readonly #taskQueue: MemoryTaskQueue
  readonly #live: LiveActors
  readonly #engines: ShardEngine[] = []
  readonly #servers: ShardServer[] = []
  readonly #daemons: AppDaemon[] = []
  readonly #served: NodeWorkers
  #worker: Worker | undefined
  #tellStopped: (why: string) => void = () => {}
  #stopping: Promise<void> | undefined

  constructor(
    options: NodeOptions,
    cluster: string,
    limits: Limits,
    registered: Registered,
    data: DataDirectory,
    random: Random,
  ) {
    this.name = options.name ?? 'n1'
    this.cluster = cluster
    this.limits = limits
    this.log = options.log ?? silentLog
    this.machines = registered.machines
    this.stopped = new Promise((resolve) => {
      this.#tellStopped = resolve
    })
    this.#options = options
    this.#registered = registered
    this.#data = data
    this.#random = random
    this.#subjects = subjectsOf(cluster)
    this.#transport = new MemoryTransport({ clock: this.clock })
    this.#taskQueue = new MemoryTaskQueue({ clock: this.clock })
    this.#live = new LiveActors((shard, address, effectId, event) => {
      this.#engines[shard]?.liveEvent(address, effectId, event)
    }, this.log)
    const { clock } = this
    this.client = new Client({
      transport: this.#transport,
      subjects: this.#subjects,
      clock,
      random,
      limits,
      shardCount: data.shardCount,
    })
    this.#served = new NodeWorkers({
      node: this.name,
      cluster,
      client: this.client,
      taskQueue: this.#taskQueue,
      transport: this.#transport,
      subjects: this.#subjects,
      limits,
      clock,
      random,
      log: this.log,
      runs: new UploadedRuns({
        directory: data.directoryOf('uploaded-runs'),
        clock,
        log: this.log,
      }),
    })
  }

  get workers(): TroupeNode['workers'] {
    return this.#served.remote
  }

  async start(sections: readonly unknown[]): Promise<void> {
    await this.#startShards()
    await this.#startWorker()
    this.apps = this.#options.apps.map((app, index) => ({
      app,
      context: this.#contextOf(app, sections[index]),
    }))
    await this.#startSingletons()
    this.#served.start(this.apps, this.#worker)
    for (const { app, context } of this.apps) {
      for (const subject of app.subjects?.(context) ?? []) {
        serveSubject(this.#transport, this.#subjects, this.log, app.name, subject)
      }
      for (const daemon of app.daemons?.(context) ?? []) {
        await daemon.start()
        this.#daemons.push(daemon)
      }
    }
    this.log.info({ node: this.name, machines: [...this.machines.keys()] }, 'the node serves')
  }

  async #startShards(): Promise<void> {
    const budget = new ResidentBudget(this.limits.residentBytesMax)
    const opened: Promise<void>[] = []
    for (let shard = 0; shard < this.#data.shardCount; shard++) {
      const engine = new ShardEngine({
        shard,
        shardCount: this.#data.shardCount,
        limits: this.limits,
        store: this.#data.store,
        clock: this.clock,
        random: this.#random,
        log: this.log,
        transport: this.#transport,
        subjects: this.#subjects,
        taskQueue: this.#taskQueue,
        machines: this.machines,
        budget,
        commit: new EmbeddedCommit(shard, this.#data.store, this.#data.owner),
        live: this.#live,
        singletons: this.#registered.singletons,
        announces: true,
        stopped: (reason) => this.#shardStopped(reason),
      })
      this.#engines.push(engine)
      this.#servers.push(serveShard(engine, this.#transport, this.#subjects, this.limits))
      opened.push(open(engine))
    }
    await Promise.all(opened)
  }

  #shardStopped({
    shard,
    why,
    kind,
  }: {
    shard: number
    why: string
    kind: 'lost' | 'failed'
  }): void {
    if (this.#stopping !== undefined) return
    this.log.error({ shard, why, kind }, 'a shard stopped; the node stops with it')
    this.#tellStopped(why)
    void this.stop()
  }

  async #startWorker(): Promise<void> {
    const { worker } = this.#options
    if (worker === false) return
    this.#worker = new Worker({
      name: this.name,
      directory: this.#data.directoryOf('worker'),
      slots: worker?.slots ?? DEFAULT_CONFIG.worker.slots,
      queues: worker?.queues ?? this.#registered.queues,
      tasks: this.#registered.tasks,
      client: this.client.as(`worker ${this.name}`),
      taskQueue: this.#taskQueue,
      transport: this.#transport,
      subjects: this.#subjects,
      clock: this.clock,
      random: this.#random,
      log: this.log,
      limits: this.limits,
    })
    await this.#worker.start()
  }

  #contextOf(app: App, config: unknown): AppContext {
    return {
      client: this.client.as(`app ${app.name}`),
      config,
      clock: this.clock,
      random: this.#random,
      log: this.log.child({ app: app.name }),
      node: this.name,
      cluster: this.cluster,
      limits: this.limits,
      directory: this.#data.directoryOf('apps', app.name),
      runs: { latest: (address) => this.#served.latestRun(address) },
      workers: this.#served,
    }
  }

  async #startSingletons(): Promise<void> {
    for (const { app } of this.apps) {
      for (const { machine, id, input } of app.singletons ?? []) {
        await this.client.ensure(formatAddress(machine, id, [], this.limits), input)
      }
    }
  }

  async ready(): Promise<ReadyReport> {
    const shards = this.#engines.map((engine) => engine.status())
    const reasons: string[] = []
    if (this.#stopping !== undefined) reasons.push('the node is stopping')
    for (const { shard, state, commitAgeMs } of shards) {
      if (state !== 'serving') reasons.push(`shard ${shard} is ${state}`)
      else if (commitAgeMs > COMMIT_STUCK_MS)
        reasons.push(`shard ${shard} waits for its commit since ${Math.round(commitAgeMs)} ms`)
    }
    return { ready: reasons.length === 0, reasons, shards }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  /** Outside in: what brings work first, the store last. */
  async #stopAll(): Promise<void> {
    for (const daemon of this.#daemons.reverse()) await this.#stopDaemon(daemon)
    this.#served.stop()
    await this.#worker?.stop()
    this.client.close()
    this.#live.stopAll()
    for (const server of this.#servers) server.stop()
    for (const engine of this.#engines) engine.stop()
    await this.#data.store.close()
    this.#transport.close()
    this.log.info({ node: this.name }, 'the node has stopped')
    this.#tellStopped('stopped')
  }

  /** An app's fault must not keep the store open. */
  async #stopDaemon(daemon: AppDaemon): Promise<void> {
    try {
      await daemon.stop()
    } catch (thrown) {
      this.log.error({ err: thrown, daemon: daemon.name }, 'a daemon of an app failed to stop')
    }
  }
}

function open(engine: ShardEngine): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.open((failure) => (failure ? reject(TroupeError.from(failure)) : resolve()))
  })
}
