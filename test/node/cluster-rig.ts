/**
 * Nodes of a cluster in one process: each with a data directory of its own, all on the same memory twins
 * of transport, journal, registry, queue and checkpoints, by the clock of this machine. Every node stands
 * behind a gate, so that it can be killed: then nothing that it began is ever heard of again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  MemoryCheckpoints,
  MemoryJournal,
  MemoryJournalServer,
  MemoryRegistry,
  MemoryTaskQueue,
  MemoryTransport,
} from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import type { ClusterLimits } from '../../src/cluster/index.ts'
import type { App, ClusterReport, TroupeNode } from '../../src/node/index.ts'
import { type ClusterPorts, type JoinOptions, joinCluster } from '../../src/node/join.ts'
import type { Clock, Log, TaskConsumer, TaskQueue } from '../../src/ports/index.ts'
import { Gate, GatedClock, GatedTransport, gatedRegistry } from '../cluster/gate.ts'
import { until } from '../waiting.ts'

export interface LogLine {
  level: string
  fields: Record<string, unknown>
  message: string
}

/** As the defaults, a tenth of them: the clock is real. */
export const LIMITS: Partial<ClusterLimits> = {
  leaderBeatMs: 50,
  leaderSilenceMs: 600,
  leaderJitterMs: 100,
  memberBeatMs: 50,
  memberSilenceMs: 600,
  viewReadMs: 200,
  viewWaitMs: 1_000,
  registryRetryMs: 25,
  handoffMs: 1_000,
  retakeFirstMs: 20,
  retakeMaxMs: 500,
  followMs: 20,
  tailRequestMs: 500,
  tailRetryMs: 50,
  drainMs: 10_000,
}

/** For nodes that are alone, or come one after the other: nobody is taken for dead. */
export const QUICK: Partial<ClusterLimits> = {
  ...LIMITS,
  leaderBeatMs: 25,
  leaderSilenceMs: 120,
  leaderJitterMs: 20,
  memberBeatMs: 25,
  memberSilenceMs: 120,
}

export const SHARDS = 8

export class ClusterRig {
  readonly clock = new SystemClock()
  readonly transport = new MemoryTransport({ clock: this.clock })
  readonly journal = new MemoryJournalServer()
  readonly registry = new MemoryRegistry({ clock: this.clock })
  readonly taskQueue = new MemoryTaskQueue({ clock: this.clock, ackWaitMs: 1_000 })
  readonly checkpoints = new MemoryCheckpoints({ clock: this.clock })
  readonly directory = mkdtempSync(join(tmpdir(), 'troupe-cluster-'))
  readonly apps: App[]
  readonly limits: Partial<ClusterLimits>
  readonly shardCount: number
  readonly nodes = new Map<string, RigNode>()

  constructor(apps: readonly App[], limits = LIMITS, shardCount = SHARDS) {
    this.apps = [...apps]
    this.limits = limits
    this.shardCount = shardCount
  }

  async start(
    name: string,
    options: Partial<JoinOptions> = {},
    through: (ports: ClusterPorts) => ClusterPorts = (ports) => ports,
  ): Promise<RigNode> {
    const node = this.make(name)
    await node.start(options, through)
    this.nodes.set(name, node)
    return node
  }

  /** One that is not started. */
  make(name: string): RigNode {
    return new RigNode(this, name)
  }

  at(name: string): RigNode {
    const node = this.nodes.get(name)
    if (!node) throw new Error(`there is no ${name}`)
    return node
  }

  /** All at once, as machines that are switched on. */
  startAll(...names: string[]): Promise<RigNode[]> {
    return Promise.all(names.map((name) => this.start(name)))
  }

  get up(): RigNode[] {
    return [...this.nodes.values()].filter(({ isUp }) => isUp)
  }

