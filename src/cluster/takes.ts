/**
 * How a shard came to this node, for whoever watches it. Decides: what is a handover (somebody served it
 * when this node was named) and what a takeover, and that the pause of a handover lasts from when this
 * node hears that nobody serves the shard any more, or claims over one that does, until it serves. Before
 * that the one before goes on.
 */
export interface Takes {
  readonly handovers: number
  readonly takeovers: number
  /** Of the last handover. */
  readonly pauseMs: number | undefined
}

export class TakeLog {
  #takes: Takes = { handovers: 0, takeovers: 0, pauseMs: undefined }
  #named: { isHandover: boolean; freedAtMs: number | undefined } | undefined

  get takes(): Takes {
    return this.#takes
  }

  /** Only the first time counts, until it serves or is named no more. */
  named(isServed: () => boolean): void {
    this.#named ??= { isHandover: isServed(), freedAtMs: undefined }
  }

  /** It may be taken. Also here only the first time counts: nobody serves it between two tries. */
  freed(nowMs: number): void {
    if (this.#named) this.#named.freedAtMs ??= nowMs
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
      ? { handovers: handovers + 1, takeovers, pauseMs: nowMs - (named.freedAtMs ?? nowMs) }
      : { handovers, takeovers: takeovers + 1, pauseMs }
  }
}
