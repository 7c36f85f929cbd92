/**
 * Nodes that share a journal and nothing else: own store, own connection, own transport, own client.
 * One shard. `parts` can be replaced by broken ones, to show that the tests would notice.
 */
import {
  type MemoryJournal,
  type MemoryJournalOptions,
  MemoryJournalServer,
  MemoryStore,
  type MemoryStoreOptions,
  MemoryTaskQueue,
  MemoryTransport,
  SeededRandom,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { Client } from '../../src/client/index.ts'
import { hostMachine, type MachineDefinition } from '../../src/machine/index.ts'
import type { Log } from '../../src/ports/index.ts'
import {
  type ErrorRecord,
  type Limits,
  resolveLimits,
  subjectsOf,
} from '../../src/protocol/index.ts'
import {
  JournaledCommit,
  type JournaledCommitDeps,
  ResidentBudget,
  ShardEngine,
  type ShardServer,
  serveShard,
  WalkTurns,
} from '../../src/shard/index.ts'
import { Line, type Said } from './journaled-line.ts'
import { counter } from './support.ts'

export const SHARD = 0

/** What a mutation may replace. */
export interface Parts {
  JournaledCommit: typeof JournaledCommit
  Server: typeof MemoryJournalServer
  Store: typeof MemoryStore
}

/** Something that should come to an end does not. */
export class Stuck extends Error {}

export const REAL: Parts = { JournaledCommit, Server: MemoryJournalServer, Store: MemoryStore }

export interface NodesOptions {
  parts?: Parts
  machines?: readonly MachineDefinition[]
  limits?: Partial<Limits>
}

export class Nodes {
  readonly clock = new VirtualClock()
  readonly server: MemoryJournalServer
  readonly parts: Parts
  readonly machines: readonly MachineDefinition[]
  readonly limits: Limits
  readonly all: JournaledNode[] = []
  views = 1
  seeds = 1

  constructor({ parts = REAL, machines = [counter], limits = {} }: NodesOptions = {}) {
    this.parts = parts
    this.machines = machines
    this.limits = resolveLimits(limits)
    this.server = new parts.Server()
  }

  node(name: string, options: NodeOptions = {}): JournaledNode {
    return new JournaledNode(this, name, options)
  }

  /** A node that serves, named by a view newer than all before. */
  async owner(name: string, options: NodeOptions = {}): Promise<JournaledNode> {
    const node = this.node(name, options)
    await node.serve()
    return node
  }

  /** Lets everything happen that is due now, and waits for the outcome; time moves if it must. */
  async run<T>(work: Promise<T>, stepMs = 20): Promise<T> {
    let settled = false
    const done = work.finally(() => {
      settled = true
    })
    done.catch(() => {})
    for (let round = 0; round < 2_500 && !settled; round++)
      await this.clock.settle(round < 5 ? 0 : stepMs)
    if (!settled) throw new Stuck('it does not come to an end')
    return done
  }

  /** The server dies and comes back without the last slots. */
  loseLast(count: number): void {
    this.server.loseLast(SHARD, count)
    for (const { line } of this.all) line.cut()
  }

  settle(ms = 0): Promise<void> {
    return this.clock.settle(ms)
  }
}

export interface NodeOptions {
  store?: Partial<MemoryStoreOptions>
  journal?: Partial<MemoryJournalOptions>
  commit?: Partial<JournaledCommitDeps>
}

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  fields: Record<string, unknown>
  message: string
}

export class JournaledNode {
  readonly nodes: Nodes
  readonly name: string
  readonly options: NodeOptions
  readonly line: Line
  readonly lines: LogLine[] = []
  readonly stops: { shard: number; why: string; kind: string }[] = []
  store: MemoryStore
  transport: MemoryTransport
  client: Client
  engine!: ShardEngine
  commit!: JournaledCommit
  opened: 'no' | 'serves' | ErrorRecord = 'no'
  #server: ShardServer | undefined

  constructor(nodes: Nodes, name: string, options: NodeOptions) {
    const { clock } = nodes
    this.nodes = nodes
    this.name = name
    this.options = options
    this.line = new Line(clock, nodes.server, options.journal)
    nodes.all.push(this)
    this.store = new nodes.parts.Store({ clock, ...options.store })
    this.transport = new MemoryTransport({ clock })
    this.client = this.#makeClient()
  }

