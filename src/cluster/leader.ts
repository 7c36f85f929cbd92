/**
 * What a leader does: it turns heartbeats into views. Decides: when it plans, and that its view is what
 * the registry shows. Leaves to others: whether this node leads (election.ts), what stands in the next
 * view (planning.ts).
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import type { Election } from './election.ts'
import type { ClusterLimits } from './limits.ts'
import type { Members } from './members.ts'
import { nextView } from './planning.ts'
import { encodeView, type View, viewNumber } from './view.ts'
import { VIEW_KEY, type Views } from './views.ts'

export interface LeaderDeps {
  clock: Clock
  log: Log
  registry: Registry
  election: Election
  members: Members
  views: Views
  limits: ClusterLimits
  shardCount: number
}

export class Leader {
  readonly #deps: LeaderDeps
  /** The epoch for which the view of those before was read. */
  #readFor = 0
  /** Since when members speak of a view that cannot be read. */
  #missingSinceMs: number | undefined
  #isWriting = false
  #cancelTick: (() => void) | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
  }

  start(): void {
    const { clock, limits } = this.#deps
    this.#cancelTick = clock.after(limits.leaderBeatMs, () => this.start())
    this.act()
  }

  stop(): void {
    this.#cancelTick?.()
  }

  act(): void {
    const { election, members, views } = this.#deps
    const epoch = election.epoch
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
    if (seen <= views.number) {
      this.#missingSinceMs = undefined
      return false
    }
    this.#missingSinceMs ??= nowMs
    if (nowMs - this.#missingSinceMs >= limits.viewWaitMs) {
      log.warn({ seen, known: views.number }, 'a view that members have seen is gone')
      return false
    }
    views.read()
    return true
  }

  #plan(epoch: number, seen: number): void {
    const { election, members, views, shardCount, log } = this.#deps
    const previous = views.view
    const planning = {
      previous,
      members: members
        .live()
        .map(({ name, weight, zone, leaving }) => ({ name, weight, zone, leaving })),
      reports: members,
      shardCount,
      leaderEpoch: epoch,
      seen,
    }
    const next = nextView(planning)
    if (!next) return election.resign('the versions of this epoch are used up')
    if (next !== previous) {
      const names = next.members.map(({ name }) => name)
      log.info({ epoch, version: next.version, members: names }, 'a new view')
      this.#sayUnowned(next)
      views.take(next)
    }
    // Also when it is not new: an older leader may have written over it, or a write was lost.
    if (next !== previous || (views.shown ?? 0) < viewNumber(next)) this.#write(next)
  }

  #sayUnowned({ members, owners }: View): void {
    const shards = owners.flatMap((owner, shard) => (owner === null ? [shard] : []))
    if (shards.length === 0 || members.every(({ leaving }) => leaving)) return
    this.#deps.log.error(
      { shards },
      'nobody who is there can take these shards: their machines are too old, or their stores have parted from the journal',
    )
  }

  #write(view: View): void {
    const { registry, views } = this.#deps
    this.#isWriting = true
    registry.put(VIEW_KEY, encodeView(view), () => {
      this.#isWriting = false
      // Whatever the outcome: what the registry shows decides whether it is written again.
      views.read()
    })
  }
}
