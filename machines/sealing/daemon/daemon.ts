/**
 * The worker: everything that has to run on the machine whose stores and children do the work. Decides:
 * the order of start and end, and that each part stands on its own: one that cannot be started is tried
 * again, and the others go on. A kill leaves nothing behind that the next start does not take up.
 * Leaves to others: the parts.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import {
  type App,
  type Clock,
  type Log,
  type Random,
  systemClock,
  TroupeError,
  troupeVersion,
} from '../../../src/index.ts'
import { ManagerClient } from '../manager/index.ts'
import type { ThreadRow } from '../thread/index.ts'
import type { WorkerConfig } from './config.ts'
import { DrainMark } from './drain-mark.ts'
import { setEnvironment } from './environment.ts'
import { type Home, openHome } from './home.ts'
import { HotConfig } from './hot-config.ts'
import { RpcRefusal } from './json-rpc.ts'
import { LaneChoices } from './lane-choices.ts'
import { managerFigures, threadFigures } from './metrics-text.ts'
import { Part, type PartReport } from './part.ts'
import { Pings } from './pings.ts'
import { type Place, placeText } from './places.ts'
import { type Listening, serveMetrics, serveRpc } from './rpc-server.ts'
import { StepWork } from './step-work.ts'
import { ThreadDesk } from './thread-desk.ts'
import { rowOf, shownThread } from './thread-rows.ts'
import { INVALID_PARAMS, type WorkerHandlers } from './worker-api.ts'
import { localAddress, workerName } from './worker-name.ts'
import { bringPool, namesOf, placingOf } from './worker-pool.ts'
import { tokenOf } from './worker-token.ts'

export interface DaemonDeps {
  /** What a node hosts: the pools of the platform, and this family. */
  apps: readonly App[]
  log: Log
  clock?: Clock
  random?: Random
  /** How often it looks for what has changed. Default 2 s. */
  lookMs?: number
}

/** A file in a store counts after this: soon enough for a person, and a look at each costs nothing. */
const LOOK_MS = 2_000
/** What is not there yet by then comes while the other parts serve. */
const START_MS_MAX = 30_000
/** Quarantines are kept for days. */
const SWEEP_MS = 3_600_000

export class Daemon {
  readonly name: string
  /** Resolves when it was drained: there is nothing left for it to do. */
  readonly drained: Promise<void>
  readonly #config: WorkerConfig
  readonly #deps: Required<Omit<DaemonDeps, 'random'>>
  readonly #manager: ManagerClient
  readonly #work: StepWork
  readonly #hot: HotConfig
  readonly #mark: DrainMark
  readonly #names: ReturnType<typeof namesOf>
  readonly #choices: LaneChoices
  readonly #home: Part
  readonly #rpc: Part
  readonly #metrics: Part | undefined
  readonly #pings: Pings
  /** Whose settings have changed without their knowing. */
  readonly #untold = new Set<WorkerConfig['threads'][number]>()
  #threads: Part[] = []
  #desk: ThreadDesk | undefined
  #server: Listening | undefined
  #metricsServer: Listening | undefined
  #localAddress = '127.0.0.1'
  #cancelLook = () => {}
  #looking: Promise<void> = Promise.resolve()
  #sweptAt = 0
  #isStopping = false
  #isNearlyDrained = false
  #tellDrained: () => void = () => {}

  /** @throws TroupeError for a configuration that cannot be */
  static async of(config: WorkerConfig, deps: DaemonDeps): Promise<Daemon> {
    const { addr: address, headers } = config.manager
    const manager = new ManagerClient({ address, headers })
    const { hostname, port } = new URL(manager.url)
    const place = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
    const name = await workerName(config.name, config.data, place)
    const daemon = new Daemon(config, name, manager, deps)
    daemon.#localAddress = await localAddress(place)
    return daemon
  }

