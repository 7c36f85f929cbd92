/**
 * Who claimed a shard last, as far as records tell. Decides: that a claim by a newer view is later than any by an
 * older one, wherever they stand (a slot of a branch that was given up may be higher), and of one view that of the
 * higher slot; and that who has released it has nothing that was not read since. Pure.
 */
import type { ClaimHead } from './slot-records.ts'
import { recordOf, type TailRow } from './tail.ts'

interface Placed {
  slot: number
  claim: Pick<ClaimHead, 'claimId' | 'node' | 'viewVersion'>
}

export class LastClaim {
  /** More than one where it is not known which. */
  #last: readonly Placed[] = []
  readonly #released = new Set<string>()

  /** None where it was released. */
  get nodes(): string[] {
    const held = this.#last.filter(({ claim }) => !this.#released.has(claim.claimId))
    return [...new Set(held.map(({ claim }) => claim.node))]
  }

  add(slot: number, claim: Placed['claim']): void {
    const [known] = this.#last
    const later = known ? orderOf(known, { slot, claim }) : 1
    if (later > 0) this.#last = [{ slot, claim }]
    else if (later === 0) this.#last = [...this.#last, { slot, claim }]
  }

  /** Whoever tells of it first. */
  release(claimId: string): void {
    this.#released.add(claimId)
  }

  /** What one member kept. */
  read(rows: Iterable<TailRow>): void {
    for (const row of rows) {
      const record = recordOf(row)
      if (record?.kind === 'claim') this.add(row.slot, record)
      else if (record?.kind === 'release') this.release(record.epoch.claimId)
    }
  }
}

/** Above 0 when the other one is later. */
function orderOf(one: Placed, other: Placed): number {
  return other.claim.viewVersion - one.claim.viewVersion || other.slot - one.slot
}
