/**
 * The shards that a cluster gives to this node. Decides: when the node has joined, when it need not wait
 * for others any more as it leaves, and what of that is told. Leaves to others: who has which shard
 * (cluster/).
 */
import { type ClusterLimits, ClusterNode, type ClusterStatus } from '../cluster/index.ts'
import type { Checkpoints, Journal, Registry } from '../ports/index.ts'
import { type EventObject, type ShardStatus, TroupeError } from '../protocol/index.ts'
import { ResidentBudget } from '../shard/index.ts'
import { reportOf, seatsOf } from './cluster-report.ts'
import { type Shards, type ShardsDeps, stuckReasons } from './ground.ts'
import { ClusterLeader, type LeaderLine } from './leader-line.ts'
import { answerAsLeader, giveOrder, plansOf } from './leader-orders.ts'
import type { Membership } from './node.ts'
import type { NodePlan } from './options.ts'
import type { Peers } from './peers.ts'

export interface Place {
  /** How much it takes in proportion to the others. Default 1. */
  weight?: number
  /** Owner and standby stand in different ones, where there are two. */
  zone?: string
  limits?: Partial<ClusterLimits>
  /** Then the node goes on without its shards: operators have to be able to look. Default 60 s. */
  joinMs?: number
  /** How long a first try of a request waits for its answer. Default 5 s. */
  answerMs?: number
}

export interface ClusterShardsDeps extends ShardsDeps {
  journal: Journal
  registry: Registry
  checkpoints: Checkpoints
  /** What the journal takes in one message. */
  recordBytesMax: number | undefined
  place: Place
  peers: Peers
  /** Ends the wait for the first shards. */
  signal: AbortSignal | undefined
}

const JOIN_MS = 60_000
const LOOK_MS = 50
const SAY_MS = 5_000

export class ClusterShards implements Shards {
  readonly membership: Membership
  readonly leader: LeaderLine
  readonly #plan: NodePlan
  readonly #deps: ClusterShardsDeps
  readonly #node: ClusterNode
  #isRunning = false

