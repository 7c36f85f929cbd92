/**
 * How fast a shard commits, for whoever watches it. Decides: what is counted, which is three numbers per
 * batch that wrote; batches that only read, and confirm their ownership by no slot, are not.
 */
import type { CommitTally } from '../protocol/index.ts'

export class Pace {
  #count = 0
  #commands = 0
  #ms = 0

  /** @param commands those that were answered by it */
  committed(commands: number, ms: number): void {
    this.#count += 1
    this.#commands += commands
    this.#ms += ms
  }

  get tally(): CommitTally {
    return { count: this.#count, commands: this.#commands, ms: this.#ms }
  }
}
