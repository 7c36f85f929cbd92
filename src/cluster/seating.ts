/**
 * Who of those that may take a shard is to have it. Decides: what becomes of a target that names
 * somebody who cannot take that very shard: it stays where it is, or goes to its standby, or to who has
 * least; to who is leaving only when nobody else can take it, and to nobody rather than to one who cannot
 * read it. One that stays, and is only to have no shards, takes even what it does not have, before nobody
 * does: an operator wants it empty, and the actors served. A standby is in another zone than the owner
 * wherever one of such a zone can be it. Leaves to others: the target (placement.ts), who can take what, and
 * when the target is gone to (planning.ts).
 */
import { type Member, type Placement, takesShards } from './placement.ts'

export interface Seats {
  owner: string | null
  standby: string | null
}

export class Seating {
  readonly #target: Placement
  readonly #living: ReadonlyMap<string, Member>
  readonly #drained: ReadonlySet<string>
  readonly #mayTake: (name: string, shard: number) => boolean
  /** Whether those that are not leaving are in different zones: else a standby need not be. */
  readonly #isZoned: boolean
  /** How much each has: counted when it is first asked for. */
  readonly #counts: Record<keyof Seats, Map<string, number> | undefined> = {
    owner: undefined,
    standby: undefined,
  }

  constructor(
    target: Placement,
    living: ReadonlyMap<string, Member>,
    drained: ReadonlySet<string>,
    mayTake: (name: string, shard: number) => boolean,
  ) {
    this.#target = target
    this.#living = living
    this.#drained = drained
    this.#mayTake = mayTake
    const taking = [...living.values()].filter(takesShards)
    this.#isZoned = new Set(taking.map(({ zone }) => zone)).size > 1
  }

  /** Living, and able to serve the shard. */
  isAble(name: string | null, shard: number): name is string {
    return name !== null && this.#living.has(name) && this.#mayTake(name, shard)
  }

  wanted(shard: number, present: Seats): Seats {
    const mayOwn = (name: string) => this.isAble(name, shard)
    const owner =
      this.#best('owner', shard, [present.owner, present.standby], mayOwn) ??
      first([present.owner], mayOwn) ??
      first(this.#lastResort(present), mayOwn)

    const mayFollow = (name: string) => name !== owner && mayOwn(name)
    const isApart = (name: string) => mayFollow(name) && this.#zoneOf(name) !== this.#zoneOf(owner)
    const standby =
      (this.#isZoned ? this.#best('standby', shard, [present.standby], isApart) : null) ??
      this.#best('standby', shard, [present.standby], mayFollow) ??
      first([present.standby], mayFollow)
    return { owner, standby }
  }

  /** Who has the data before the others. */
  #lastResort({ standby }: Seats): string[] {
    const names = [...this.#drained].filter((name) => name !== standby).sort()
    return standby !== null && this.#drained.has(standby) ? [standby, ...names] : names
  }

  /** The target, or one of the others, or who has least. Who takes nothing new only as the target itself. */
  #best(
    seat: keyof Seats,
    shard: number,
    others: readonly (string | null)[],
    isFit: (name: string) => boolean,
  ): string | null {
    const target = this.#targetOf(seat)[shard] ?? null
    const takers = others.filter((name) => {
      const member = this.#living.get(name ?? '')
      return member !== undefined && takesShards(member)
    })
    return first([target, ...takers], isFit) ?? this.#least(seat, isFit)
  }

  #targetOf(seat: keyof Seats): Placement['owners'] {
    return seat === 'owner' ? this.#target.owners : this.#target.standbys
  }

  #zoneOf(name: string | null): string | null | undefined {
    return this.#living.get(name ?? '')?.zone
  }

  /** Who has least of these seats, of those who take any. */
  #least(seat: keyof Seats, isFit: (name: string) => boolean): string | null {
    const counts = this.#countsOf(seat)
    let least: string | null = null
    for (const member of this.#living.values()) {
      const { name } = member
      if (!takesShards(member) || !isFit(name)) continue
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

function first(names: readonly (string | null)[], isFit: (name: string) => boolean): string | null {
  return names.find((name) => name !== null && isFit(name)) ?? null
}