  constructor(plan: NodePlan, deps: ClusterShardsDeps) {
    this.#plan = plan
    this.#deps = deps
    const { name, limits, log, registered } = plan
    const { ground, here, live, journal, registry, checkpoints, recordBytesMax, place } = deps
    const { clock, random, transport, taskQueue, subjects, data } = ground
    this.#node = new ClusterNode({
      ...{ name, limits, log, clock, random, transport, taskQueue, subjects },
      ...{ here, live, journal, registry, checkpoints },
      bootId: random.id(),
      weight: place.weight ?? 1,
      zone: place.zone ?? null,
      store: data.store,
      shardCount: data.shardCount,
      machines: registered.machines,
      singletons: registered.singletons,
      ...(place.limits && { clusterLimits: place.limits }),
      ...(recordBytesMax !== undefined && { recordBytesMax }),
      budget: new ResidentBudget(limits.residentBytesMax),
      announces: true,
      stopped: (reason) => this.#failed(reason),
    })
    deps.peers.on('give-up', (node) => this.#node.giveUp(String(node)))
    this.leader = new ClusterLeader({
      ...{ name, clock, peers: deps.peers },
      leader: () => this.#node.status().leader?.name,
      leads: () => this.#node.status().leads,
    })
    answerAsLeader(this.leader, this.#node)
    this.membership = {
      status: () => reportOf(this.#node.status()),
      seats: () => seatsOf(this.#node.status()),
      plans: (options) => plansOf(this.leader, options),
      order: (order, { dryRun = false } = {}) => giveOrder(this.leader, order, dryRun),
      giveUp: (node) => this.#giveUp(node),
    }
  }

  async start(): Promise<void> {
    const { ground, place, signal } = this.#deps
    const { clock } = ground
    this.#isRunning = true
    this.#node.start()
    const endMs = clock.monotonic() + (place.joinMs ?? JOIN_MS)
    await this.#look(
      () => this.#hasJoined() || signal?.aborted === true || clock.monotonic() >= endMs,
      () => this.#say('this node waits to be given its shards'),
    )
    if (!this.#isRunning || signal?.aborted) return
    if (this.#hasJoined()) this.#say('this node has joined the cluster')
    else this.#say('this node goes on without all of its shards', 'error')
  }

  status(): { shards: ShardStatus[]; reasons: string[] } {
    const { leader, leaving, view, shards, members } = this.#node.status()
    const own = shards.flatMap(({ engine }) => engine ?? [])
    const waiting = shards.flatMap(({ shard, waitsFor }) =>
      waitsFor.length > 0 ? [`shard ${shard} waits for the records of ${waitsFor.join(', ')}`] : [],
    )
    const isLed = members.some(({ name }) => name === leader?.name)
    const reasons = [
      ...(this.#isRunning ? [] : ['the node takes no part in the cluster']),
      ...(isLed ? [] : ['no leader is heard']),
      ...(isMember(view, this.#plan.name) ? [] : ['the cluster does not know this node yet']),
      ...(leaving ? ['the node hands over its shards'] : []),
    ]
    return { shards: own, reasons: [...reasons, ...waiting, ...stuckReasons(own)] }
  }

  async leave(): Promise<void> {
    if (!this.#isRunning) return
    let isDone = false
    this.#node.leave(() => {
      isDone = true
    })
    // Where all leave at once nobody takes anything any more.
    await this.#look(
      () => isDone || !this.#hasHeirs(),
      () => this.#say('this node hands over its shards'),
    )
    if (this.#isRunning) this.#say('this node leaves the cluster')
  }

  stop(): void {
    this.#isRunning = false
    this.#node.stop()
  }

  liveEvent(shard: number, address: string, effectId: string, event: EventObject): void {
    this.#node.liveEvent(shard, address, effectId, event)
  }

  /** Whoever waits for it may be any node. @throws TroupeError `conflict` */
  async #giveUp(node: string): Promise<number[]> {
    const heard = this.#node.status().members.map(({ name }) => name)
    if (heard.includes(node)) {
      const why = `the node ${node} is there and gives its records by itself: nothing has to be given up`
      throw new TroupeError('conflict', why)
    }
    const { peers } = this.#deps
    const answers = await Promise.all(heard.map((one) => peers.ask(one, 'give-up', node)))
    const shards = answers.flatMap((answer) => (answer ?? []) as number[])
    return [...new Set(shards)].sort((a, b) => a - b)
  }

  #failed({ why, shard }: { why: string; shard?: number }): void {
    this.#isRunning = false
    const { log } = this.#plan
    log.error({ why, shard }, 'this node cannot take part any more; it stops')
    this.#deps.stopped(why)
  }

  /** The cluster knows it, and it serves what it is named for. */
  #hasJoined(): boolean {
    const status = this.#node.status()
    const { name } = this.#plan
    if (!status.leader || !isMember(status.view, name)) return false
    return status.shards.every(
      ({ shard, engine }) => status.view?.owners[shard] !== name || engine?.state === 'serving',
    )
  }

  #hasHeirs(): boolean {
    const { members, view } = this.#node.status()
    const drained = new Set(view?.wishes.drains.map(({ node }) => node))
    return members.some(
      ({ name, leaving }) => name !== this.#plan.name && !leaving && !drained.has(name),
    )
  }

  /** Until it is over, or the node has stopped. */
  async #look(isOver: () => boolean, say: () => void): Promise<void> {
    const { clock } = this.#deps.ground
    let sayMs = clock.monotonic() + SAY_MS
    while (this.#isRunning && !isOver()) {
      if (clock.monotonic() >= sayMs) {
        say()
        sayMs = clock.monotonic() + SAY_MS
      }
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
    }
  }

  #say(message: string, level: 'info' | 'error' = 'info'): void {
    const { leader, shards } = this.#node.status()
    const serves = shards.filter(({ engine }) => engine?.state === 'serving').length
    const waitsFor = [...new Set(shards.flatMap((one) => one.waitsFor))]
    const fields = { node: this.#plan.name, leader: leader?.name, serves, of: shards.length }
    this.#plan.log[level]({ ...fields, ...(waitsFor.length > 0 && { waitsFor }) }, message)
  }
}

function isMember(view: ClusterStatus['view'], name: string): boolean {
  return view?.members.some((one) => one.name === name) ?? false
}
