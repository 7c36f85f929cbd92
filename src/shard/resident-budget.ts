/**
 * How many actors a node keeps in memory. Decides: who goes when they are too many (those not used for
 * long, whichever shard they are of). Leaves to others: which of a shard's may go (heads.ts).
 */
/** Actors that one trim spares because they were used: a commit does not walk over all of memory. */
const SPARED_PER_TRIM_MAX = 256

/** A visit of a trim looks at this part of a shard's actors: small and large shards turn alike. */
const LOOKED_PER_VISIT = 1 / 16

/** The actors of one shard that are in memory. */
interface Residents {
  /** Looks at a part of them, those first that came or were spared first. */
  letSomeGo(part: number, sparedMax: number): { looked: number; spared: number }
}

/** Shared by the shards of a node, so that a busy shard may use what idle ones do not. */
export class ResidentBudget {
  readonly bytesMax: number
  bytes = 0
  /** Whose actors count, in the order in which a trim visits them; it goes on where the last ended. */
  readonly #members: Residents[] = []
  #next = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  join(heads: Residents): void {
    if (!this.#members.includes(heads)) this.#members.push(heads)
  }

  leave(heads: Residents): void {
    const at = this.#members.indexOf(heads)
    if (at >= 0) this.#members.splice(at, 1)
  }

  /**
   * Lets actors of all shards go, in turn, until the node is within its budget. One that was used since
   * the last look gets a second chance: to keep the exact order of use would cost every access more
   * than this costs a trim. So what idle shards hold goes before what a busy one uses.
   */
  trim(): void {
    let spareable = SPARED_PER_TRIM_MAX
    // A round that changes nothing: all that is left waits for its commit.
    for (let still = 0; this.bytes > this.bytesMax && still < this.#members.length; ) {
      this.#next = (this.#next + 1) % this.#members.length
      const heads = this.#members[this.#next]
      if (!heads) return
      const { looked, spared } = heads.letSomeGo(LOOKED_PER_VISIT, spareable)
      spareable -= spared
      still = looked > 0 ? 0 : still + 1
    }
  }
}