  private constructor(
    config: WorkerConfig,
    name: string,
    manager: ManagerClient,
    { apps, log, clock = systemClock(), random, lookMs = LOOK_MS }: DaemonDeps,
  ) {
    this.name = name
    this.#config = config
    this.#manager = manager
    this.#deps = { apps, log, clock, lookMs }
    this.drained = new Promise((resolve) => {
      this.#tellDrained = resolve
    })
    const parts = { clock, log }
    const worker = name
    this.#names = namesOf(config)
    this.#choices = new LaneChoices({ worker, choices: this.#names.choices, ...parts })
    this.#hot = new HotConfig(config.shared, log)
    this.#mark = new DrainMark(config.data)
    this.#work = new StepWork({
      ...{ config, worker, manager, ...parts },
      onStoreUp: (location) => this.#wake(location),
      random: random ?? { fraction: Math.random, id: () => randomBytes(16).toString('base64url') },
    })
    this.#work.processors.watch((lanes) => this.#choices.without(lanes))
    this.#home = new Part('threads', (signal) => this.#open(signal), parts)
    this.#rpc = new Part('rpc', () => this.#serve(), parts)
    const { metrics } = config
    this.#metrics =
      metrics === null ? undefined : new Part('metrics', () => this.#serveMetrics(metrics), parts)
    this.#pings = new Pings({
      ...{ manager, name, ...parts },
      dest: () => this.#dest(),
      version: troupeVersion(),
      instance: randomUUID(),
      intervalMs: config.pingIntervalMs,
      threads: () => this.#wantedRows(),
    })
  }

  /**
   * Resolves when every part has been tried once, or nobody wants it any more (`signal`): then it is to be
   * stopped. @throws TroupeError `conflict`: another one runs
   */
  async start(signal?: AbortSignal): Promise<void> {
    const { log } = this.#deps
    for (const warning of this.#config.warnings) log.warn({ file: this.#config.file }, warning)
    await this.#work.start()
    for (const thread of this.#config.threads) this.#hot.look(thread)
    await Promise.all([this.#homeSoon(signal), this.#rpc.start(), this.#metrics?.start()])
    void this.#pings.start()
    this.#lookLater()
    log.info({ worker: this.name, rpc: this.rpcPlace() }, 'the worker serves')
  }

  /** A cluster may come later than its workers. */
  #homeSoon(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const goOn = () => {
        cancel()
        signal?.removeEventListener('abort', goOn)
        resolve()
      }
      const cancel = this.#deps.clock.after(START_MS_MAX, goOn)
      signal?.addEventListener('abort', goOn)
      if (signal?.aborted) goOn()
      void this.#home.start().then(goOn)
    })
  }

  /** What runs is cut; the next start goes on with it. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#cancelLook()
    this.#pings.stop()
    await this.#looking
    await Promise.all([this.#rpc.stop(), this.#metrics?.stop()])
    await this.#home.stop()
    await this.#work.stop()
    this.#deps.log.info({ worker: this.name }, 'the worker has stopped')
  }

  /** Where it is called; undefined while it cannot be. */
  rpcPlace(): string | undefined {
    return this.#server === undefined ? undefined : placeText(this.#server.place)
  }

  /** Where its metrics are read; undefined while they cannot be. */
  metricsPlace(): string | undefined {
    return this.#metricsServer === undefined ? undefined : placeText(this.#metricsServer.place)
  }

  health(): Record<string, unknown> {
    const { name, file } = { name: this.name, file: this.#config.file }
    const own = [this.#home, this.#rpc, ...(this.#metrics ? [this.#metrics] : []), ...this.#threads]
    const parts: PartReport[] = [...own.map((part) => part.report()), ...this.#work.reports()]
    return {
      ...{ name, file, version: troupeVersion(), isDraining: this.#mark.isSet },
      parts,
      children: this.#work.processors.report(),
      manager: { url: this.#manager.url, ...this.#pings.report() },
      warnings: this.#config.warnings,
    }
  }

  async #open(signal: AbortSignal): Promise<() => Promise<void>> {
    const { apps, log, clock } = this.#deps
    const config = this.#config
    const home: Home = await openHome(config, this.name, { apps, log, signal })
    const { client } = home
    try {
      const choices = this.#choices.now
      await bringPool(client, this.name, { ...this.#names, choices }, log)
      this.#choices.begin(client, choices)
      const deps = { client, worker: this.name, config, hot: this.#hot, clock, log }
      const desk = new ThreadDesk({ ...deps, placing: placingOf(this.name, this.#names) })
      const bring = (thread: WorkerConfig['threads'][number]) => async () => {
        await desk.bring(thread, !this.#mark.isSet)
        return () => {}
      }
      this.#threads = config.threads.map(
        (thread) => new Part(`thread ${thread.name}`, bring(thread), { clock, log }),
      )
      await desk.retire()
      await Promise.all(this.#threads.map((part) => part.start()))
      this.#desk = desk
      return this.#watched(home, desk)
    } catch (thrown) {
      await this.#close(home)
      throw thrown
    }
  }

  /** One that was closed since has nothing to say of its follower. */
  #watched(home: Home, desk: ThreadDesk): () => Promise<void> {
    void home.lost.then((why) => {
      if (desk === this.#desk) this.#home.fail(why)
    })
    return () => this.#close(home)
  }

  async #close(home: Home): Promise<void> {
    this.#desk = undefined
    await Promise.all(this.#threads.map((part) => part.stop()))
    this.#threads = []
    this.#choices.end()
    await home.stop()
  }

  async #serve(): Promise<() => Promise<void>> {
    const { host, port, tokenFile } = this.#config.rpcServer
    const token = tokenFile === null ? undefined : tokenOf(tokenFile)
    const { log } = this.#deps
    const server = await serveRpc({ host, port, token, handlers: this.#handlers(), log })
    this.#server = server
    return async () => {
      this.#server = undefined
      await server.close()
    }
  }

  async #serveMetrics(place: Place): Promise<() => Promise<void>> {
    const server = await serveMetrics(place, async () => {
      // Where the threads live may be away; what this worker does can be read all the same.
      const threads = await this.#wantedRows().catch(() => [])
      const steps = await this.#work.metrics.text()
      return `${steps}\n${managerFigures(this.#manager.figures())}${threadFigures(threads)}`
    })
    this.#metricsServer = server
    return async () => {
      this.#metricsServer = undefined
      await server.close()
    }
  }

  async #wantedRows(): Promise<ThreadRow[]> {
    return this.#wantedDesk().rows()
  }

  #handlers(): WorkerHandlers {
    const now = () => this.#deps.clock.now()
    const resumed = async (request: Parameters<ThreadDesk['control']>[0]) =>
      'ok' in (await this.#wantedDesk().control(request))
    return {
      WorkerList: async () =>
        (await this.#wantedDesk().list()).map((thread) => rowOf(thread, now())),
      WorkerPause: (index) => resumed({ action: 'pause', index, by: 'rpc' }),
      WorkerResume: (index, state) =>
        resumed({ action: 'resume', index, by: 'rpc', ...(state ? { state } : {}) }),
      WorkerSetEnv: async (name, value) => setEnvironment(name, value) ?? null,
      WorkerRemoveEnv: async (name) => setEnvironment(name, null) ?? null,
      WorkerVersion: async () => troupeVersion(),
      WorkerThreads: async () => (await this.#wantedDesk().list()).map(shownThread),
      WorkerControl: (request) => this.#wantedDesk().control(request),
      WorkerDrain: ({ by, undo = false }) => this.#drain(by, undo),
      WorkerHistory: (sector) => this.#wantedDesk().story(sector),
      WorkerQuarantine: ({ by, acknowledge }) => this.#quarantine(by, acknowledge),
      WorkerHealth: async () => this.health(),
    }
  }

  async #drain(by: string, isUndone: boolean): Promise<{ threads: number; drained: number }> {
    const desk = this.#wantedDesk()
    // Noted first: a restart in between goes on with it.
    this.#mark.set(!isUndone)
    await desk.drain(by, isUndone)
    this.#deps.log.info({ by, isUndone }, 'the worker is drained')
    const threads = await desk.rows()
    return { threads: threads.length, drained: countDrained(threads) }
  }

  async #quarantine(by: string, acknowledged: string | undefined) {
    if (acknowledged !== undefined) {
      if (!(await this.#work.acknowledge(acknowledged)))
        throw new RpcRefusal(INVALID_PARAMS, `quarantined data "${acknowledged}" not found`)
      this.#deps.log.info({ by, name: acknowledged }, 'quarantined data may be deleted')
    }
    return { quarantined: await this.#work.quarantined() }
  }

  #lookLater(): void {
    if (this.#isStopping) return
    this.#cancelLook = this.#deps.clock.after(this.#deps.lookMs, () => {
      this.#looking = this.#look()
        .catch((error: unknown) =>
          this.#deps.log.warn({ error }, 'the worker could not look around'),
        )
        .then(() => this.#lookLater())
    })
  }

  async #look(): Promise<void> {
    const now = this.#deps.clock.now()
    if (now - this.#sweptAt >= SWEEP_MS) {
      this.#sweptAt = now
      await this.#work.sweep()
    }
    const desk = this.#desk
    if (desk === undefined) return
    await this.#tellSettings(desk)
    if (!this.#mark.isSet) return
    const threads = await desk.rows()
    const isDrained = countDrained(threads) === threads.length
    // Seen twice: whoever waits for it can see it, too, before nobody answers any more.
    if (isDrained && this.#isNearlyDrained) {
      // The next start works again.
      this.#mark.set(false)
      this.#tellDrained()
    }
    this.#isNearlyDrained = isDrained
  }

  /** One that cannot be told now is told at the next look, and keeps no other from it. */
  async #tellSettings(desk: ThreadDesk): Promise<void> {
    for (const thread of this.#config.threads) {
      if (this.#hot.look(thread)) this.#untold.add(thread)
    }
    for (const thread of this.#untold) {
      try {
        await desk.configure(thread)
        this.#untold.delete(thread)
      } catch (error) {
        const { name } = thread
        this.#deps.log.warn({ thread: name, error }, 'a thread was not told its new settings yet')
      }
    }
  }

  /** Its steps rest until they ask again. */
  #wake(location: string): void {
    const thread = this.#config.threads.find((one) => one.location === location)
    if (thread === undefined) return
    this.#desk?.wake(thread).catch((error: unknown) => {
      this.#deps.log.debug({ error, location }, 'a thread was not told that its store is there')
    })
  }

  #wantedDesk(): ThreadDesk {
    if (this.#desk !== undefined) return this.#desk
    const { problem } = this.#home.report()
    const why = `the threads of this worker are not there yet: ${problem ?? 'it is starting'}`
    throw new TroupeError('unavailable', why)
  }

  /** Where the manager and others find this worker's own interface. */
  #dest(): string {
    const { host, port } = this.#server?.place ?? this.#config.rpcServer
    const isAnywhere = host === '0.0.0.0' || host === '::'
    if (isAnywhere) return placeText({ host: this.#localAddress, port })
    return placeText({ host, port })
  }
}

function countDrained(threads: readonly ThreadRow[]): number {
  return threads.filter(({ condition }) => condition === 'drained').length
}
