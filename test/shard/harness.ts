/**
 * Engines on memory adapters and a virtual clock, driven by the real client: what a node is, without
 * its disk and its time. `run` lets everything happen that is due now; `advance` moves the clock.
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
import type { Log, TaskDelivery } from '../../src/ports/index.ts'
import { type Limits, resolveLimits, subjectsOf } from '../../src/protocol/index.ts'
import {
  EmbeddedCommit,
  type LiveHost,
  ResidentBudget,
  ShardEngine,
  serveShard,
  WalkTurns,
} from '../../src/shard/index.ts'

/** The row by which a process owns the directory. */
export const OWNER = { key: Uint8Array.of(0xff, 0xff, 2), equals: Uint8Array.of(1) }

export interface HarnessOptions {
  machines: readonly MachineDefinition[]
  limits?: Partial<Limits>
  shardCount?: number
  seed?: number
  /** From visible to on disk; in the same instant when absent. */
  flushDelayMs?: number
  /** Goes on with the data of another harness, as after a restart. */
  from?: Harness
  live?: LiveHost
  log?: Log
  /** What the transport takes in one message; anything when absent. */
  payloadBytesMax?: number
}

export class Harness {
  readonly clock: VirtualClock
  readonly store: MemoryStore
  readonly transport: MemoryTransport
  readonly taskQueue: MemoryTaskQueue
  readonly client: Client
  readonly limits: Limits
  readonly engines: ShardEngine[] = []
  readonly shardCount: number
  readonly stops: { shard: number; why: string; kind: string }[] = []
  readonly deliveries: TaskDelivery[] = []
  readonly liveStarted: Parameters<LiveHost['start']>[0][] = []
  readonly liveStopped: string[] = []

  constructor(options: HarnessOptions) {
    const { from } = options
    this.clock = from?.clock ?? new VirtualClock()
    for (const engine of from?.engines ?? []) engine.stop()
    const { flushDelayMs } = options
    const disk = { clock: this.clock, ...(flushDelayMs === undefined ? {} : { flushDelayMs }) }
    this.store = from ? from.store.crash() : new MemoryStore(disk)
    const { payloadBytesMax } = options
    const carried = payloadBytesMax === undefined ? {} : { payloadBytesMax }
    this.transport = new MemoryTransport({ clock: this.clock, ...carried })
    this.taskQueue = new MemoryTaskQueue({ clock: this.clock })
    this.limits = resolveLimits(options.limits)
    this.shardCount = from?.shardCount ?? options.shardCount ?? 4
    const random = new SeededRandom(options.seed ?? 1)
    const subjects = subjectsOf('test')
    const machines = new Map(
      options.machines.map((machine) => [machine.name, hostMachine(machine, this.limits)]),
    )
    const budget = new ResidentBudget(this.limits.residentBytesMax)
    const walks = new WalkTurns({ clock: this.clock })
    this.store.write({ writes: [[OWNER.key, OWNER.equals]], failed: () => {} })
    this.clock.advance(0)
    const { clock, store, transport, taskQueue, limits, shardCount } = this
    const live: LiveHost = options.live ?? {
      start: (child) => void this.liveStarted.push(child),
      send: () => {},
      stop: (effectId) => void this.liveStopped.push(effectId),
    }
    for (let shard = 0; shard < shardCount; shard++) {
      const commit = new EmbeddedCommit(shard, store, OWNER)
      const engine = new ShardEngine({
        shard,
        shardCount,
        limits,
        store,
        clock,
        random,
        log: options.log ?? silentLog,
        transport,
        subjects,
        taskQueue,
        machines,
        budget,
        walks,
        commit,
        live,
        announces: true,
        stopped: (reason) => void this.stops.push(reason),
      })
      this.engines.push(engine)
      serveShard(engine, transport, subjects, limits)
      engine.open(() => {})
    }
    this.client = new Client({ transport, subjects, clock, random, limits, shardCount })
  }

  /** Serves a queue: deliveries are collected, and nothing is done with them. */
  consume(queue: string, slots = 100): void {
    this.taskQueue.consume({ queue, slots }, (delivery) => void this.deliveries.push(delivery))
  }

  /** Lets everything happen that is due now, and waits for the outcome; time moves if it must. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const done = work.finally(() => {
      settled = true
    })
    done.catch(() => {})
    for (let round = 0; round < 1_000 && !settled; round++)
      await this.clock.settle(round < 5 ? 0 : 20)
    return done
  }

  advance(ms: number): Promise<void> {
    return this.clock.settle(ms)
  }
}
