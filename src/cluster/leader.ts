/**
 * What a leader does: it turns heartbeats into views. Decides: when it plans, that its view is what the
 * registry shows, and that it goes by a view of its own only when the registry has it: whoever leads next
 * reads there who was named, and may have written what nobody else has; and that an order counts once it
 * stands in such a view. Leaves to others: whether this node leads (election.ts), what stands in the next
 * view (planning.ts), which orders can be followed (orders.ts).
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { Election } from './election.ts'
import { Hosting } from './hosting.ts'
import type { ClusterLimits } from './limits.ts'
import type { Members } from './members.ts'
import {
  changesBy,
  type LeaderReport,
  type OwnerChange,
  plansOf,
  refusalOf,
  unownedIn,
} from './orders.ts'
import { isUnderWay, nextView, type Planning, type Reports } from './planning.ts'
import { encodeView, type View, viewNumber } from './view.ts'
import { VIEW_KEY, type Views } from './views.ts'
import { NO_WISHES, type Order, ordered, type Wishes } from './wishes.ts'

/** What becomes of an order: who gets which shards by it, or why it cannot be followed. */
export type OrderOutcome =
  | { kind: 'taken'; changes: OwnerChange[] }
  | { kind: 'refused'; error: TroupeError }

/** Between two plans of its own time. */
const PLAN_RESTS = 5

const NOTHING_UNOWNED = JSON.stringify([])

/** Told when the registry has the view with this number, of this epoch. */
interface Ordering {
  epoch: number
  /** Infinite until there is a plan. */
  number: number
  done: (outcome: OrderOutcome) => void
}

