/**
 * The shards of a node that have much to read, to serve or to follow: as after an empty disk, or the death of
 * another node.
 *
 * Decides: how many read at the same time, those that are to serve first, the others in the order in which
 * they asked. What a shard reads is held in memory until it is in the store: all at once they would hold the
 * whole data of the node, and serve all at its end. Whoever only follows also waits while a shard is handed over or
 * taken that has little to read itself. A turn is given up where nothing comes for a while, as who reads may wait
 * for a journal that is away, and the others need not. Leaves to others: what is much, and what is read
 * (taking.ts, cluster/standby.ts).
 */
import type { Clock } from '../ports/index.ts'

export interface ReadTurnLimits {
  /** Enough that the store always has something to write; each holds a page of records, and the rows in them. */
  atOnce: number
  /** Longer than one page takes of a journal that is there; then others may begin beside it. */
  turnMs: number
  /** For so long at most who follows waits for one shard: a take may wait for the records of who is away. */
  holdMs: number
  /** And so much longer once it serves: what has piled up for it meanwhile is answered first. */
  restMs: number
}

export const READ_TURN_LIMITS: Readonly<ReadTurnLimits> = Object.freeze({
  atOnce: 4,
  turnMs: 5_000,
  holdMs: 3_000,
  restMs: 1_000,
})

/** What somebody reads for. */
export type ReadPurpose = 'serve' | 'follow'

/** A turn that was asked for. */
interface Asked {
  purpose: ReadPurpose
  begin: () => void
  /** Undefined before it has begun, and once it is over. */
  cancelLimit: (() => void) | undefined
}

export class ReadTurns {
  readonly #clock: Clock
  readonly #limits: ReadTurnLimits
  readonly #waiting = new Set<Asked>()
  readonly #running = new Set<Asked>()
  #holds = 0

  constructor({ clock, ...limits }: { clock: Clock } & Partial<ReadTurnLimits>) {
    this.#clock = clock
    this.#limits = { ...READ_TURN_LIMITS, ...limits }
  }

  /** `begin` is called once, but not before this returns. */
  enter(purpose: ReadPurpose, begin: () => void): Asked {
    const asked: Asked = { purpose, begin, cancelLimit: undefined }
    this.#waiting.add(asked)
    this.#clock.defer(() => this.#goOn())
    return asked
  }

  /** Something has come: its time begins anew. False for a turn that does not run, or whose time was up. */
  renew(asked: Asked): boolean {
    if (!this.#running.has(asked)) return false
    this.#limit(asked)
    return true
  }

  /** Gives it back, or asks for none any more. */
  leave(asked: Asked): void {
    this.#waiting.delete(asked)
    asked.cancelLimit?.()
    if (this.#running.delete(asked)) this.#goOn()
  }

  /** Nobody begins who only follows, until it is told to go on, and a rest longer; or the time is up. */
  hold(): () => void {
    const { holdMs, restMs } = this.#limits
    this.#holds += 1
    const end = () => {
      this.#holds -= 1
      this.#goOn()
    }
    const isOverAtMs = this.#clock.monotonic() + holdMs
    const cancel = this.#clock.after(holdMs, end)
    let isTold = false
    return () => {
      if (isTold || this.#clock.monotonic() + restMs >= isOverAtMs) return
      isTold = true
      cancel()
      this.#clock.after(restMs, end)
    }
  }

  #limit(asked: Asked): void {
    asked.cancelLimit?.()
    asked.cancelLimit = this.#clock.after(this.#limits.turnMs, () => this.leave(asked))
  }

  #goOn(): void {
    for (const purpose of ['serve', 'follow'] as const) {
      for (const asked of this.#waiting) {
        if (asked.purpose !== purpose) continue
        if (this.#running.size >= this.#limits.atOnce) return
        if (purpose === 'follow' && this.#isServingFirst()) return
        this.#waiting.delete(asked)
        this.#running.add(asked)
        this.#limit(asked)
        asked.begin()
      }
    }
  }

  #isServingFirst(): boolean {
    if (this.#holds > 0) return true
    return [...this.#running].some(({ purpose }) => purpose === 'serve')
  }
}

/** The turn of one shard: it keeps the one that it has, for as long as pages come. */
export class ReadTurn {
  readonly #turns: ReadTurns | undefined
  readonly #purpose: ReadPurpose
  #asked: Asked | undefined

  /** Without turns everybody reads at once. */
  constructor(turns: ReadTurns | undefined, purpose: ReadPurpose) {
    this.#turns = turns
    this.#purpose = purpose
  }

  /** For every page: `begin` comes before this returns where there is nothing to wait for. */
  take(begin: () => void): void {
    if (!this.#turns || (this.#asked && this.#turns.renew(this.#asked))) return begin()
    this.end()
    this.#asked = this.#turns.enter(this.#purpose, begin)
  }

  end(): void {
    if (this.#asked) this.#turns?.leave(this.#asked)
    this.#asked = undefined
  }
}
