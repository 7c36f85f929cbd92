/**
 * The cluster side of one node: membership, election, views and shards, put together.
 *
 * Decides: the order in which they start and stop, and whom each tells what. Leaves to others: which
 * adapters stand behind the ports, and ending the process (src/node).
 */
import type { Registry } from '../ports/index.ts'
import type { EventObject } from '../protocol/index.ts'
import { Election } from './election.ts'
import { Leader, type OrderOutcome } from './leader.ts'
import { type ClusterLimits, resolveClusterLimits } from './limits.ts'
import { type MemberBeat, Members } from './members.ts'
import type { LeaderReport } from './orders.ts'
import { type DrainOutcome, Ownership } from './ownership.ts'
import { type Life, Probes } from './probes.ts'
import type { SeatStatus } from './seat.ts'
import type { SharedDeps } from './seat-deps.ts'
import { Tails } from './tails.ts'
import type { Versions } from './versions.ts'
import { type View, ViewMemory } from './view.ts'
import { Views } from './views.ts'
import type { Order } from './wishes.ts'

export interface ClusterNodeDeps extends SharedDeps {
  /** New at every start of the process. */
  bootId: string
  /** How much it takes in proportion to the others. */
  weight: number
  zone: string | null
  registry: Registry
  clusterLimits?: Partial<ClusterLimits>
  /** What the journal takes in one message. */
  recordBytesMax?: number
  /** Without an acknowledgement for this long an owner reads the end before it writes. */
  ownerSilenceMs?: number
  /** Memory and disk may not agree: the process has to end. Told once. */
  stopped: (reason: { why: string; shard?: number }) => void
}

export interface ClusterStatus {
  name: string
  leader: { name: string; epoch: number } | undefined
  /** Whether this node leads and may act. */
  leads: boolean
  leaving: boolean
  viewNumber: number
  view: View | undefined
  /** Who is heard, as they describe themselves. */
  members: MemberBeat[]
  /** `waitsFor`: whose records are waited for, since the journal may have lost its end. */
  shards: (SeatStatus & { waitsFor: string[] })[]
}

export class ClusterNode {
  readonly #deps: ClusterNodeDeps
  readonly #election: Election
  readonly #members: Members
  readonly #probes: Probes
  readonly #views: Views
  readonly #leader: Leader
  readonly #tails: Tails
  readonly #ownership: Ownership
  readonly #versions: Versions
  #stopped = false

  constructor(deps: ClusterNodeDeps) {
    this.#deps = deps
    const { store, shardCount, log } = deps
    const limits = resolveClusterLimits(deps.clusterLimits)
    const failed = (why: string, shard?: number) => this.#failed(why, shard)
    this.#versions = new Map(
      [...deps.machines].map(([name, { definition }]) => [name, definition.version]),
    )
    const memory = new ViewMemory(store, shardCount, log)
    this.#views = new Views({
      ...deps,
      ...{ limits, memory, failed },
      changed: (view) => this.#viewChanged(view),
    })
    this.#members = new Members({
      ...deps,
      limits,
      describe: () => this.#describe(),
      changed: () => {
        this.#ownership.reconcile()
        this.#leader.heard()
      },
    })
    this.#probes = new Probes({
      ...deps,
      limits,
      live: () => this.#members.live(),
      watches: ({ name }) =>
        this.#election.epoch !== undefined || this.#election.leader?.name === name,
      heardAtMs: (life) => this.#members.heardAtMs(life),
      answered: (life) => this.#members.answered(life),
      gone: (life) => this.#gone(life),
    })
    this.#election = new Election({
      ...{ ...deps, limits, failed },
      hasListened: () => this.#probes.hasListened,
      changed: () => this.#leader.act(),
    })
    this.#leader = new Leader({
      ...deps,
      ...{ limits, election: this.#election, members: this.#members, views: this.#views },
    })
    this.#tails = new Tails({
      ...deps,
      ...{ limits, failed, views: this.#views },
      yieldTo: (shard, viewNumber) => this.#ownership.seats[shard]?.yieldTo(viewNumber),
    })
    this.#ownership = new Ownership({
      ...deps,
      clusterLimits: limits,
      versions: this.#versions,
      recordBytesMax: deps.recordBytesMax,
      ownerSilenceMs: deps.ownerSilenceMs,
      ...{ views: this.#views, members: this.#members, otherTails: this.#tails },
      changed: () => this.#members.beatSoon(),
      failed: ({ why, shard }) => failed(why, shard),
    })
  }

  start(): void {
    this.#tails.start()
    this.#members.start()
    this.#probes.start()
    this.#views.start()
    this.#election.start()
    this.#leader.start()
  }

  /** Hands over what it serves, and goes on serving meanwhile; `stop` is called after `done`. */
  leave(done: (outcome: DrainOutcome) => void): void {
    this.#ownership.leave(done)
  }

  /** At once: what is under way stays unknown, and nobody is told of anything any more. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#leader.stop()
    this.#election.stop()
    this.#views.stop()
    this.#probes.stop()
    this.#members.stop()
    this.#ownership.stop()
    this.#tails.stop()
  }

  /** An operator's word: shards that wait for the records of this node go on without. */
  giveUp(node: string): number[] {
    return this.#tails.giveUp(node)
  }

  /** An operator's word to the leader; `done` is told once it is as durable as a view. */
  order(order: Order, isDryRun: boolean, done: (outcome: OrderOutcome) => void): void {
    this.#leader.order(order, isDryRun, done)
  }

  /** Undefined where this node does not lead. */
  leaderReport(): LeaderReport | undefined {
    return this.#leader.report()
  }

  /** An event of a callback or observable that runs beside an owner. */
  liveEvent(shard: number, address: string, effectId: string, event: EventObject): void {
    this.#ownership.seats[shard]?.liveEvent(address, effectId, event)
  }

  status(): ClusterStatus {
    const { leader } = this.#election
    return {
      name: this.#deps.name,
      leader: leader && { name: leader.name, epoch: leader.epoch },
      leads: this.#election.epoch !== undefined,
      leaving: this.#ownership.isLeaving,
      viewNumber: this.#views.number,
      view: this.#views.view,
      members: this.#members.live(),
      shards: this.#ownership.seats.map((seat) => ({
        ...seat.status(),
        waitsFor: this.#tails.waitsFor(seat.shard),
      })),
    }
  }

  #describe(): MemberBeat {
    const { name, bootId, weight, zone } = this.#deps
    return {
      ...{ name, bootId, weight, zone },
      leaving: this.#ownership.isLeaving,
      viewNumber: this.#views.number,
      serves: this.#ownership.serves(),
      lags: this.#ownership.lags(),
      machines: this.#versions,
      refuses: this.#ownership.refuses(),
    }
  }

  #viewChanged(view: View): void {
    this.#election.saw(view.leaderEpoch)
    this.#ownership.reconcile()
  }

  /** Whatever it owned is free, and who leads is elected anew, without waiting for its silence. */
  #gone(life: Life): void {
    this.#members.gone(life)
    this.#election.gone(life)
    this.#leader.act()
  }

  #failed(why: string, shard?: number): void {
    if (this.#stopped) return
    this.stop()
    this.#deps.stopped({ why, ...(shard !== undefined && { shard }) })
  }
}
