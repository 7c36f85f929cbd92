/**
 * One simulated node: production engines on simulated ports, from start to crash.
 *
 * Decides: what a node is made of, what a crash takes from it, and that a disk which failed ends its
 * process. Leaves to others: which shards it tries to take (NodeLogic), when things befall it.
 */
import type { VirtualClock } from '../../src/adapters/memory/index.ts'
import type { Order } from '../../src/cluster/index.ts'
import type { Clock, Log, Random, TaskQueue } from '../../src/ports/index.ts'
import type { EventObject, Limits, Subjects } from '../../src/protocol/index.ts'
import {
  type CommitPath,
  type Machines,
  type ShardEngine,
  type ShardServer,
  WalkTurns,
} from '../../src/shard/index.ts'
import type { Recorder } from './events.ts'
import type { Guest } from './guest.ts'
import { FOUNDER, type Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'
import { type ClockView, ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'
import type { SimDirectory } from './sim-directory.ts'
import { JournalLine, type SimJournalServer } from './sim-journal.ts'
import { SimLive } from './sim-live.ts'
import { type SimDisk, SimStore } from './sim-store.ts'
import type { SimTasks } from './sim-tasks.ts'
import { type SimNetwork, SimTransport } from './sim-transport.ts'

/** What all nodes of a world share. */
export interface Surroundings {
  base: VirtualClock
  network: SimNetwork
  journal: SimJournalServer
  tasks: SimTasks
  recorder: Recorder
  parameters: Parameters
  parts: Parts
  subjects: Subjects
  /** Hosted machines by version. */
  machines: Record<1 | 2, Machines>
  /** Of embedded nodes, and of the first of a cluster that begins with what it had alone. */
  directory: SimDirectory | undefined
  guest: Guest | undefined
}

export type LiveEvent = [shard: number, address: string, effectId: string, event: EventObject]

/** Who decides which shards a node takes: it starts with the process and ends with it. */
export interface NodeLogic {
  start(): void
  stop(): void
  /** Whether this node is a shard's owner, as far as it knows. */
  serves(shard: number): boolean
  /** Hands over what it serves, where that is known. */
  leave?(done: () => void): void
  /** An operator's word; only who leads takes it. */
  order?(order: Order, done: (isTaken: boolean) => void): void
  /** For logics whose shards the node does not see. */
  liveEvent?(...live: LiveEvent): void
  /** What it knows, for people. */
  describe?(): { viewNumber: number }
  /** Whether what it does now goes on by promises. */
  readonly hasPromises?: boolean
}

export interface OwnedShard {
  engine: ShardEngine
  server: ShardServer
  viewVersion: number
}

/** The ports of one life of a node. */
export interface Life {
  process: ProcessClock
  clock: Clock
  random: Random
  store: SimDisk
  transport: SimTransport
  journal: JournalLine
  taskQueue: TaskQueue
  log: Log
  live: SimLive
  shards: Map<number, OwnedShard>
}

export class SimNode {
  readonly name: string
  readonly around: Surroundings
  readonly #random: SimRandom
  readonly #makeLogic: (node: SimNode) => NodeLogic
  readonly #view: ClockView
  version: 1 | 2 = 1
  life: Life | undefined
  #logic: NodeLogic | undefined
  /** What its own disk holds; it outlives the process. */
  #disk: SimStore | undefined
  #lives = 0
  isLineHeld = false
  /** What this life runs for the guest of the world. */
  #guests: { crash(): void } | undefined

  constructor(
    name: string,
    around: Surroundings,
    random: SimRandom,
    makeLogic: (node: SimNode) => NodeLogic,
  ) {
    this.name = name
    this.around = around
    this.#random = random
    this.#makeLogic = makeLogic
    const { skewMs, drift } = around.parameters
    const rate = 1 + (random.fraction() * 2 - 1) * drift
    this.#view = { skewMs: Math.floor((random.fraction() * 2 - 1) * skewMs), rate }
  }

  get isUp(): boolean {
    return this.life !== undefined
  }

  serves(shard: number): boolean {
    return this.#logic?.serves(shard) ?? false
  }

  get hasPromises(): boolean {
    return this.#logic?.hasPromises ?? false
  }

  /** What its logic knows, for people. */
  readonly describe = (): { viewNumber: number } | undefined => this.#logic?.describe?.()

  /** A planned end: what it serves goes to others first. */
  leave(why: string): void {
    const { life } = this
    const end = () => {
      if (this.life === life) this.crash(why)
    }
    if (this.#logic?.leave) this.#logic.leave(end)
    else end()
  }

  /** Nobody is told where nobody lives. */
  order(order: Order, done: (isTaken: boolean) => void): void {
    const { life } = this
    if (life && !life.process.isFrozen) this.#logic?.order?.(order, done)
  }

  get store(): SimDisk | undefined {
    return this.#directory ? this.life?.store : this.#disk
  }

  /** Instead of a disk of its own. */
  get #directory(): SimDirectory | undefined {
    const { directory, parameters } = this.around
    return parameters.logic === 'embedded' || this.name === FOUNDER ? directory : undefined
  }

  start(): void {
    if (this.life) return
    this.#lives += 1
    const { base, parameters, recorder, network, journal: server, tasks } = this.around
    const random = this.#random.fork(`life ${this.#lives}`)
    const process = new ProcessClock(base, this.#view)
    const { name } = this
    const store = this.#openDisk(process, random.fork('disk'))
    const journal = new JournalLine({
      base,
      process,
      node: name,
      server,
      random: random.fork('journal'),
      rates: parameters.journal,
      known: (shard, slot) => recorder.add({ kind: 'slot-known', node: name, shard, slot }),
    })
    if (this.isLineHeld) journal.hold()
    this.life = {
      process,
      clock: process,
      random: random.fork('engine'),
      store,
      transport: new SimTransport(network, name, process),
      journal,
      taskQueue: tasks.connect(name, process),
      log: this.#log(),
      live: this.#live(process),
      shards: new Map(),
    }
    recorder.add({ kind: 'node-up', node: name, version: this.version })
    this.#logic = this.#makeLogic(this)
    this.#logic.start()
    this.#guests = this.around.guest?.live(this, this.life)
  }

  #openDisk(process: ProcessClock, random: SimRandom): SimDisk {
    const { parameters, recorder } = this.around
    const directory = this.#directory
    const { name: node } = this
    if (directory) {
      this.version = directory.version === 2 ? 2 : this.version
      directory.version = this.version
      return directory.open(process, node)
    }
    const { disk: rates } = parameters
    const flushed = (shard: number, slot: number) =>
      recorder.add({ kind: 'flushed', node, shard, slot })
    this.#disk = new SimStore(process, { random, rates, flushed }, this.#disk)
    return this.#disk
  }

  /** As kill -9: nobody is told anything, and only what was flushed is left. */
  crash(why: string): void {
    const { life } = this
    if (!life) return
    this.around.recorder.add({ kind: 'node-down', node: this.name, why })
    this.#guests?.crash()
    life.process.die()
    life.transport.close()
    this.life = undefined
    this.#logic = undefined
  }

  /** Its disk is gone with its process. */
  wipe(): void {
    this.crash('its disk is gone')
    this.#disk = undefined
  }

  jump(byMs: number): void {
    this.around.recorder.add({ kind: 'clock-jumped', node: this.name, byMs })
    this.#view.skewMs += byMs
  }

  /** How many seconds its clocks count in a second, from its next life on. */
  drift(rate: number): void {
    this.#view.rate = rate
  }

  /** Tries to take a shard, named by a view. */
  open(shard: number, viewVersion: number, limits: Limits, embedded?: CommitPath): void {
    const { life, name, around } = this
    if (!life || life.shards.has(shard)) return
    const { store, clock, random, log, transport, taskQueue, journal, live } = life
    const { parts, subjects, parameters, recorder } = around
    const ports = { store, clock, random, log }
    const silence = { ownerSilenceMs: 5_000 }
    const journaled = { shard, ...ports, journal, node: name, viewVersion, ...silence }
    const commit = embedded ?? new parts.JournaledCommit(journaled)
    const engine = new parts.ShardEngine({
      shard,
      shardCount: parameters.shards,
      limits,
      ...ports,
      transport,
      subjects,
      taskQueue,
      machines: around.machines[this.version],
      budget: new parts.ResidentBudget(limits.residentBytesMax),
      walks: new WalkTurns({ clock }),
      commit,
      live,
      announces: around.guest !== undefined,
      stopped: ({ why, kind }) => this.#stopped(shard, engine, why, kind),
    })
    const server = parts.serveShard(engine, transport, subjects, limits)
    life.shards.set(shard, { engine, server, viewVersion })
    engine.open((failure) => {
      if (failure) {
        recorder.add({ kind: 'not-taken', node: name, shard, why: failure.message })
        return
      }
      const slot = commit instanceof parts.JournaledCommit ? (commit.epoch?.slot ?? 0) : 0
      recorder.add({ kind: 'taken', node: name, shard, slot, view: viewVersion })
    })
  }

  /** Lets a shard go of its own will. */
  letGo(shard: number): void {
    this.life?.shards.get(shard)?.engine.stop()
  }

  #stopped(shard: number, engine: ShardEngine, why: string, how: 'lost' | 'failed'): void {
    const { life, name, around } = this
    const owned = life?.shards.get(shard)
    if (!life || owned?.engine !== engine) return
    owned.server.stop()
    life.live.stopShard(shard)
    life.shards.delete(shard)
    around.recorder.add({ kind: 'stopped', node: name, shard, how, why })
    // An embedded node owns all of its shards or none.
    if (how === 'failed' || this.#directory) this.failed(why, shard)
  }

  /** Memory and disk no longer agree: the process ends. Not inside this very call. */
  failed(why: string, shard?: number): void {
    const { life, name, around } = this
    if (why.includes('broken invariant') || why.includes('\n    at ')) {
      around.recorder.add({ kind: 'broke', node: name, why })
    }
    const place = shard === undefined ? '' : `shard ${shard} `
    around.base.defer(() => {
      if (this.life === life) this.crash(`${place}failed: ${why.split('\n')[0]}`)
    })
  }

  #live(process: ProcessClock): SimLive {
    const { recorder } = this.around
    const forward = (...[shard, ...event]: LiveEvent) => {
      if (this.#logic?.liveEvent) this.#logic.liveEvent(shard, ...event)
      else this.life?.shards.get(shard)?.engine.liveEvent(...event)
    }
    return new SimLive(`${this.name}.${this.#lives}`, process, forward, (shard, effectId, how) =>
      recorder.add({ kind: 'callback', node: this.name, shard, effectId, how }),
    )
  }

  #log(): Log {
    const { recorder } = this.around
    const quiet = () => {}
    const log: Log = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (_fields, message) => recorder.add({ kind: 'error-logged', node: this.name, message }),
      child: () => log,
    }
    return log
  }
}
