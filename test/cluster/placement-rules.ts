/**
 * The rules of a placement, as judges that know nothing of how one is made: each says what is wrong.
 * That they would notice is shown in placement.test.ts, with placements that are broken in one way each.
 */
import type { Member, Placement, place } from '../../src/cluster/placement.ts'

export type Place = typeof place
export interface Case {
  members: readonly Member[]
  shardCount: number
  current: Placement
}

export const member = (name: string, more: Partial<Member> = {}): Member => ({
  name,
  weight: 1,
  zone: null,
  leaving: false,
  ...more,
})
export const named = (count: number, more: (n: number) => Partial<Member> = () => ({})) =>
  Array.from({ length: count }, (_, n) => member(`n${String(n).padStart(4, '0')}`, more(n)))

export const active = (members: readonly Member[]) =>
  members.filter((one) => !one.leaving && one.weight > 0).sort((a, b) => (a.name < b.name ? -1 : 1))
export const sum = (numbers: Iterable<number>) => [...numbers].reduce((all, n) => all + n, 0)
const total = (counts: ReadonlyMap<string, number>, some: readonly Member[]) =>
  sum(some.map((one) => counts.get(one.name) ?? 0))

export function countOf(names: readonly (string | null)[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

export function changes(
  before: readonly (string | null)[],
  after: readonly (string | null)[],
): number {
  return after.filter((name, shard) => name !== (before[shard] ?? null)).length
}

/** Largest remainders in whole numbers: the weights of all cases are. Of equal ones the first. */
function quotasOf(some: readonly Member[], shards: number, first: Rank): Map<string, number> {
  const { rest, floor, left } = remainders(some, shards)
  const order = [...some].sort((a, b) => rest(b) - rest(a) || first(b) - first(a))
  return new Map(order.map((one, n) => [one.name, floor(one) + (n < left ? 1 : 0)]))
}

type Rank = (one: Member) => number

/** 1 for who holds more than its whole share. */
function moreThanWhole(holders: Placement['owners'], some: readonly Member[], n: number): Rank {
  const counts = countOf(holders)
  const { floor } = remainders(some, n)
  return (one) => Number((counts.get(one.name) ?? 0) > floor(one))
}

function remainders(some: readonly Member[], shards: number) {
  const all = sum(some.map((one) => one.weight))
  const rest = ({ weight }: Member) => (weight * shards) % all
  const floor = (one: Member) => (one.weight * shards - rest(one)) / all
  return { rest, floor, left: shards - sum(some.map(floor)) }
}

/** What owner and standby must differ in: the zone if there are several, else the name. */
export function apartBy(takers: readonly Member[]): (name: string) => string {
  const isZoned = new Set(takers.map((one) => one.zone)).size > 1
  const groups = new Map(takers.map((one) => [one.name, isZoned ? `${one.zone}` : one.name]))
  return (name) => groups.get(name)!
}

export function completeness(next: Placement, { members, shardCount }: Case): string[] {
  const names = new Set(active(members).map((one) => one.name))
  const groupOf = apartBy(active(members))
  const found: string[] = []
  for (let shard = 0; shard < shardCount; shard++) {
    const owner = next.owners[shard] ?? ''
    const standby = next.standbys[shard] ?? ''
    if (!names.has(owner)) found.push(`shard ${shard} has no owner`)
    else if (names.size > 1 && !names.has(standby)) found.push(`shard ${shard} has no standby`)
    else if (names.size > 1 && groupOf(owner) === groupOf(standby))
      found.push(`shard ${shard} has both in one zone`)
  }
  return found
}

function balance(
  holders: readonly (string | null)[],
  quotas: ReadonlyMap<string, number>,
  verb: string,
): string[] {
  const counts = countOf(holders)
  return [...quotas]
    .filter(([name, quota]) => (counts.get(name) ?? 0) !== quota)
    .map(([name, quota]) => `${name} ${verb} ${counts.get(name) ?? 0}, not ${quota}`)
}

/** By weight; who has one more of equal remainders is judged by others. */
export function ownerBalance(next: Placement, { members, shardCount }: Case): string[] {
  const takers = active(members)
  const ownsMore = moreThanWhole(next.owners, takers, shardCount)
  return balance(next.owners, quotasOf(takers, shardCount, ownsMore), 'owns')
}

/** By weight; or a group follows all it does not own, by weight among it and among the others. */
export function standbyBalance(next: Placement, { members, shardCount }: Case): string[] {
  const takers = active(members)
  if (takers.length < 2) return []
  const groupOf = apartBy(takers)
  const owned = countOf(next.owners)
  const ownsMore = moreThanWhole(next.owners, takers, shardCount)
  // Who owns one more comes last; of the others the last name first.
  const first: Rank = (one) => takers.indexOf(one) - ownsMore(one) * takers.length
  const quotas = quotasOf(takers, shardCount, first)
  for (const group of new Set(takers.map((one) => groupOf(one.name)))) {
    const inside = takers.filter((one) => groupOf(one.name) === group)
    const outside = takers.filter((one) => groupOf(one.name) !== group)
    const owns = total(owned, inside)
    if (owns + total(quotas, inside) <= shardCount) continue
    const parts = [...quotasOf(inside, shardCount - owns, first), ...quotasOf(outside, owns, first)]
    return balance(next.standbys, new Map(parts), 'follows')
  }
  return balance(next.standbys, quotas, 'follows')
}

/** The fewest that any choice between equal remainders needs: each that owns one more may keep it. */
export function ownerMoves(next: Placement, { members, shardCount, current }: Case): string[] {
  const takers = active(members)
  const kept = countOf(current.owners)
  const ownsMore = moreThanWhole(current.owners, takers, shardCount)
  const quotas = quotasOf(takers, shardCount, ownsMore)
  const held = sum([...quotas.keys()].map((name) => kept.get(name) ?? 0))
  const surplus = sum([...quotas].map(([name, n]) => Math.max(0, (kept.get(name) ?? 0) - n)))
  const least = surplus + shardCount - held
  const moves = changes(current.owners, next.owners)
  return moves === least ? [] : [`${moves} owners moved, not ${least}`]
}

/** Of equal remainders that are free, the one more went to who follows more shards without an owner. */
export function heirs(next: Placement, { members, shardCount, current }: Case): string[] {
  const takers = active(members)
  const names = new Set(takers.map((one) => one.name))
  const { rest, floor } = remainders(takers, shardCount)
  const lost = current.standbys.filter((_, shard) => !names.has(current.owners[shard] ?? ''))
  const heirs = countOf([...current.owners, ...lost])
  const ownedMore = moreThanWhole(current.owners, takers, shardCount)
  const ownsMore = moreThanWhole(next.owners, takers, shardCount)
  const free = takers.filter((one) => !ownedMore(one))
  const wants = (one: Member) => total(heirs, [one]) > floor(one)
  const without = free.filter((one) => wants(one) && !ownsMore(one))
  const instead = free.filter((one) => !wants(one) && ownsMore(one))
  const isWrong = without.some((one) => instead.some((other) => rest(one) === rest(other)))
  return isWrong ? ['one more went to who is no standby of it'] : []
}

/** A shard that lost its owner went to its standby, unless that one is full of such shards. */
export function promotions(next: Placement, { members, current }: Case): string[] {
  const names = new Set(active(members).map((one) => one.name))
  const gotOtherwise = new Set(
    next.owners.filter(
      (owner, n) =>
        owner !== (current.owners[n] ?? null) && owner !== (current.standbys[n] ?? null),
    ),
  )
  return current.owners.flatMap((owner, shard) => {
    const standby = current.standbys[shard] ?? null
    const isLost = owner === null || !names.has(owner)
    if (!isLost || standby === null || next.owners[shard] === standby) return []
    return gotOtherwise.has(standby) ? [`shard ${shard} did not go to its standby`] : []
  })
}

/**
 * Whether fewer standbys could have changed, for these owners and these counts: if so, some shards
 * could hand their standbys on in a circle and more would be where they were. Exact, by the
 * shortest ways between all members.
 */
function standbyMoves(next: Placement, { members, current }: Case): string[] {
  const takers = active(members)
  if (takers.length < 2) return []
  const groupOf = apartBy(takers)
  const cost = takers.map(() => takers.map(() => Number.POSITIVE_INFINITY))
  const index = new Map(takers.map((one, n) => [one.name, n]))
  next.standbys.forEach((standby, shard) => {
    const from = index.get(standby ?? '')
    if (from === undefined) return
    const before = current.standbys[shard]
    takers.forEach(({ name }, to) => {
      if (groupOf(name) === groupOf(next.owners[shard]!)) return
      const step = Number(standby === before) - Number(name === before)
      cost[from]![to] = Math.min(cost[from]![to]!, step)
    })
  })
  for (let via = 0; via < takers.length; via++)
    for (const row of cost)
      for (let to = 0; to < takers.length; to++)
        row[to] = Math.min(row[to]!, row[via]! + cost[via]![to]!)
  return cost.some((row, n) => row[n]! < 0) ? ['fewer standbys could have changed'] : []
}

export function stability(
  place: Place,
  next: Placement,
  { members, shardCount, current }: Case,
): string[] {
  const again = JSON.stringify(place(members, shardCount, next)) === JSON.stringify(next)
  const order = [...members.slice(1).reverse(), ...members.slice(0, 1)]
  const other = JSON.stringify(place(order, shardCount, current)) === JSON.stringify(next)
  return [
    ...(again ? [] : ['placed again, something moves']),
    ...(other ? [] : ['the order of members matters']),
  ]
}

export function complaints(place: Place, one: Case): string[] {
  const next = place(one.members, one.shardCount, one.current)
  if (active(one.members).length === 0) return stability(place, next, one)
  return [completeness, ownerBalance, standbyBalance, ownerMoves, heirs, promotions, standbyMoves]
    .flatMap((judge) => judge(next, one))
    .concat(stability(place, next, one))
}
