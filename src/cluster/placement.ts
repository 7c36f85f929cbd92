/**
 * Who should run which shard. Decides: the owner and the standby of every shard, from the members
 * of now and the placement of before. It is a pure function: the same question has the same answer,
 * on whichever node and in whatever order the members are told.
 *
 * Leaves to others: who is a member, who may ask (the leader), and how a shard gets from one owner
 * to the next. A wrong answer wastes work and breaks nothing: the slots of the journal decide.
 *
 * In order of rank: everything is placed; owners stand by weight to within one; owner and standby
 * are in different zones; standbys stand by weight as far as that allows; as little moves as can.
 * Standbys therefore give way to zones: the only member of a second zone follows every shard that
 * the first zone owns. Of members with an equal claim to one shard more that one gets it which owns it
 * already, or would be promoted to it: what does not have to move stays.
 *
 * What an operator has pinned stands above all that: such a shard is its node's, if that takes shards at
 * all; who is given more than its share by that gets nothing else, and the others share the rest.
 */
import { invariant } from '../protocol/index.ts'
import { fill } from './openings.ts'
import { type Before, NOBODY, ownerQuota, standbyQuota, type Takers } from './quotas.ts'

export interface Member {
  readonly name: string
  /** How much it takes in proportion to the others: finite; with 0 it gets nothing, such as a gateway. */
  readonly weight: number
  /** What fails together. Members that name none count as one zone: nothing is known of them. */
  readonly zone: string | null
  /** On its way out: it gets nothing new, and keeps only what nobody else can take. */
  readonly leaving: boolean
}

/** Whether it may get what it does not have. */
export function takesShards({ leaving, weight }: Pick<Member, 'leaving' | 'weight'>): boolean {
  return !leaving && weight > 0
}

/** Two lists of names, by shard. */
export interface Placement {
  readonly owners: readonly (string | null)[]
  readonly standbys: readonly (string | null)[]
}

/** The placement of a cluster in which nothing has run yet. */
export const UNPLACED: Placement = { owners: [], standbys: [] }

/** Shards whose owner an operator has named. */
export type Pins = ReadonlyMap<number, string>

export const NO_PINS: Pins = new Map()

/** Takers by shard; NOBODY where nothing is pinned. */
type Pinned = Int32Array

export function place(
  members: readonly Member[],
  shardCount: number,
  current: Placement,
  pins: Pins = NO_PINS,
): Placement {
  const known = new Set(members.map((member) => member.name))
  invariant(known.size === members.length, 'two members have one name')
  const isSound = members.every(({ weight }) => weight >= 0)
  invariant(isSound, 'weights are numbers from zero up')
  const takers = takersOf(members)
  if (takers.names.length === 0) return stay(known, shardCount, current)

  const before = {
    owners: indicesOf(takers, shardCount, current.owners),
    standbys: indicesOf(takers, shardCount, current.standbys),
  }
  const isDead = (shard: number) => !known.has(current.owners[shard] ?? '')
  const pinned = pinnedTo(takers, shardCount, pins)
  const owned = before.owners.map((owner, n) => (isPinned(pinned, n) ? pinned[n]! : owner))
  const soon = { owners: owned, standbys: before.standbys }
  const quota = ownerQuota(takers, soon, pinned)
  const owners = placeOwners(takers, quota, soon, { isDead, pinned })
  const name = (taker: number) => takers.names[taker]!
  if (takers.names.length === 1) {
    // Nobody can relieve a leaving standby here, so it stays until it is gone.
    const kept = stay(known, shardCount, current).standbys
    const only = name(0)
    return { owners: Array.from(owners, name), standbys: kept.map((n) => (n === only ? null : n)) }
  }
  const standbys = placeStandbys(takers, quota, owners, before)
  return { owners: Array.from(owners, name), standbys: Array.from(standbys, name) }
}

/** With nobody to hand over to, all who live keep what they have. */
function stay(known: ReadonlySet<string>, shardCount: number, current: Placement): Placement {
  const living = (names: Placement['owners'], shard: number) => {
    const name = names[shard] ?? null
    return name !== null && known.has(name) ? name : null
  }
  const shards = Array.from({ length: shardCount }, (_, shard) => shard)
  return {
    owners: shards.map((shard) => living(current.owners, shard)),
    standbys: shards.map((shard) => living(current.standbys, shard)),
  }
}

