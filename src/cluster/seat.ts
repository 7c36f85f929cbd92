/**
 * One shard on this node: as its owner, as its standby, or not at all.
 *
 * Decides: when this node tries to take the shard that it is named for, and how it lets go of one that
 * it is not. Leaves to others: who is named (leader), whether a claim wins (the slots), what a shard
 * does (engine).
 */
import type { EventObject, ShardStatus } from '../protocol/index.ts'
import {
  type EngineStop,
  JournaledCommit,
  ShardEngine,
  type ShardServer,
  serveShard,
} from '../shard/index.ts'
import { CheckpointKeeper } from './checkpoint-keeper.ts'
import { LiveOfShard } from './live-of-shard.ts'
import type { SeatDeps } from './seat-deps.ts'
import { Standby } from './standby.ts'
import { TakeLog, type Takes } from './takes.ts'
import { knows } from './versions.ts'
import { neededOf, type View } from './view.ts'

interface Owning {
  engine: ShardEngine
  commit: JournaledCommit
  /** The view by which it claims. */
  by: number
  /** From its claim on: whoever asks by then need not ask again. */
  server: ShardServer | undefined
  serves: boolean
  live: LiveOfShard
}

interface Patience {
  to: string
  by: number
  isOver: boolean
  cancel: () => void
}

export interface SeatStatus {
  shard: number
  role: 'owner' | 'standby' | 'none'
  engine?: ShardStatus
  /** Of a standby; undefined while it is not known. */
  lag?: number | undefined
  /** Why this node refuses the shard, if it does. */
  parted?: string
  /** How often, and how, this node has taken it. */
  takes: Takes
}

export class Seat {
  readonly shard: number
  readonly #deps: SeatDeps
  readonly #keeper: CheckpointKeeper
  readonly #takes = new TakeLog()
  #owning: Owning | undefined
  /** While it waits for the owner before, and takes, those that only follow wait. */
  #endHold: (() => void) | undefined
  #standby: Standby | undefined
  /** What the last owner or standby has given to the store is not all taken: nobody follows it yet. */
  #isEnding = false
  /** Lost by a claim of this view: only a newer one names this node again. */
  #lostBy = 0
  /** Why this store and the journal do not belong together. Until the node starts again. */
  #parted: string | undefined
  /** Given up for a taker that is named by this view. */
  #yieldedTo = 0
  #retakes = 0
  #cancelRetake: (() => void) | undefined
  #cancelHandoff: (() => void) | undefined
  /** The view under which it has said that it is named, and has nothing left to do but to claim. */
  #readyBy = 0
  /** With the next owner, which has time to say that it has seen the view by which it is. */
  #patience: Patience | undefined
  /** The present owner had its time to let go. */
  #isHandoffOver = false
  #stopped = false

  constructor(shard: number, deps: SeatDeps) {
    this.shard = shard
    this.#deps = deps
    this.#keeper = new CheckpointKeeper({ ...deps, shard, limits: deps.clusterLimits })
  }

  /** By which view this node serves the shard, from its claim to its very end. */
  get servesBy(): number | undefined {
    return this.#owning?.serves ? this.#owning.by : undefined
  }

  /** Of a standby. */
  get lag(): number | undefined {
    return this.#standby?.lag
  }

  /** Others have to take it: here its store and the journal have parted. */
  get refuses(): boolean {
    return this.#parted !== undefined
  }

  get isOwner(): boolean {
    return this.#owning !== undefined
  }

