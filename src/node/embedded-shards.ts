/**
 * All shards on one node, with a transaction of its store as their journal. Decides: that the node has
 * all of them or none.
 */
import type { EventObject, ShardStatus } from '../protocol/index.ts'
import { TroupeError } from '../protocol/index.ts'
import {
  EmbeddedCommit,
  type EngineStop,
  type OwnerCondition,
  ResidentBudget,
  ShardEngine,
  type ShardServer,
  serveShard,
  WalkTurns,
} from '../shard/index.ts'
import { type Shards, type ShardsDeps, stuckReasons } from './ground.ts'
import { OwnLeader } from './leader-line.ts'
import type { NodePlan } from './options.ts'

export class EmbeddedShards implements Shards {
  readonly leader: OwnLeader
  readonly #plan: NodePlan
  readonly #owner: OwnerCondition
  readonly #deps: ShardsDeps
  readonly #engines: ShardEngine[] = []
  readonly #servers: ShardServer[] = []
  #isStopping = false

  constructor(plan: NodePlan, owner: OwnerCondition, deps: ShardsDeps) {
    this.leader = new OwnLeader(plan.name)
    this.#plan = plan
    this.#owner = owner
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { ground, live, here } = this.#deps
    const { limits, log, registered } = this.#plan
    const { clock, random, transport, subjects, taskQueue } = ground
    const { store, shardCount } = ground.data
    const budget = new ResidentBudget(limits.residentBytesMax)
    const walks = new WalkTurns({ clock })
    const opened: Promise<void>[] = []
    for (let shard = 0; shard < shardCount; shard++) {
      const engine = new ShardEngine({
        ...{ shard, shardCount, limits, store, clock, random, log },
        ...{ transport, subjects, taskQueue, budget, walks, live },
        machines: registered.machines,
        commit: new EmbeddedCommit(shard, store, this.#owner),
        singletons: registered.singletons,
        announces: true,
        stopped: (reason) => this.#ended(reason),
      })
      this.#engines.push(engine)
      this.#servers.push(serveShard(engine, transport, subjects, limits, { here }))
      opened.push(open(engine))
    }
    await Promise.all(opened)
  }

  status(): { shards: ShardStatus[]; reasons: string[] } {
    const shards = this.#engines.map((engine) => engine.status())
    const notServing = shards
      .filter(({ state }) => state !== 'serving')
      .map(({ shard, state }) => `shard ${shard} is ${state}`)
    return { shards, reasons: [...notServing, ...stuckReasons(shards)] }
  }

  /** There is nobody else. */
  async leave(): Promise<void> {}

  stop(): void {
    this.#isStopping = true
    for (const server of this.#servers) server.stop()
    for (const engine of this.#engines) engine.stop()
  }

  liveEvent(shard: number, address: string, effectId: string, event: EventObject): void {
    this.#engines[shard]?.liveEvent(address, effectId, event)
  }

  #ended({ shard, why, kind }: EngineStop): void {
    if (this.#isStopping) return
    this.#plan.log.error({ shard, why, kind }, 'a shard stopped; the node stops with it')
    this.#deps.stopped(why)
  }
}

function open(engine: ShardEngine): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.open((failure) => (failure ? reject(TroupeError.from(failure)) : resolve()))
  })
}
