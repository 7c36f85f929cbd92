/**
 * A cluster in one process: nodes with a store of their own, and one transport, registry and journal
 * that they share. Every node stands behind a gate (gate.ts), so that it can be frozen or killed.
 */
import { fromCallback } from 'xstate'
import {
  MemoryCheckpoints,
  MemoryJournalServer,
  MemoryRegistry,
  MemoryStore,
  MemoryTaskQueue,
  MemoryTransport,
  SeededRandom,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import { type ClusterLimits, ClusterNode, type View } from '../../src/cluster/index.ts'
import { hostMachine, type MachineDefinition } from '../../src/machine/index.ts'
import type { Log } from '../../src/ports/index.ts'
import { resolveLimits, shardOf, subjectsOf } from '../../src/protocol/index.ts'
import { type LiveHost, ResidentBudget, ShardsHere } from '../../src/shard/index.ts'
import type { SlotRecord } from '../../src/shard/slot-records.ts'
import { Line } from '../shard/journaled-line.ts'
import { decodeRecord } from '../shard/slot-record.ts'
import { counter, host } from '../shard/support.ts'
import { Gate, GatedClock, GatedPuts, GatedTransport, gatedRegistry } from './gate.ts'

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  fields: Record<string, unknown>
  message: string
  atMs: number
}

/** A slot takes up to this long each way. */
const JOURNAL_MS_MAX = 3

/** Listens to something outside, beside its owner. */
const listener = host(
  'listener',
  { initial: 'on', states: { on: { invoke: { id: 'ear', src: 'listen' } } } },
  { actors: { listen: fromCallback(() => {}) } },
)
const MACHINES = [counter, listener]

function machinesOf(version: number): readonly MachineDefinition[] {
  if (version === 1) return MACHINES
  return MACHINES.map((one) => ({ ...one, version, migrations: { 1: (state) => state } }))
}

export interface ClusterOptions {
  shardCount?: number
  limits?: Partial<ClusterLimits>
  seed?: number
}

export class Cluster {
  readonly clock = new VirtualClock()
  readonly server = new MemoryJournalServer()
  readonly checkpoints = new MemoryCheckpoints({ clock: this.clock })
  readonly registry = new MemoryRegistry({ clock: this.clock })
  readonly transport = new MemoryTransport({ clock: this.clock })
  readonly subjects = subjectsOf('test')
  readonly limits = resolveLimits({})
  readonly shardCount: number
  readonly clusterLimits: Partial<ClusterLimits>
  readonly random: SeededRandom
  readonly nodes = new Map<string, TestNode>()
  readonly client: Client

  constructor({ shardCount = 8, limits = {}, seed = 1 }: ClusterOptions = {}) {
    this.shardCount = shardCount
    this.clusterLimits = limits
    this.random = new SeededRandom(seed)
    const { clock, transport, subjects } = this
    const random = this.random.fork('client')
    const clientDeps = { transport, subjects, clock, random, limits: this.limits, shardCount }
    this.client = new Client(clientDeps)
  }

  node(name: string, options: NodeOptions = {}): TestNode {
    const node = new TestNode(this, name, options)
    this.nodes.set(name, node)
    return node
  }

  /** Starts nodes and waits until they serve everything as evenly as can be. */
  async started(names: readonly string[], options: NodeOptions = {}): Promise<TestNode[]> {
    const nodes = names.map((name) => this.node(name, options))
    for (const node of nodes) node.start()
    await this.until(() => this.isSettled(), 'the cluster comes up')
    return nodes
  }

  at(name: string): TestNode {
    return this.nodes.get(name)!
  }