  #makeClient(): Client {
    const { clock, limits } = this.nodes
    const random = new SeededRandom(this.nodes.seeds++)
    const { transport } = this
    return new Client({
      transport,
      subjects: subjectsOf('test'),
      clock,
      random,
      limits,
      shardCount: 1,
    })
  }

  get connection(): MemoryJournal {
    return this.line.connection
  }

  get said(): Said[] {
    return this.line.said
  }

  /** A new engine tries to take the shard, named by a view of its own unless one is given. */
  open(viewVersion = this.nodes.views++): void {
    const { clock, limits, parts, machines } = this.nodes
    const { store, transport, name } = this
    const subjects = subjectsOf('test')
    const random = new SeededRandom(this.nodes.seeds++)
    const log = memoryLog(this.lines)
    this.#server?.stop()
    if (this.engine) this.engine.stop()
    this.opened = 'no'
    this.commit = new parts.JournaledCommit({
      shard: SHARD,
      store,
      journal: this.line,
      clock,
      random: new SeededRandom(this.nodes.seeds++),
      log,
      node: name,
      viewVersion,
      ...this.options.commit,
    })
    this.engine = new ShardEngine({
      shard: SHARD,
      shardCount: 1,
      limits,
      store,
      clock,
      random,
      log,
      transport,
      subjects,
      taskQueue: new MemoryTaskQueue({ clock }),
      machines: new Map(machines.map((machine) => [machine.name, hostMachine(machine, limits)])),
      budget: new ResidentBudget(limits.residentBytesMax),
      walks: new WalkTurns({ clock }),
      commit: this.commit,
      live: { start: () => {}, send: () => {}, stop: () => {} },
      announces: false,
      stopped: (reason) => void this.stops.push(reason),
    })
    this.#server = serveShard(this.engine, transport, subjects, limits)
    this.engine.open((failure) => {
      this.opened = failure ?? 'serves'
    })
  }

  /** Opens and waits until it serves. */
  async serve(viewVersion?: number): Promise<void> {
    this.open(viewVersion)
    await this.opening()
    if (this.opened !== 'serves') throw new Stuck(`${this.name}: ${JSON.stringify(this.opened)}`)
  }

  async opening(): Promise<void> {
    for (let round = 0; round < 5_000 && this.opened === 'no'; round++)
      await this.nodes.settle(round < 20 ? 0 : 5)
    if (this.opened === 'no') throw new Stuck(`${this.name} neither takes the shard nor gives up`)
  }

  /** As kill -9: nobody is answered, and only what was flushed is left. What it sent is on its way. */
  kill(options: Partial<MemoryStoreOptions> = {}): void {
    const { clock } = this.nodes
    this.transport.close()
    this.engine?.stop()
    this.store = this.store.crash(options)
    this.transport = new MemoryTransport({ clock })
    this.client = this.#makeClient()
    this.stops.length = 0
    this.opened = 'no'
  }

  /** Killed and started again. */
  async restart(options: Partial<MemoryStoreOptions> = {}): Promise<void> {
    this.kill(options)
    await this.serve()
  }

  /** The answer that counts: `ok` or the code of the failure. */
  async answer(work: Promise<unknown>): Promise<string> {
    return this.nodes.run(
      work.then(
        () => 'ok',
        (thrown: { code?: string }) => thrown.code ?? String(thrown),
      ),
    )
  }

  note(address: string, text: string, id?: string, timeoutMs = 2_000): Promise<unknown> {
    const options = id === undefined ? { timeoutMs } : { timeoutMs, id }
    return this.client.send(address, { type: 'NOTE', text }, options)
  }

  async seen(address: string): Promise<string[]> {
    const view = await this.nodes.run(this.client.get(address, { timeoutMs: 2_000 }))
    return (view.context as { seen: string[] }).seen
  }

  /** Bytes sent to a slot, once per try. */
  triesOf(slot: number): Buffer[] {
    return this.said
      .filter((one) => one.on === 'write' && one.slot === slot)
      .map((one) => one.record!)
  }

  errors(): string[] {
    return this.lines.filter(({ level }) => level === 'error').map(({ message }) => message)
  }
}

function memoryLog(lines: LogLine[]): Log {
  const at = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields: fields as Record<string, unknown>, message })
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  }
  return log
}
