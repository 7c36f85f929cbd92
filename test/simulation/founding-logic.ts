/**
 * A node of a cluster that begins with what its first node had alone, from that time on: production code
 * brings it in (src/node), with its promises, on simulated ports.
 *
 * Decides: that the first node is alone for a while, and again while its directory is nobody's; that the others wait
 * for the cluster to be made; and that it ends between two steps, by kill -9 or with its power. Leaves to
 * others: both ways to live (embedded-logic.ts, cluster-logic.ts).
 */
import type { Order } from '../../src/cluster/index.ts'
import { storedFormat, writeFormat } from '../../src/node/data.ts'
import { Joining } from '../../src/node/joining.ts'
import { memberDataIn } from '../../src/node/member-data.ts'
import { takePart } from '../../src/node/taking-part.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import { EmbeddedLogic } from './embedded-logic.ts'
import type { Life, LiveEvent, NodeLogic, SimNode } from './node.ts'
import { FOUNDER, type FoundingEnd } from './parameters.ts'
import type { SimRandom } from './random.ts'
import type { SimCheckpoints } from './sim-checkpoints.ts'
import type { SimRegistry } from './sim-registry.ts'

const CLUSTER = 'sim'
/** How often the others look whether there is a cluster. */
const LOOK_MS = 100
/** Mean time of a life alone, once it could be one of a cluster. */
const ALONE_MS = 1_500
/** Steps of a founding: those of the registry and the directory, and those of each shard. */
const STEPS = 20
const SHARD_STEPS = 30

export const KILLED_BETWEEN_STEPS = 'kill -9 between two steps of a founding'
export const ITS_POWER_FAILED = 'its power failed between two steps of a founding'

/** What the nodes of such a world share. */
export interface FoundingStage {
  random: SimRandom
  registry: SimRegistry
  checkpoints: SimCheckpoints
  /** The registry says who brings the first data. */
  hasFounder: boolean
  /** Of the founder, to become one of a cluster. */
  tries: number
  serve: (node: SimNode) => NodeLogic
}

export class FoundingLogic implements NodeLogic {
  readonly #node: SimNode
  readonly #life: Life
  readonly #stage: FoundingStage
  #logic: NodeLogic | undefined
  hasPromises = false

  constructor(node: SimNode, stage: FoundingStage) {
    const { life } = node
    if (!life) throw new Error(`${node.name} has no life to live in`)
    this.#node = node
    this.#life = life
    this.#stage = stage
  }

  start(): void {
    if (this.#node.name === FOUNDER) this.#try(() => this.#openDirectory())
    else this.#awaitCluster()
  }

  stop(): void {
    this.#logic?.stop()
  }

  serves(shard: number): boolean {
    return this.#logic?.serves(shard) ?? false
  }

  leave(done: () => void): void {
    if (this.#logic?.leave) this.#logic.leave(done)
    else done()
  }

  order(order: Order, done: (isTaken: boolean) => void): void {
    this.#logic?.order?.(order, done)
  }

  liveEvent(...[shard, ...event]: LiveEvent): void {
    if (this.#logic?.liveEvent) this.#logic.liveEvent(shard, ...event)
    else this.#life.shards.get(shard)?.engine.liveEvent(...event)
  }

  describe(): { viewNumber: number } {
    return this.#logic?.describe?.() ?? { viewNumber: 0 }
  }

  get #isOver(): boolean {
    return this.#node.life !== this.#life
  }

  #awaitCluster(): void {
    if (this.#stage.hasFounder) this.#try(() => this.#join())
    else this.#life.clock.after(LOOK_MS, () => this.#awaitCluster())
  }

  /** Whatever a process before it has written is on disk, and told of, before anybody goes by it. */
  async #openDirectory(): Promise<void> {
    const { name, around } = this.#node
    const { shards: shardCount, founding } = around.parameters
    const { store } = this.#life
    const known = storedFormat(store, name)
    await writeFormat(store, known ?? { shardCount, cluster: CLUSTER })
    const leftMs = founding.aloneMs - around.base.monotonic()
    const mayBeAlone = known?.member === undefined
    if (mayBeAlone && (leftMs > 0 || this.#stage.random.chance(founding.againAloneChance))) {
      return this.#beAlone(Math.max(leftMs, this.#stage.random.exponential(ALONE_MS)))
    }
    const end = this.#drawEnd()
    if (end) this.#endBetweenSteps(end)
    await this.#join()
  }

  #beAlone(forMs: number): void {
    if (this.#isOver) return
    const node = this.#node
    this.#logic = new EmbeddedLogic(node)
    this.#logic.start()
    node.around.base.after(forMs, () => {
      if (this.#isOver) return
      node.crash('it becomes one of a cluster')
      node.start()
    })
  }

  #drawEnd(): FoundingEnd | undefined {
    const { founding, shards } = this.#node.around.parameters
    const { random } = this.#stage
    const given = founding.ends[this.#stage.tries++]
    if (given || !random.chance(founding.crashChance)) return given
    const afterSteps = random.between(1, STEPS + SHARD_STEPS * shards)
    return { afterSteps, how: random.pick(['kill', 'power']) }
  }

  #endBetweenSteps({ afterSteps, how }: FoundingEnd): void {
    this.#life.process.tripAfter(afterSteps, () => {
      if (this.#isOver) return
      this.#node.crash(how === 'power' ? ITS_POWER_FAILED : KILLED_BETWEEN_STEPS)
      if (how === 'power') this.#node.around.directory?.losePower()
    })
  }

  /** As src/node/join.ts does it, but for who else answers to the name. */
  async #join(): Promise<void> {
    const { name, around } = this.#node
    const { process, store, random, clock, journal, log } = this.#life
    const { parameters } = around
    const data = await memberDataIn(store, name, { name, cluster: CLUSTER }, random)
    const peers = { who: () => Promise.resolve(undefined) }
    const registry = this.#stage.registry.connect(name, process)
    const checkpoints = this.#stage.checkpoints.connect(name, process)
    const joining = new Joining({ name, cluster: CLUSTER, clock, log, peers, registry })
    const agreed = await takePart({
      ...{ name, data, joining, journal, clock, random, log, checkpoints },
      shardCount: parameters.shards,
      // The disks of the others may be wiped.
      replace: name !== FOUNDER,
      chunkBytesMax: parameters.checkpoints.chunkBytesMax,
    })
    await data.settle(agreed)
    if (this.#isOver) return
    this.#logic = this.#stage.serve(this.#node)
    this.#logic.start()
  }

  /** What may be tried again ends the process; anything else nobody has asked for. */
  #try(act: () => Promise<void>): void {
    this.hasPromises = true
    const over = () => {
      this.hasPromises = false
    }
    act().then(over, (thrown: unknown) => {
      over()
      if (this.#isOver) return
      const isExpected =
        thrown instanceof TroupeError &&
        (thrown.code === 'unavailable' || thrown.code === 'store-failed')
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      if (!isExpected) this.#node.around.recorder.add({ kind: 'broke', node: this.#node.name, why })
      this.#node.failed(why)
    })
  }
}
