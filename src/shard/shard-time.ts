/**
 * What time it is for a shard: the wall clock's, unless that has jumped. It never goes back.
 *
 * Decides: how far the wall clock is believed. One that followed a clock set wrong would refuse every
 * command as `expired` until the real time has caught up. A jump ahead beyond the skew that is allowed
 * anyhow is therefore waited out: meanwhile time flows on as the monotonic clock says, and only one that
 * stands for `clockJumpHoldMs` is followed. At its start a shard cannot tell a jump from a long stop, and
 * believes the wall clock. While the wall clock is behind, time flows on at half its speed until that has
 * caught up: if it stood still, no timer would be due for as long as the clock was set back.
 */
import type { Clock, Log } from '../ports/index.ts'
import type { Limits } from '../protocol/index.ts'

/** A shard that was not served for longer is worth a line: a holiday is shorter. */
const LONG_STOP_MS = 30 * 86_400_000
/** How fast time flows while the wall clock is behind. */
const SLOWED = 1 / 2

export class ShardTime {
  readonly #clock: Clock
  readonly #log: Log
  readonly #limits: Pick<Limits, 'clockSkewMaxMs' | 'clockJumpHoldMs'>
  /** The latest time that was believed, and when that was on the monotonic clock. */
  #believedMs = 0
  #at = 0
  /** The latest time that was told, and when. */
  #toldMs = 0
  #toldAt = 0
  /** Since when the wall clock stands too far ahead, on the monotonic clock. */
  #aheadSince: number | undefined

  constructor(deps: { clock: Clock; log: Log; limits: Limits }) {
    this.#clock = deps.clock
    this.#log = deps.log
    this.#limits = deps.limits
    this.#believe(this.#clock.now())
  }

  /** @param lastTime of the last commit, 0 when there was none */
  begin(lastTime: number): void {
    const now = this.#clock.now()
    this.#aheadSince = undefined
    this.#believe(now)
    this.#toldMs = lastTime
    this.#toldAt = this.#clock.monotonic()
    if (lastTime === 0 || now - lastTime <= LONG_STOP_MS) return
    const fields = { lastTime, now }
    const why =
      'the last commit of a shard is long ago: it was not served, or the clock jumped ahead'
    this.#log.warn(fields, why)
  }

  now(): number {
    const monotonic = this.#clock.monotonic()
    const slowed = this.#toldMs + (monotonic - this.#toldAt) * SLOWED
    this.#toldMs = Math.max(this.#believed(monotonic), slowed)
    this.#toldAt = monotonic
    return Math.floor(this.#toldMs)
  }

  /** The wall clock's, however far that was set back, but not where it jumped ahead to. */
  #believed(monotonic: number): number {
    const wall = this.#clock.now()
    const flowed = this.#believedMs + monotonic - this.#at
    if (wall <= flowed + this.#limits.clockSkewMaxMs) {
      this.#aheadSince = undefined
      // A clock that is set back and then right again has not jumped ahead.
      this.#believe(Math.max(wall, flowed))
      return wall
    }
    const fields = { now: wall, believed: flowed }
    if (this.#aheadSince === undefined) {
      this.#aheadSince = monotonic
      this.#log.error(fields, 'the wall clock jumped ahead and is not followed for now')
    }
    if (monotonic - this.#aheadSince < this.#limits.clockJumpHoldMs) {
      this.#believe(flowed)
      return flowed
    }
    this.#aheadSince = undefined
    this.#log.error(fields, 'the wall clock stands where it jumped to: it is followed')
    this.#believe(wall)
    return wall
  }

  #believe(timeMs: number): void {
    this.#believedMs = timeMs
    this.#at = this.#clock.monotonic()
  }
}