  /** Everybody who is up is known to all, serves what it is named for, and standbys have all. */
  async settled(): Promise<ClusterReport> {
    await until(
      () => this.up.length > 0 && this.up.every((node) => this.#isSettled(node.report())),
      { timeoutMs: 20_000 },
      () => JSON.stringify(this.up.map((node) => node.report())),
    )
    return this.up[0]!.report()
  }

  #isSettled({ nodes, shards }: ClusterReport): boolean {
    const names = nodes.map(({ name }) => name).join()
    if (
      names !==
      this.up
        .map(({ name }) => name)
        .sort()
        .join()
    )
      return false
    const owns = nodes.map((one) => one.owns)
    if (Math.max(...owns) - Math.min(...owns) > 1) return false
    return shards.every(
      ({ owner, standby, servedBy, standbyLag }) =>
        servedBy.join() === owner && (standby === null || standbyLag === 0),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.up.map((node) => node.stop()))
    this.taskQueue.close()
    this.transport.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export class RigNode {
  readonly name: string
  readonly lines: LogLine[] = []
  readonly #rig: ClusterRig
  #gate = new Gate()
  #node: TroupeNode | undefined
  #transport: GatedTransport | undefined
  portsClosed = 0

  constructor(rig: ClusterRig, name: string) {
    this.#rig = rig
    this.name = name
  }

  get isUp(): boolean {
    return this.#node !== undefined
  }

  get node(): TroupeNode {
    if (!this.#node) throw new Error(`${this.name} is down`)
    return this.#node
  }

  get dataDirectory(): string {
    return join(this.#rig.directory, this.name)
  }

  async start(
    options: Partial<JoinOptions> = {},
    through: (ports: ClusterPorts) => ClusterPorts = (ports) => ports,
  ): Promise<void> {
    const gate = new Gate()
    this.#gate = gate
    const clock = new GatedClock(this.#rig.clock, gate)
    const { dataDirectory, name } = this
    const { apps, limits, shardCount } = this.#rig
    const given = { name, dataDirectory, apps, clock, shardCount, log: this.#log() }
    const place = { limits, answerMs: 1_000, ...options.place }
    this.#node = await joinCluster(
      { ...given, ...options, place },
      through(this.#ports(clock, gate)),
    )
  }

  /** As kill -9. */
  kill(): void {
    this.#gate.shut()
    this.#node = undefined
  }

  /** It hears nobody and is heard by nobody. */
  cut(isCut = true): void {
    this.#transport!.isCut = isCut
  }

  async stop(): Promise<void> {
    const { node } = this
    this.#node = undefined
    await node.stop()
  }

  report(): ClusterReport {
    return this.node.membership!.status()
  }

  said(part: string): LogLine[] {
    return this.lines.filter(({ message }) => message.includes(part))
  }

  #ports(clock: Clock, gate: Gate): ClusterPorts {
    const { transport, journal, registry, taskQueue, checkpoints } = this.#rig
    this.#transport = new GatedTransport(transport, gate)
    return {
      transport: this.#transport,
      journal: new MemoryJournal({ clock, server: journal }),
      registry: gatedRegistry(registry, gate),
      taskQueue: gatedQueue(taskQueue, gate),
      checkpoints: checkpoints.connect(clock),
      close: async () => {
        this.portsClosed += 1
      },
    }
  }

  #log(): Log {
    const at = (level: string) => (fields: object, message: string) =>
      void this.lines.push({ level, fields: { ...fields }, message })
    const log: Log = {
      ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      child: () => log,
    }
    return log
  }
}

/** What a dead consumer was given comes back after its time. */
function gatedQueue(queue: MemoryTaskQueue, gate: Gate): TaskQueue {
  return {
    publish: (message, done) => {
      if (!gate.isShut) queue.publish(message, gate.through(done))
    },
    consume: (options, deliver) => {
      const consumer: TaskConsumer = queue.consume(options, gate.through(deliver))
      gate.keep({ unsubscribe: () => consumer.stop() })
      return consumer
    },
    depth: (name) => queue.depth(name),
  }
}