export interface LeaderDeps {
  name: string
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
  /** As ordered, from then on until a view has them. */
  #wishes: Wishes | undefined
  #ordering: Ordering[] = []
  /** What was said of shards that nobody can take, as text. */
  #saidUnowned = NOTHING_UNOWNED
  /** Shards are on their way to other owners: what members say next may let more of them go. */
  #isMoving = false
  /** When the last plan changed something, at the earliest when this node began to lead; and how long it took. */
  #changedAtMs = 0
  #planMs = 0
  #cancelTick: (() => void) | undefined
  #cancelSoon: (() => void) | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
    this.#hosting = new Hosting(deps)
  }

  start(): void {
    this.#tick()
  }

  stop(): void {
    this.#cancelTick?.()
    this.#cancelSoon?.()
    for (const { done } of this.#ordering.splice(0)) done({ kind: 'refused', error: uncertain() })
  }

  /** @param isDryRun then nothing changes, and what would is told */
  order(order: Order, isDryRun: boolean, done: (outcome: OrderOutcome) => void): void {
    const planning = this.#planningNow()
    if (!planning) return done({ kind: 'refused', error: notLeading() })
    const error = refusalOf(order, planning)
    if (error) return done({ kind: 'refused', error })
    const changes = changesBy(order, planning)
    if (isDryRun) return done({ kind: 'taken', changes })
    const wishes = ordered(planning.wishes, order, this.#deps.clock.now())
    this.#deps.log.info({ ...order, changes: changes.length }, 'an operator has given an order')
    this.#wishes = wishes
    const told = (outcome: OrderOutcome) =>
      done(outcome.kind === 'taken' ? { ...outcome, changes } : outcome)
    const { leaderEpoch: epoch } = planning
    this.#ordering.push({ epoch, number: Number.POSITIVE_INFINITY, done: told })
    this.act()
  }

  /** Undefined where this node does not lead, or has not read yet what was before. */
  report(): LeaderReport | undefined {
    const planning = this.#planningNow()
    if (!planning) return undefined
    const { name, views } = this.#deps
    const { previous } = planning
    const isProposed = previous !== undefined && viewNumber(previous) > views.number
    const { leaderEpoch, version } = previous ?? { leaderEpoch: 0, version: 0 }
    const proposed = isProposed ? { leaderEpoch, version } : null
    return { name, epoch: planning.leaderEpoch, proposed, ...plansOf(planning) }
  }

  /** What the next plan would go by. */
  #planningNow(): Planning | undefined {
    const { epoch } = this.#deps.election
    if (epoch === undefined || this.#readFor !== epoch) return undefined
    const seen = this.#seen()
    const last = this.#last()
    return seen > (last ? viewNumber(last) : 0) ? undefined : this.#planning(epoch, seen)
  }

  /** The newest view that anybody who is there has seen. */
  #seen(): number {
    return Math.max(0, ...this.#deps.members.live().map((one) => one.viewNumber))
  }

  /** Whoever ordered is told once the registry has it; or that it is not known, where another leads. */
  #settleOrders(): void {
    const { election, views } = this.#deps
    const open = this.#ordering
    const isWritten = ({ epoch, number }: Ordering) =>
      number <= views.number && views.view?.leaderEpoch === epoch
    const isLost = ({ epoch }: Ordering) => epoch !== election.epoch
    this.#ordering = open.filter((one) => !isWritten(one) && !isLost(one))
    for (const one of open) {
      if (isWritten(one)) one.done({ kind: 'taken', changes: [] })
      else if (isLost(one)) one.done({ kind: 'refused', error: uncertain() })
    }
  }

  #tick(): void {
    const { clock, limits } = this.#deps
    this.#cancelTick = clock.after(limits.leaderBeatMs, () => this.#tick())
    this.act()
  }

  /**
   * Members have said something new. While nothing is on its way, or has been for long without an end, the
   * next beat is soon enough; and no more of the time goes to plans than a part of it.
   */
  heard(): void {
    const { clock, limits, election } = this.#deps
    if (!this.#isMoving || this.#cancelSoon || election.epoch === undefined) return
    const restMs = Math.max(limits.planRestMs, PLAN_RESTS * this.#planMs)
    this.#cancelSoon = clock.after(restMs, () => {
      this.#cancelSoon = undefined
      this.act(true)
    })
  }

  act(isBetweenBeats = false): void {
    const { election, views } = this.#deps
    const epoch = election.epoch
    // Only the time in which it may lead counts: else it might have been unable to read.
    if (epoch === undefined) this.#missingSinceMs = undefined
    this.#settleOrders()
    if (epoch === undefined || this.#isWriting) return
    if (this.#readFor !== epoch) {
      views.read(() => {
        // Asked twice, it is told twice: what was ordered in between stays.
        if (this.#readFor !== epoch) {
          this.#readFor = epoch
          this.#wishes = undefined
          this.#changedAtMs = this.#deps.clock.monotonic()
        }
        this.act()
      })
      return
    }
    const seen = this.#seen()
    if (!this.#isMissing(seen)) this.#plan(epoch, seen, isBetweenBeats)
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

  #planning(epoch: number, seen: number): Planning {
    const { members, shardCount } = this.#deps
    const previous = this.#last()
    const live = members.live()
    return {
      previous,
      members: live.map(({ name, weight, zone, leaving }) => ({ name, weight, zone, leaving })),
      reports: members,
      shardCount,
      leaderEpoch: epoch,
      unhosted: this.#hosting.unhosted(epoch, previous, live),
      wishes: this.#wishes ?? previous?.wishes ?? NO_WISHES,
      seen,
    }
  }

  #plan(epoch: number, seen: number, isBetweenBeats: boolean): void {
    const { election, views, log, clock, limits } = this.#deps
    const beganAtMs = clock.monotonic()
    const isStill = beganAtMs - this.#changedAtMs >= limits.catchUpMs
    const planning = { ...this.#planning(epoch, seen), isBetweenBeats, isStill }
    const { previous } = planning
    const next = nextView(planning)
    const nowMs = clock.monotonic()
    this.#planMs = nowMs - beganAtMs
    if (!next) return election.resign('the versions of this epoch are used up')
    if (next !== previous) {
      const names = next.members.map(({ name }) => name)
      log.info({ epoch, version: next.version, members: names }, 'a new view')
      this.#sayUnowned(next, planning)
      this.#proposed = next
      this.#changedAtMs = nowMs
    }
    const isFresh = nowMs - this.#changedAtMs < limits.handoffMs
    this.#isMoving = isFresh && (next !== previous || isUnderWay(next, planning))
    this.#wishes = undefined
    for (const one of this.#ordering) one.number = Math.min(one.number, viewNumber(next))
    // Also when it is not new: an older leader may have written over it, or a write was lost.
    if ((views.shown ?? 0) < viewNumber(next)) this.#write(next)
    else this.#settleOrders()
  }

  /** Once for each change of it, however many views there are. */
  #sayUnowned(next: View, planning: Planning): void {
    const { log } = this.#deps
    const unowned = unownedIn(next, planning)
    const said = JSON.stringify(unowned)
    if (said === this.#saidUnowned) return
    this.#saidUnowned = said
    for (const one of unowned) log.error(one, 'nobody who is there can take these shards')
    if (unowned.length === 0) log.info({}, 'every shard has somebody who can take it again')
  }

  #write(view: View): void {
    const { registry, views } = this.#deps
    this.#isWriting = true
    registry.put(VIEW_KEY, encodeView(view), (outcome) => {
      this.#isWriting = false
      if (outcome === 'put') views.take(view)
      this.#settleOrders()
      // What the registry shows decides whether it is written again; it may be this one all the same.
      views.read(() => {
        // What was ordered meanwhile need not wait for the next beat.
        if (this.#wishes !== undefined) this.act()
      })
    })
  }
}

function notLeading(): TroupeError {
  return new TroupeError('unavailable', 'this node does not lead the cluster now; try again')
}

function uncertain(): TroupeError {
  const why = 'the leader has changed: it may have taken the order or not; look, or give it again'
  return new TroupeError('no-answer', why)
}
