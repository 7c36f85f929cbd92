/**
 * The shards of a node that walk over their actors after a roll-out, one slice at a time.
 *
 * Decides: how many of them are at it, so that a command waits for a few slices and not for one of every shard;
 * and that it goes round, so that a shard which has no room for its own holds up nobody. Nor does one whose commit
 * hangs: it loses its turn, and comes again behind the others once that is over. Leaves to others: what a slice is
 * (reindex.ts).
 */
import type { Clock } from '../ports/index.ts'

/** Enough that one is worked out while others are written: more make commands wait, and no walk shorter. */
export const WALKS_AT_ONCE = 2

/** Of a turn: many times what a slice and its commit take of a store and a journal that are there. */
export const WALK_TURN_MS = 1_000

/** Of one shard that walks. */
export type BeginSlice = () => void

export class WalkTurns {
  readonly #clock: Clock
  /** With what calls off that they lose their turn. */
  readonly #walking = new Map<BeginSlice, () => void>()
  readonly #waiting = new Set<BeginSlice>()

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** `begin` is called each time that its turn comes, which may be before this returns. */
  enter(begin: BeginSlice): void {
    if (this.isOf(begin)) return
    this.#waiting.add(begin)
    this.#goOn()
  }

  isOf(begin: BeginSlice): boolean {
    return this.#walking.has(begin)
  }

  /** Whether its turn will come, or is here: one that lost it has to enter again. */
  knows(begin: BeginSlice): boolean {
    return this.isOf(begin) || this.#waiting.has(begin)
  }

  /** To the next one, behind whom this one comes again. */
  pass(begin: BeginSlice): void {
    if (!this.#end(begin)) return
    if (this.#waiting.size === 0) this.#hold(begin)
    else this.enter(begin)
  }

  leave(begin: BeginSlice): void {
    this.#waiting.delete(begin)
    if (this.#end(begin)) this.#goOn()
  }

  #hold(begin: BeginSlice): void {
    const cancel = this.#clock.after(WALK_TURN_MS, () => this.leave(begin))
    this.#walking.set(begin, cancel)
  }

  #end(begin: BeginSlice): boolean {
    this.#walking.get(begin)?.()
    return this.#walking.delete(begin)
  }

  #goOn(): void {
    const [next] = this.#waiting
    if (next === undefined || this.#walking.size >= WALKS_AT_ONCE) return
    this.#waiting.delete(next)
    this.#hold(next)
    next()
  }
}
