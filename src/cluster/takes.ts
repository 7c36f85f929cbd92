/**
 * How a shard came to this node, for whoever watches it. Decides: what is a handover (somebody served it
 * when this node was named) and what a takeover, and that the pause of a handover lasts from there until
 * this node serves: the one before stops when it hears of the same view.
 */
export interface Takes {
  readonly handovers: number
  readonly takeovers: number
  /** Of the last handover. */
  readonly pauseMs: number | undefined
}

export class TakeLog {
  #takes: Takes = { handovers: 0, takeovers: 0, pauseMs: undefined }
  #named: { atMs: number; isHandover: boolean } | undefined

  get takes(): Takes {
    return this.#takes
  }

  /** Only the first time counts, until it serves or is named no more. */
  named(atMs: number, isServed: () => boolean): void {
    this.#named ??= { atMs, isHandover: isServed() }
  }

  forget(): void {
    this.#named = undefined
  }

  serves(nowMs: number): void {
    const named = this.#named
    this.#named = undefined
    if (!named) return
    const { handovers, takeovers, pauseMs } = this.#takes
    this.#takes = named.isHandover
      ? { handovers: handovers + 1, takeovers, pauseMs: nowMs - named.atMs }
      : { handovers, takeovers: takeovers + 1, pauseMs }
  }
}
