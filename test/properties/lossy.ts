/**
 * Nodes of one shard each that can only reach each other over a bad line: every message between
 * shards may be lost, delayed beyond its time-out, sent twice, or delivered without its answer. Each
 * node has a store of its own, so that it can crash alone.
 */
import {
  MemoryStore,
  MemoryTaskQueue,
  MemoryTransport,
  SeededRandom,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { Client } from '../../src/client/index.ts'
import { hostMachine, type MachineDefinition } from '../../src/machine/index.ts'
import type {
  Clock,
  MessageHandler,
  SubscribeOptions,
  Subscription,
  Transport,
  TransportOutcome,
  TransportRequest,
} from '../../src/ports/index.ts'
import { type Limits, resolveLimits, subjectsOf } from '../../src/protocol/index.ts'
import {
  EmbeddedCommit,
  ResidentBudget,
  ShardEngine,
  serveShard,
  WalkTurns,
} from '../../src/shard/index.ts'

const OWNER = { key: Uint8Array.of(0xff, 0xff, 2), equals: Uint8Array.of(1) }

export type Fault =
  | { kind: 'none' }
  /** It never arrives. */
  | { kind: 'lost' }
  /** It arrives, and its answer does not. */
  | { kind: 'answer-lost' }
  /** It arrives, and once more later. */
  | { kind: 'twice'; afterMs: number }
  /** It arrives late, maybe when nobody waits for the answer any more. */
  | { kind: 'late'; afterMs: number }

type Done = (outcome: TransportOutcome) => void

export class LossyTransport implements Transport {
  readonly #inner: Transport
  readonly #clock: Clock
  readonly #isBad: (subject: string) => boolean
  /** What happens to the next messages; when it is empty the line is good. */
  faults: Fault[] = []

  constructor(inner: Transport, clock: Clock, isBad: (subject: string) => boolean) {
    this.#inner = inner
    this.#clock = clock
    this.#isBad = isBad
  }

  request(request: TransportRequest, done: Done): void {
    const fault = this.#isBad(request.subject) ? this.faults.shift() : undefined
    const again = () => this.#inner.request(request, () => {})
    switch (fault?.kind) {
      case 'lost':
        return this.#timeOut(request, done)
      case 'answer-lost':
        again()
        return this.#timeOut(request, done)
      case 'twice':
        this.#clock.after(fault.afterMs, again)
        return this.#inner.request(request, done)
      case 'late':
        return this.#late(request, done, fault.afterMs)
      default:
        return this.#inner.request(request, done)
    }
  }

  #timeOut({ timeoutMs }: TransportRequest, done: Done): void {
    this.#clock.after(timeoutMs, () => done({ kind: 'timeout' }))
  }

  #late(request: TransportRequest, done: Done, afterMs: number): void {
    let over = false
    const once: Done = (outcome) => {
      if (!over) done(outcome)
      over = true
    }
    this.#timeOut(request, once)
    this.#clock.after(afterMs, () => this.#inner.request(request, once))
  }

  publish(subject: string, payload: Uint8Array | string): void {
    this.#inner.publish(subject, payload)
  }

  hears(subject: string): boolean {
    return this.#inner.hears(subject)
  }

  connection(): number | undefined {
    return this.#inner.connection()
  }

  subscribe(subject: string, options: SubscribeOptions, handle: MessageHandler): Subscription {
    return this.#inner.subscribe(subject, options, handle)
  }
}

interface Node {
  store: MemoryStore
  engine: ShardEngine
  stop: () => void
}

export interface NodesOptions {
  machines: readonly MachineDefinition[]
  count: number
  limits: Partial<Limits>
  /** From visible to flushed: what a crash can take. */
  flushDelayMs: number
  /** Breaks something on purpose, to see that it is noticed. */
  sabotage?: { transport?: (inner: Transport) => Transport; store?: (store: MemoryStore) => void }
}

export class Nodes {
  readonly clock = new VirtualClock()
  readonly client: Client
  readonly line: LossyTransport
  readonly count: number
  readonly failures: string[] = []
  readonly #options: NodesOptions
  readonly #limits: Limits
  readonly #transport: Transport
  readonly #subjects = subjectsOf('test')
  readonly #random = new SeededRandom(7)
  readonly #nodes: Node[] = []

  constructor(options: NodesOptions) {
    const { clock } = this
    this.#options = options
    this.count = options.count
    this.#limits = resolveLimits(options.limits)
    const inner = new MemoryTransport({ clock })
    const relays = new Set(
      Array.from({ length: this.count }, (_, shard) => this.#subjects.relay(shard)),
    )
    this.line = new LossyTransport(inner, clock, (subject) => relays.has(subject))
    this.#transport = options.sabotage?.transport?.(this.line) ?? this.line
    for (let shard = 0; shard < this.count; shard++) {
      const store = new MemoryStore({ clock, flushDelayMs: options.flushDelayMs })
      store.write({ writes: [[OWNER.key, OWNER.equals]], failed: () => {} })
      this.#nodes.push(this.#begin(shard, store))
    }
    clock.advance(options.flushDelayMs)
    this.client = new Client({
      transport: inner,
      subjects: this.#subjects,
      clock,
      random: this.#random,
      limits: this.#limits,
      shardCount: this.count,
    })
  }

  #begin(shard: number, store: MemoryStore): Node {
    const { clock } = this
    this.#options.sabotage?.store?.(store)
    const limits = this.#limits
    const hosted = this.#options.machines.map(
      (machine) => [machine.name, hostMachine(machine, limits)] as const,
    )
    const engine = new ShardEngine({
      shard,
      shardCount: this.count,
      limits,
      store,
      clock,
      random: this.#random.fork(`${shard}`),
      log: silentLog,
      transport: this.#transport,
      subjects: this.#subjects,
      taskQueue: new MemoryTaskQueue({ clock }),
      machines: new Map(hosted),
      budget: new ResidentBudget(limits.residentBytesMax),
      walks: new WalkTurns({ clock }),
      commit: new EmbeddedCommit(shard, store, OWNER),
      live: { start: () => {}, send: () => {}, stop: () => {} },
      announces: false,
      stopped: ({ why, kind }) => {
        if (kind === 'failed') this.failures.push(why)
      },
    })
    const server = serveShard(engine, this.#transport, this.#subjects, limits)
    engine.open(() => {})
    return { store, engine, stop: () => server.stop() }
  }

  /** kill -9 of one node, and its restart with what its disk had. */
  crash(shard: number): void {
    const { store, engine, stop } = this.#nodes[shard]!
    stop()
    engine.stop()
    this.#nodes[shard] = this.#begin(shard, store.crash())
  }

  /** Lets time pass until the work is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const done = work.finally(() => {
      settled = true
    })
    done.catch(() => {})
    for (let round = 0; round < 2_000 && !settled; round++) await this.clock.settle(5)
    return done
  }
}
