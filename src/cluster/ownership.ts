/**
 * All shards of this node. Decides: when what runs here is compared with the view, and when a drain is
 * over. Leaves to seat.ts: each single shard.
 */
import type { Clock, Log } from '../ports/index.ts'
import { ReadTurns, WalkTurns } from '../shard/index.ts'
import type { ClusterLimits } from './limits.ts'
import { Seat } from './seat.ts'
import type { SeatDeps } from './seat-deps.ts'

export type DrainOutcome = 'drained' | 'timed-out'

export type OwnershipDeps = Omit<SeatDeps, 'turns' | 'walks'>

export class Ownership {
  readonly seats: readonly Seat[]
  readonly #clock: Clock
  readonly #log: Log
  readonly #limits: ClusterLimits
  readonly #deps: OwnershipDeps
  #drain: { done: (outcome: DrainOutcome) => void; cancel: () => void } | undefined
  #isLeaving = false

  constructor(deps: OwnershipDeps) {
    this.#deps = deps
    this.#clock = deps.clock
    this.#log = deps.log
    this.#limits = deps.clusterLimits
    const { clock, shardCount } = deps
    const seatDeps = { ...deps, turns: new ReadTurns({ clock }), walks: new WalkTurns({ clock }) }
    this.seats = Array.from({ length: shardCount }, (_, shard) => new Seat(shard, seatDeps))
  }

  get isLeaving(): boolean {
    return this.#isLeaving
  }

  reconcile(): void {
    for (const seat of this.seats) seat.reconcile()
    this.#judgeDrain()
  }

  serves(): [shard: number, by: number][] {
    return this.seats.flatMap(({ shard, servesBy }) =>
      servesBy === undefined ? [] : [[shard, servesBy]],
    )
  }

  lags(): [shard: number, slots: number][] {
    return this.seats.flatMap(({ shard, lag }) => (lag === undefined ? [] : [[shard, lag]]))
  }

  refuses(): number[] {
    return this.seats.filter((seat) => seat.refuses).map(({ shard }) => shard)
  }

  /** Goes on serving until every shard is handed over, or `drainMs` have passed. */
  leave(done: (outcome: DrainOutcome) => void): void {
    const before = this.#drain
    if (before) {
      const both = (outcome: DrainOutcome) => {
        before.done(outcome)
        done(outcome)
      }
      this.#drain = { ...before, done: both }
      return
    }
    this.#isLeaving = true
    const cancel = this.#clock.after(this.#limits.drainMs, () => {
      const shards = this.#left()
      this.#log.warn({ shards }, 'the time to hand over is up: others will take these shards')
      this.#endDrain('timed-out')
    })
    this.#drain = { done, cancel }
    this.#deps.changed()
    this.#clock.defer(() => this.#judgeDrain())
  }

  stop(): void {
    this.#drain?.cancel()
    for (const seat of this.seats) seat.stop()
  }

  /** What this node still owns, or is named for. */
  #left(): number[] {
    const { views, name } = this.#deps
    return this.seats
      .filter((seat) => seat.isOwner || views.view?.owners[seat.shard] === name)
      .map(({ shard }) => shard)
  }

  #judgeDrain(): void {
    if (this.#drain && this.#left().length === 0) this.#endDrain('drained')
  }

  #endDrain(outcome: DrainOutcome): void {
    const drain = this.#drain
    this.#drain = undefined
    drain?.cancel()
    drain?.done(outcome)
  }
}
