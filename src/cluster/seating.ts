/**
 * Who of those that may take a shard is to have it. Decides: what becomes of a target that names
 * somebody who cannot take that very shard: it stays where it is, or goes to its standby, or to who has
 * least; and to nobody rather than to one who cannot read it. Leaves to others: the target
 * (placement.ts), who can take what, and when the target is gone to (planning.ts).
 */
import type { Member, Placement } from './placement.ts'

export interface Seats {
  owner: string | null
  standby: string | null
}

export class Seating {
  readonly #target: Placement
  readonly #living: ReadonlyMap<string, Member>
  readonly #mayTake: (name: string, shard: number) => boolean
  /** How much each has: counted when it is first asked for. */
  readonly #counts: Record<keyof Seats, Map<string, number> | undefined> = {
    owner: undefined,
    standby: undefined,
  }

  constructor(
    target: Placement,
    living: ReadonlyMap<string, Member>,
    mayTake: (name: string, shard: number) => boolean,
  ) {
    this.#target = target
    this.#living = living
    this.#mayTake = mayTake
  }

  /** Living, and able to serve the shard. */
  isAble(name: string | null, shard: number): name is string {
    return name !== null && this.#living.has(name) && this.#mayTake(name, shard)
  }

  wanted(shard: number, present: Seats): Seats {
    const heir = this.#isLeaving(present.standby) ? null : present.standby
    const owner = this.#first(shard, 'owner', [present.owner, heir])
    return { owner, standby: this.#first(shard, 'standby', [present.standby], owner) }
  }

  #isLeaving(name: string | null): boolean {
    return name !== null && (this.#living.get(name)?.leaving ?? false)
  }

  /** The target, or one of the others, or who has least; nobody where nobody is wanted. */
  #first(
    shard: number,
    seat: keyof Seats,
    others: readonly (string | null)[],
    not: string | null = null,
  ): string | null {
    const target = this.#targetOf(seat)[shard] ?? null
    if (target === null) return null
    const first = [target, ...others].find((name) => name !== not && this.isAble(name, shard))
    return first ?? this.#least(shard, seat, not)
  }

  #targetOf(seat: keyof Seats): Placement['owners'] {
    return seat === 'owner' ? this.#target.owners : this.#target.standbys
  }

  #least(shard: number, seat: keyof Seats, not: string | null): string | null {
    const counts = this.#countsOf(seat)
    let least: string | null = null
    for (const { name, leaving } of this.#living.values()) {
      if (leaving || name === not || !this.isAble(name, shard)) continue
      if (least === null || (counts.get(name) ?? 0) < (counts.get(least) ?? 0)) least = name
    }
    if (least !== null) counts.set(least, (counts.get(least) ?? 0) + 1)
    return least
  }

  #countsOf(seat: keyof Seats): Map<string, number> {
    const known = this.#counts[seat]
    if (known) return known
    const counts = new Map<string, number>()
    for (const name of this.#targetOf(seat))
      if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1)
    this.#counts[seat] = counts
    return counts
  }
}