  status(): SeatStatus {
    const common = { shard: this.shard, takes: this.#takes.takes }
    if (this.#owning) return { ...common, role: 'owner', engine: this.#owning.engine.status() }
    if (this.#standby) return { ...common, role: 'standby', lag: this.lag }
    return { ...common, role: 'none', ...(this.#parted !== undefined && { parted: this.#parted }) }
  }

  liveEvent(address: string, effectId: string, event: EventObject): void {
    this.#owning?.engine.liveEvent(address, effectId, event)
  }

  /** Brings what runs here to what the view says. Called whenever something may have changed. */
  reconcile(): void {
    const { views, name, versions } = this.#deps
    const { view } = views
    if (this.#stopped || this.#isEnding || !view || !views.isFresh) return
    // Started again in an older version, or parted: it is still named until the leader has heard so.
    const isFit = !this.refuses && knows(versions, neededOf(view, this.shard))
    const named = view.owners[this.shard] ?? null
    const owner = named === name && !isFit ? null : named
    if (owner !== name) this.#forgetTries()
    if (this.#owning) {
      if (owner !== name || this.#mayBeClaimedOver(this.#owning, view)) {
        if (this.#mayLetGo(this.#owning, owner)) this.#letGo(this.#owning, owner ?? '')
      } else this.#endPatience()
    } else if (owner === name) {
      this.#takes.named(() => this.#isServedElsewhere())
      const mayTake = this.#mayTake()
      // Also while it waits for the owner before: then nothing is left to wait for when that lets go.
      if (!this.#hasEndedStandby()) return
      if (mayTake) return this.#take()
      // The one before waits for a word under the view that it has, which may be newer than the last.
      if (this.#readyBy !== views.number) this.#deps.changed()
      this.#readyBy = views.number
    } else if (view.standbys[this.shard] === name && isFit) {
      this.#startStandby()
    } else {
      this.#hasEndedStandby()
    }
  }

  /**
   * Another takes the shard and asks for what was kept of it: it is let go first, so that nothing is
   * acknowledged here any more. Not again before a view as new as the taker's names this node.
   */
  yieldTo(viewNumber: number): void {
    this.#yieldedTo = Math.max(this.#yieldedTo, viewNumber)
    this.#owning?.engine.stop()
  }

  stop(): void {
    this.#stopped = true
    this.#forgetTries()
    this.#endPatience()
    this.#keeper.stop()
    this.#standby?.stop(() => {})
    this.#owning?.engine.stop()
  }

  /**
   * Another was named since the claim, and this node again before either noticed. The other may still
   * claim by the view that named it; a claim by the present view ends that.
   */
  #mayBeClaimedOver({ by, serves }: Owning, view: View): boolean {
    return serves && (view.former[this.shard] ?? []).some(({ until }) => until >= by)
  }

  #forgetTries(): void {
    this.#retakes = 0
    this.#takes.forget()
    this.#cancelRetake?.()
    this.#cancelRetake = undefined
    this.#endHandoff()
    this.#readyBy = 0
    this.#release()
  }

  #release(): void {
    this.#endHold?.()
    this.#endHold = undefined
  }

  #endHandoff(): void {
    this.#cancelHandoff?.()
    this.#cancelHandoff = undefined
    this.#isHandoffOver = false
  }

  /** Who is in the view no more is gone, as far as the leader knows: there is nobody to wait for. */
  #isServedElsewhere(): boolean {
    const { views, members } = this.#deps
    const isThere = (name: string) => views.view?.members.some((one) => one.name === name) ?? false
    return members.othersServing(this.shard).some(isThere)
  }

  #mayTake(): boolean {
    const { views, clock, clusterLimits } = this.#deps
    if (this.#cancelRetake || views.number <= this.#lostBy || views.number < this.#yieldedTo) {
      return false
    }
    if (this.#isHandoffOver || !this.#isServedElsewhere()) return true
    this.#endHold ??= this.#deps.turns.hold()
    // It finishes what is under way and says so; a claim over it would make its last batch fail.
    this.#cancelHandoff ??= clock.after(clusterLimits.handoffMs, () => {
      this.#isHandoffOver = true
      this.reconcile()
    })
    return false
  }

  #take(): void {
    const { shard } = this
    const { name, otherTails, views, recordBytesMax, ownerSilenceMs } = this.#deps
    const { clock, random, log, store, journal, checkpoints, turns } = this.#deps
    const by = views.number
    this.#takes.freed(clock.monotonic())
    // Whatever comes of it: the next try waits again for whoever serves the shard then.
    this.#endHandoff()
    this.#endHold ??= turns.hold()
    const commit = new JournaledCommit({
      ...{ shard, store, journal, checkpoints, clock, random, log, otherTails, turns },
      node: name,
      viewVersion: by,
      parted: (why) => this.#refuse(why),
      ...(recordBytesMax !== undefined && { recordBytesMax }),
      ...(ownerSilenceMs !== undefined && { ownerSilenceMs }),
    })
    const live = new LiveOfShard(this.#deps.live)
    const engine = new ShardEngine({
      ...this.#deps,
      shard,
      commit,
      live,
      stopped: (reason) => this.#ended(owning, reason),
    })
    const owning: Owning = { engine, commit, by, server: undefined, serves: false, live }
    this.#owning = owning
    engine.open(
      (failure) => {
        if (!failure) this.#serve(owning)
      },
      () => this.#listen(owning),
    )
  }

  #listen(owning: Owning): void {
    const { transport, subjects, limits, here } = this.#deps
    const options = { hearsWorkers: true, here }
    owning.server = serveShard(owning.engine, transport, subjects, limits, options)
  }

  #serve(owning: Owning): void {
    const { log, changed } = this.#deps
    log.debug({ shard: this.shard, view: owning.by }, 'this node serves a shard')
    this.#retakes = 0
    this.#release()
    this.#takes.serves(this.#deps.clock.monotonic())
    owning.serves = true
    const { epoch } = owning.commit
    const hasStandby = () => (this.#deps.views.view?.standbys[this.shard] ?? null) !== null
    const last = () => owning.commit.last
    if (epoch) this.#keeper.start({ role: 'owner', epoch, last, hasStandby })
    changed()
  }

  /**
   * It goes on until the next owner has said something under the view that names it: nobody else would serve
   * meanwhile. That is of the whole node; as a rule it speaks when it is ready to take this shard.
   */
  #mayLetGo({ serves }: Owning, to: string | null): boolean {
    const { views, members, clock, clusterLimits, name } = this.#deps
    if (!serves || to === null || to === name) return true
    if (this.#patience?.to !== to) {
      this.#endPatience()
      const end = () => {
        patience.isOver = true
        this.reconcile()
      }
      const cancel = clock.after(clusterLimits.letGoMs, end)
      const patience: Patience = { to, by: views.number, isOver: false, cancel }
      this.#patience = patience
    }
    return this.#patience.isOver || members.viewNumber(to) >= this.#patience.by
  }