function takersOf(members: readonly Member[]): Takers {
  const taking = members.filter(takesShards).sort((a, b) => (a.name < b.name ? -1 : 1))
  const zones = [...new Set(taking.map((member) => member.zone))]
  // Within a single zone what must differ is the member: then each of them is a group of its own.
  const isZoned = zones.length > 1
  const groupOf = new Map(zones.map((zone, group) => [zone, group]))
  return {
    names: taking.map((member) => member.name),
    weights: taking.map((member) => member.weight),
    groups: Int32Array.from(taking, (member, n) => (isZoned ? groupOf.get(member.zone)! : n)),
    groupCount: isZoned ? zones.length : taking.length,
  }
}

function indicesOf(
  takers: Takers,
  shardCount: number,
  names: readonly (string | null)[],
): Int32Array {
  invariant(names.length === 0 || names.length === shardCount, 'a placement of other shards')
  const index = new Map(takers.names.map((name, n) => [name, n]))
  return Int32Array.from({ length: shardCount }, (_, shard) => {
    const name = names[shard] ?? null
    return name === null ? NOBODY : (index.get(name) ?? NOBODY)
  })
}

function pinnedTo(takers: Takers, shardCount: number, pins: Pins): Pinned {
  const names = Array.from({ length: shardCount }, (_, shard) => pins.get(shard) ?? null)
  return indicesOf(takers, shardCount, names)
}

function isPinned(pinned: Pinned, shard: number): boolean {
  return pinned[shard] !== NOBODY
}

/**
 * A shard moves only if its owner cannot keep it, or owns more than its quota: fewer moves cannot
 * be. Which of its shards such an owner lets go is free, and so is who gets them: first of all the
 * standby, which has the data.
 */
function placeOwners(
  takers: Takers,
  quota: Int32Array,
  before: Before,
  { isDead, pinned }: { isDead: (shard: number) => boolean; pinned: Pinned },
): Int32Array {
  const owners = before.owners.slice()
  const gaps = gapsOf(quota, owners)
  const promote = (shard: number): boolean => {
    const standby = before.standbys[shard]!
    if (standby === NOBODY || gaps[standby]! <= 0) return false
    owners[shard] = standby
    gaps[standby]! -= 1
    return true
  }
  // What is down goes before what a leaving owner still serves.
  const homeless = shardsOf(owners, NOBODY)
  for (const shard of homeless) if (isDead(shard)) promote(shard)
  for (const shard of homeless) if (owners[shard] === NOBODY) promote(shard)

  const held = listsOf(owners, takers.names.length).map((shards) =>
    shards.filter((shard) => !isPinned(pinned, shard)),
  )
  held.forEach((shards, taker) => {
    if (gaps[taker]! >= 0) return
    const order = crowdedFirst(shards, before.standbys)
    for (const shard of order) if (gaps[taker]! < 0 && promote(shard)) gaps[taker]! += 1
    for (const shard of order) {
      if (gaps[taker]! === 0) break
      if (owners[shard] !== taker) continue
      owners[shard] = NOBODY
      gaps[taker]! += 1
    }
  })

  // An owner in another zone than the standby lets that one stay too. In the order of standbys,
  // so that the shards of one standby come to different owners.
  exchange(takers, gaps, owners, before.standbys, held)
  const open = inOrderOf(before.standbys, shardsOf(owners, NOBODY))
  fill(takers, gaps, owners, {
    open,
    avoid: (shard) => groupOf(takers, before.standbys[shard]!),
    prefer: () => NOBODY,
  })
  return owners
}

/**
 * The least number of changes for these owners: a standby goes if it is gone, or stands too near
 * the owner, or follows more than its quota; and beyond that only what `loosen` has to ask for.
 */
function placeStandbys(
  takers: Takers,
  ownerQuota: Int32Array,
  owners: Int32Array,
  before: Before,
): Int32Array {
  const valid = before.standbys.map((standby, shard) => {
    const isApart = groupOf(takers, standby) !== groupOf(takers, owners[shard]!)
    return isApart ? standby : NOBODY
  })
  const standbys = valid.slice()
  const gaps = gapsOf(standbyQuota(takers, ownerQuota, owners.length), standbys)
  const held = listsOf(valid, takers.names.length)
  held.forEach((shards, taker) => {
    if (gaps[taker]! >= 0) return
    const surplus = crowdedFirst(shards, owners).slice(0, -gaps[taker]!)
    for (const shard of surplus) standbys[shard] = NOBODY
    gaps[taker] = 0
  })
  loosen(takers, gaps, owners, standbys, exchange(takers, gaps, standbys, owners, held))

  fill(takers, gaps, standbys, {
    open: inOrderOf(owners, shardsOf(standbys, NOBODY)),
    avoid: (shard) => groupOf(takers, owners[shard]!),
    // Who owned it until now has the data.
    prefer: (shard) => before.owners[shard]!,
  })
  return standbys
}

