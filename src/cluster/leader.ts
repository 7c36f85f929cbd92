/**
 * What a leader does: it turns heartbeats into views. Decides: when it plans, that its view is what the
 * registry shows, and that it goes by a view of its own only when the registry has it: whoever leads next
 * reads there who was named, and may have written what nobody else has. Leaves to others: whether this
 * node leads (election.ts), what stands in the next view (planning.ts).
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import type { Election } from './election.ts'
import { Hosting } from './hosting.ts'
import type { ClusterLimits } from './limits.ts'
import type { Members } from './members.ts'
import { takesShards } from './placement.ts'
import { nextView, type Reports } from './planning.ts'
import { encodeView, type View, viewNumber } from './view.ts'
import { VIEW_KEY, type Views } from './views.ts'

export interface LeaderDeps {
  clock: Clock
  log: Log
  registry: Registry
  election: Pick<Election, 'epoch' | 'resign'>
  members: Pick<Members, 'live'> & Reports
  views: Views
  limits: ClusterLimits
  shardCount: number
}

export class Leader {
  readonly #deps: LeaderDeps
  /** The epoch for which the view of those before was read. */
  #readFor = 0
  readonly #hosting: Hosting
  /** Since when members speak of a view that cannot be read. */
  #missingSinceMs: number | undefined
  /** The last view of its own making: as long as the outcome is unknown, it may arrive at any time. */
  #proposed: View | undefined
  #isWriting = false
  #cancelTick: (() => void) | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
    this.#hosting = new Hosting(deps)
  }

  start(): void {
    this.#tick()
  }

  stop(): void {
    this.#cancelTick?.()
  }

  #tick(): void {
    const { clock, limits } = this.#deps
    this.#cancelTick = clock.after(limits.leaderBeatMs, () => this.#tick())
    this.act()
  }

  act(): void {
    const { election, members, views } = this.#deps
    const epoch = election.epoch
    // Only the time in which it may lead counts: else it might have been unable to read.
    if (epoch === undefined) this.#missingSinceMs = undefined
    if (epoch === undefined || this.#isWriting) return
    if (this.#readFor !== epoch) {
      views.read(() => {
        this.#readFor = epoch
        this.act()
      })
      return
    }
    const seen = Math.max(0, ...members.live().map((one) => one.viewNumber))
    if (!this.#isMissing(seen)) this.#plan(epoch, seen)
  }

  /** Reads may be stale: members say which views there are, and the next one goes on from the last. */
  #isMissing(seen: number): boolean {
    const { views, clock, limits, log } = this.#deps
    const nowMs = clock.monotonic()
    const last = this.#last()
    const known = last ? viewNumber(last) : 0
    if (seen <= known) {
      this.#missingSinceMs = undefined
      return false
    }
    this.#missingSinceMs ??= nowMs
    if (nowMs - this.#missingSinceMs >= limits.viewWaitMs) {
      log.warn({ seen, known }, 'a view that members have seen is gone')
      return false
    }
    views.read()
    return true
  }

  /** The newest that anybody may go by, now or later: so no two views have one number. */
  #last(): View | undefined {
    const { view } = this.#deps.views
    const proposed = this.#proposed
    if (!view || !proposed) return view ?? proposed
    return viewNumber(proposed) > viewNumber(view) ? proposed : view
  }

  #plan(epoch: number, seen: number): void {
    const { election, members, views, shardCount, log } = this.#deps
    const previous = this.#last()
    const live = members.live()
    const planning = {
      previous,
      members: live.map(({ name, weight, zone, leaving }) => ({ name, weight, zone, leaving })),
      reports: members,
      shardCount,
      leaderEpoch: epoch,
      unhosted: this.#hosting.unhosted(epoch, previous, live),
      seen,
    }
    const next = nextView(planning)
    if (!next) return election.resign('the versions of this epoch are used up')
    if (next !== previous) {
      const names = next.members.map(({ name }) => name)
      log.info({ epoch, version: next.version, members: names }, 'a new view')
      this.#sayUnowned(next)
      this.#proposed = next
    }
    // Also when it is not new: an older leader may have written over it, or a write was lost.
    if ((views.shown ?? 0) < viewNumber(next)) this.#write(next)
  }

  #sayUnowned({ members, owners }: View): void {
    const shards = owners.flatMap((owner, shard) => (owner === null ? [shard] : []))
    if (shards.length === 0 || members.every(({ leaving }) => leaving)) return
    const why = members.some(takesShards)
      ? 'their machines are too old, or their stores have parted from the journal'
      : 'their weight is 0'
    this.#deps.log.error({ shards }, `nobody who is there can take these shards: ${why}`)
  }

  #write(view: View): void {
    const { registry, views } = this.#deps
    this.#isWriting = true
    registry.put(VIEW_KEY, encodeView(view), (outcome) => {
      this.#isWriting = false
      if (outcome === 'put') views.take(view)
      // What the registry shows decides whether it is written again; it may be this one all the same.
      views.read()
    })
  }
}