  #endPatience(): void {
    this.#patience?.cancel()
    this.#patience = undefined
  }

  #letGo(owning: Owning, to: string): void {
    const { engine, live } = owning
    if (engine.state === 'leaving') return
    // Who takes it next begins them anew as soon as the release stands in the journal.
    live.end()
    engine.letGo(to, () => this.#clear(owning))
  }

  /** The engine has ended: whatever it ran beside itself ends with it. */
  #clear(owning: Owning): void {
    if (this.#owning !== owning) return
    this.#owning = undefined
    this.#keeper.stop()
    this.#release()
    this.#endPatience()
    owning.server?.stop()
    owning.live.end()
    this.#deps.changed()
    if (!this.#stopped) this.#awaitStore()
  }

  /**
   * A batch that was under way may still reach the store: whoever reads there before that how far it is
   * would apply another record over it, should the journal have lost that batch.
   */
  #awaitStore(): void {
    const { shard } = this
    const { store, failed } = this.#deps
    this.#isEnding = true
    store.write({
      writes: [],
      visible: () => {
        this.#isEnding = false
        this.reconcile()
      },
      failed: ({ message }) => failed({ shard, why: message }),
    })
  }

  #ended(owning: Owning, { why, kind, reset }: EngineStop): void {
    const { shard } = this
    const { log, failed } = this.#deps
    this.#clear(owning)
    if (this.#stopped) return
    if (kind === 'failed') {
      this.#stopped = true
      log.error({ shard, why }, 'a shard cannot go on here')
      return failed({ shard, why })
    }
    log.warn({ shard, why, view: owning.by }, 'this node has lost a shard')
    if (reset) this.#planRetake()
    else this.#lostBy = Math.max(this.#lostBy, owning.by)
  }

  /** Nobody else is named: it is taken again, and that asks the others what the journal may have lost. */
  #planRetake(): void {
    const { clock, clusterLimits } = this.#deps
    const { retakeFirstMs, retakeMaxMs } = clusterLimits
    const waitMs = Math.min(retakeMaxMs, retakeFirstMs * 2 ** Math.min(this.#retakes, 20))
    this.#retakes += 1
    this.#cancelRetake?.()
    this.#cancelRetake = clock.after(waitMs, () => {
      this.#cancelRetake = undefined
      this.reconcile()
    })
  }

  #startStandby(): void {
    if (this.#standby) return
    const { shard } = this
    const { store, journal, checkpoints, clock, log, clusterLimits, changed, failed } = this.#deps
    const { turns } = this.#deps
    this.#standby = new Standby({
      ...{ shard, store, journal, checkpoints, clock, log, changed, turns },
      limits: clusterLimits,
      parted: (why) => this.#refuse(why),
      failed: (why) => failed({ shard, why }),
    })
    this.#standby.start()
    this.#keeper.start({ role: 'standby' })
  }

  /** The other shards of this node go on; this one goes to others, who have what the journal has. */
  #refuse(why: string): void {
    this.#parted = why
    this.#deps.changed()
    this.#deps.clock.defer(() => this.reconcile())
  }

  /** False while the store still takes what the standby has read; then it is looked at again. */
  #hasEndedStandby(): boolean {
    const standby = this.#standby
    if (!standby) return true
    this.#standby = undefined
    this.#keeper.stop()
    this.#isEnding = true
    standby.stop(() => {
      this.#isEnding = false
      this.#deps.clock.defer(() => this.reconcile())
    })
    return false
  }
}
