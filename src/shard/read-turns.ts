/**
 * The shards of a node that have much to read before they can serve, as after an empty disk.
 *
 * Decides: how many read at the same time, the others in the order in which they asked. What a shard reads is
 * held in memory until it is in the store: all at once they would hold the whole data of the node, and serve
 * all at its end. A turn is given up after a while, as who reads may wait for a journal that is away, and the
 * others need not. Leaves to others: what is much, and what is read (taking.ts).
 */
import type { Clock } from '../ports/index.ts'

export interface ReadTurnsOptions {
  clock: Clock
  /** Enough that the store always has something to write; each holds a page of records, and the rows in them. */
  atOnce?: number
  /** Longer than a shard of many gigabytes takes for one page; then others may begin beside it. */
  turnMs?: number
}

const AT_ONCE = 4
const TURN_MS = 5_000

export class ReadTurns {
  readonly #clock: Clock
  readonly #atOnce: number
  readonly #turnMs: number
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor({ clock, atOnce = AT_ONCE, turnMs = TURN_MS }: ReadTurnsOptions) {
    this.#clock = clock
    this.#atOnce = atOnce
    this.#turnMs = turnMs
  }

  /** `begin` is called once, but not before this returns. @returns gives the turn back, or asks for none any more */
  enter(begin: () => void): () => void {
    let end = () => {}
    const run = () => {
      this.#running += 1
      end = this.#limited()
      begin()
    }
    this.#waiting.add(run)
    this.#clock.defer(() => this.#goOn())
    return () => {
      this.#waiting.delete(run)
      end()
    }
  }

  /** @returns ends a turn that has begun, once, be it that its time was up before */
  #limited(): () => void {
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      cancel()
      this.#running -= 1
      this.#goOn()
    }
    const cancel = this.#clock.after(this.#turnMs, end)
    return end
  }

  #goOn(): void {
    for (const run of this.#waiting) {
      if (this.#running >= this.#atOnce) return
      this.#waiting.delete(run)
      run()
    }
  }
}

/** The turn of one shard: it keeps the one that it has. */
export class ReadTurn {
  readonly #turns: ReadTurns | undefined
  #leave: (() => void) | undefined

  /** Without turns everybody reads at once. */
  constructor(turns: ReadTurns | undefined) {
    this.#turns = turns
  }

  /** Once for every turn: `begin` comes before this returns where there is nothing to wait for. */
  take(begin: () => void): void {
    if (!this.#turns || this.#leave) return begin()
    this.#leave = this.#turns.enter(begin)
  }

  end(): void {
    this.#leave?.()
    this.#leave = undefined
  }
}