  get live(): TestNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp)
  }

  settle(ms = 0): Promise<void> {
    return this.clock.settle(ms)
  }

  /** Lets time pass until it holds; returns how long that took. */
  async until(holds: () => boolean, what: string, withinMs = 60_000, stepMs = 20): Promise<number> {
    const fromMs = this.clock.monotonic()
    await this.settle()
    while (!holds()) {
      const passedMs = this.clock.monotonic() - fromMs
      if (passedMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}\n${this.show()}`)
      await this.settle(stepMs)
    }
    return this.clock.monotonic() - fromMs
  }

  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const done = work.finally(() => {
      settled = true
    })
    done.catch(() => {})
    await this.until(() => settled, 'an answer')
    return done
  }

  /** `ok`, or the code of the failure. */
  answer(work: Promise<unknown>): Promise<string> {
    return this.run(
      work.then(
        () => 'ok',
        (thrown: { code?: string }) => thrown.code ?? String(thrown),
      ),
    )
  }

  leaders(): string[] {
    return this.live.filter(({ node }) => node.status().leads).map(({ name }) => name)
  }

  leader(): TestNode {
    const [name] = this.leaders()
    if (name === undefined) throw new Error(`nobody leads\n${this.show()}`)
    return this.at(name)
  }

  /** The view that most have seen. */
  view(): View {
    const views = this.live.flatMap(({ node }) => node.status().view ?? [])
    const newest = views.sort((a, b) => b.leaderEpoch - a.leaderEpoch || b.version - a.version)[0]
    if (!newest) throw new Error('there is no view')
    return newest
  }

  /** Who serves a shard: its engine says so. */
  serving(shard: number): string[] {
    return this.live
      .filter(({ node }) => node.status().shards[shard]!.engine?.state === 'serving')
      .map(({ name }) => name)
  }

  served(): (string | undefined)[] {
    return Array.from({ length: this.shardCount }, (_, shard) => {
      const names = this.serving(shard)
      return names.length === 1 ? names[0] : undefined
    })
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const name of this.served()) if (name) counts[name] = (counts[name] ?? 0) + 1
    return counts
  }

  isServed(): boolean {
    return this.served().every((name) => name !== undefined)
  }

  /** Everybody has the same view, all shards are where it says, evenly, and standbys have all. */
  isSettled(): boolean {
    const up = this.live.filter(({ isFrozen }) => !isFrozen)
    const statuses = up.map(({ node }) => node.status())
    const view = statuses[0]?.view
    if (!view || new Set(statuses.map(({ viewNumber }) => viewNumber)).size !== 1) return false
    if (view.members.length !== up.length || !this.isServed()) return false
    if (this.served().some((name, shard) => name !== view.owners[shard])) return false
    const counts = view.members.map(({ name }) => this.counts()[name] ?? 0)
    if (
      view.members.every(({ leaving }) => !leaving) &&
      Math.max(...counts) - Math.min(...counts) > 1
    )
      return false
    const follow = view.standbys.every((name, shard) => {
      const status = statuses.find((one) => one.name === name)
      return !status || status.shards[shard]!.lag === 0
    })
    return follow && view.former.every((some) => some.length === 0)
  }

  /** An address on a shard. */
  on(shard: number, salt = ''): string {
    for (let n = 0; ; n++) {
      const address = `counter/${salt}${n}`
      if (shardOf(address, this.shardCount) === shard) return address
    }
  }

  note(address: string, text: string, timeoutMs = 20_000): Promise<unknown> {
    return this.client.send(address, { type: 'NOTE', text }, { timeoutMs })
  }

  async seen(address: string): Promise<string[]> {
    const view = await this.run(this.client.get(address, { timeoutMs: 20_000 }))
    return (view.context as { seen: string[] }).seen
  }

  /** The journal's server dies and comes back without the last slots of a shard. */
  loseLast(shard: number, count: number): void {
    this.server.loseLast(shard, count)
    for (const { journal } of this.nodes.values()) journal.cut()
  }

  records(shard: number): SlotRecord[] {
    return this.server.slots(shard).map(({ record }) => decodeRecord(record))
  }

  show(): string {
    const shown = this.live.map(({ node }) => {
      const { name, leads, viewNumber, shards, leader } = node.status()
      const roles = shards.map((one) => one.engine?.state ?? `${one.role} ${one.lag ?? ''}`)
      const waits = shards.flatMap(({ waitsFor }) => waitsFor)
      return JSON.stringify({ name, leads, leader, viewNumber, roles, waits })
    })
    return shown.join('\n')
  }
}

export interface NodeOptions {
  weight?: number
  zone?: string | null
  limits?: Partial<ClusterLimits>
}

export class TestNode {
  readonly cluster: Cluster
  readonly name: string
  readonly options: NodeOptions
  readonly lines: LogLine[] = []
  readonly stops: { why: string; shard?: number }[] = []
  readonly liveStarted = new Set<string>()
  store: MemoryStore
  gate = new Gate()
  transport: GatedTransport
  journal: Line
  node: ClusterNode
  /** What clients within its process find there. */
  here: ShardsHere
  isUp = false
  isFrozen = false
  /** Of its machines, when it starts the next time. */
  version = 1
  /** Machines that only this node hosts, when it starts the next time. */
  others: readonly MachineDefinition[] = []
  /** What its reads of the view show, when they go back. */
  staleView: Uint8Array | undefined
  readonly puts: GatedPuts
  #boots = 0

  constructor(cluster: Cluster, name: string, options: NodeOptions) {
    this.cluster = cluster
    this.name = name
    this.options = options
    this.puts = new GatedPuts(cluster.clock)
    this.store = new MemoryStore({ clock: new GatedClock(cluster.clock, this.gate) })
    const parts = this.#boot()
    this.transport = parts.transport
    this.journal = parts.journal
    this.node = parts.node
    this.here = parts.here
  }

  #boot() {
    const { cluster, gate, name, options, store } = this
    const { server, subjects, limits, shardCount } = cluster
    const clock = new GatedClock(cluster.clock, gate)
    const transport = new GatedTransport(cluster.transport, gate)
    const delay = cluster.random.fork(`journal-${name}-${this.#boots}`)
    const journal = new Line(clock, server, {
      latencyMs: () => Math.floor(delay.fraction() * (JOURNAL_MS_MAX + 1)),
    })
    const live: LiveHost = {
      start: ({ effectId }) => void this.liveStarted.add(effectId),
      send: () => {},
      stop: (effectId) => void this.liveStarted.delete(effectId),
    }
    this.#boots += 1
    const here = new ShardsHere()
    const node = new ClusterNode({
      ...{ name, shardCount, clock, store, journal, transport, subjects, limits, live, here },
      bootId: `boot-${this.#boots}`,
      weight: options.weight ?? 1,
      zone: options.zone ?? null,
      random: cluster.random.fork(`${name}-${this.#boots}`),
      log: this.#log(),
      checkpoints: cluster.checkpoints.connect(clock),
      registry: gatedRegistry(cluster.registry, gate, () => this.staleView, this.puts),
      taskQueue: new MemoryTaskQueue({ clock }),
      machines: new Map(
        [...machinesOf(this.version), ...this.others].map((one) => [
          one.name,
          hostMachine(one, limits),
        ]),
      ),
      clusterLimits: { ...cluster.clusterLimits, ...options.limits },
      budget: new ResidentBudget(limits.residentBytesMax),
      announces: false,
      stopped: (reason) => void this.stops.push(reason),
    })
    return { node, transport, journal, here }
  }

  start(): void {
    this.isUp = true
    this.node.start()
  }

  /** As kill -9: only what was flushed is left. */
  kill(): void {
    this.gate.shut()
    this.isUp = false
    this.isFrozen = false
    this.gate = new Gate()
    this.store = this.store.crash({ clock: new GatedClock(this.cluster.clock, this.gate) })
  }

  /** A new disk. */
  wipe(): void {
    this.store = new MemoryStore({ clock: new GatedClock(this.cluster.clock, this.gate) })
  }

  /** A new process on what is left. */
  restart(): void {
    if (this.isUp) this.kill()
    Object.assign(this, this.#boot())
    this.start()
  }

  freeze(): void {
    this.isFrozen = true
    this.gate.hold()
  }

  thaw(): void {
    this.isFrozen = false
    this.gate.release()
  }

  async leave(): Promise<string> {
    let outcome = ''
    this.node.leave((how) => {
      outcome = how
    })
    await this.cluster.until(() => outcome !== '', `${this.name} leaves`, 120_000)
    return outcome
  }

  /** After a drain: the process ends in good order. */
  stop(): void {
    this.node.stop()
    this.gate.shut()
    this.isUp = false
  }

  said(level: LogLine['level'], part: string): LogLine[] {
    return this.lines.filter((line) => line.level === level && line.message.includes(part))
  }

  #log(): Log {
    const at = (level: LogLine['level']) => (fields: object, message: string) =>
      void this.lines.push({
        level,
        fields: fields as Record<string, unknown>,
        message,
        atMs: this.cluster.clock.monotonic(),
      })
    const log: Log = {
      ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      child: () => log,
    }
    return log
  }
}