/**
 * What is open can be filled if no group has more gaps and open shards that should avoid it than
 * there are open shards in all: each filling takes from a group on one side only. At most one group
 * can have more. For its sake members let go other shards instead, as many as they would have
 * anyway. Returns what is still too much for which group.
 */
function exchange(
  takers: Takers,
  gaps: Int32Array,
  holders: Int32Array,
  partners: Int32Array,
  held: readonly (readonly number[])[],
): { group: number; excess: number } {
  const open = shardsOf(holders, NOBODY)
  const load = new Int32Array(takers.groupCount + 1)
  for (const shard of open) load[groupOf(takers, partners[shard]!)]! += 1
  takers.groups.forEach((group, taker) => {
    load[group]! += gaps[taker]!
  })
  const over = load.findIndex((count) => count > open.length)
  let excess = over === NOBODY ? 0 : load[over]! - open.length
  const isNear = (shard: number) => groupOf(takers, partners[shard]!) === over
  held.forEach((shards, taker) => {
    if (excess === 0 || takers.groups[taker] === over) return
    const freed = shards.filter((shard) => holders[shard] === NOBODY && isNear(shard))
    const kept = shards.filter((shard) => holders[shard] === taker && !isNear(shard))
    const count = Math.min(excess, freed.length, kept.length)
    for (const shard of freed.slice(0, count)) holders[shard] = taker
    for (const shard of kept.slice(0, count)) holders[shard] = NOBODY
    excess -= count
  })
  return { group: over, excess }
}

/**
 * Lets go as many more standbys as it takes until all can be filled: each that neither is in the
 * group nor follows it makes room for one. There are enough, since the quotas as a whole fit.
 */
function loosen(
  takers: Takers,
  gaps: Int32Array,
  owners: Int32Array,
  standbys: Int32Array,
  over: { group: number; excess: number },
): void {
  let excess = over.excess
  for (let shard = 0; excess > 0; shard++) {
    invariant(shard < standbys.length, 'the quotas of standbys cannot be filled')
    const taker = standbys[shard]!
    const isNear = groupOf(takers, owners[shard]!) === over.group
    if (taker === NOBODY || takers.groups[taker] === over.group || isNear) continue
    standbys[shard] = NOBODY
    gaps[taker]! += 1
    excess -= 1
  }
}

/** The group that holds nobody comes after all others. */
function groupOf(takers: Takers, taker: number): number {
  return taker === NOBODY ? takers.groupCount : takers.groups[taker]!
}

/** What each taker lacks of its quota; below zero, what it has too many. */
function gapsOf(quota: Int32Array, holders: Int32Array): Int32Array {
  const gaps = quota.slice()
  for (const holder of holders) if (holder !== NOBODY) gaps[holder]! -= 1
  return gaps
}

function shardsOf(holders: Int32Array, holder: number): number[] {
  const shards: number[] = []
  holders.forEach((one, shard) => {
    if (one === holder) shards.push(shard)
  })
  return shards
}

function listsOf(holders: Int32Array, takerCount: number): number[][] {
  const lists = Array.from({ length: takerCount }, (): number[] => [])
  holders.forEach((holder, shard) => {
    if (holder !== NOBODY) lists[holder]!.push(shard)
  })
  return lists
}

function inOrderOf(holders: Int32Array, shards: number[]): number[] {
  return shards.sort((a, b) => holders[a]! - holders[b]! || a - b)
}

/**
 * The shards of one member, those first of which many have the same partner. If these go, partners
 * stay spread, and when a member fails its shards find standbys with room for them.
 */
function crowdedFirst(shards: readonly number[], partners: Int32Array): number[] {
  const seen = new Map<number, number>()
  const ranked = shards.map((shard) => {
    const rank = (seen.get(partners[shard]!) ?? 0) + 1
    seen.set(partners[shard]!, rank)
    return { shard, rank }
  })
  return ranked.sort((a, b) => b.rank - a.rank || a.shard - b.shard).map(({ shard }) => shard)
}
