/**
 * What operators ask of the leader. Decides: which orders cannot be followed, and why; and what a leader
 * can say of its plans: who goes where and waits for what, and why a shard is nobody's. Leaves to others:
 * what an order becomes (wishes.ts), and the way there (planning.ts).
 */
import { TroupeError } from '../protocol/index.ts'
import { coursesOf, isNear, livingAsWished, neededNow, type Planning } from './planning.ts'
import type { View } from './view.ts'
import { type MoveOrder, type Order, ordered } from './wishes.ts'

/** The owner of a shard, now and when everything is where it is to be. */
export interface OwnerChange {
  shard: number
  from: string | null
  to: string | null
}

/** A shard on its way. */
export interface Handover extends OwnerChange {
  /**
   * `standby`: the new owner is still behind. `turn`: others are on their way, or the new owner has others to
   * catch up with first. `claim`: the new owner is named, and does not serve yet.
   */
  waitsFor: 'standby' | 'turn' | 'claim'
  /** How many slots the new owner is behind; null while that is not known. */
  lag: number | null
}

/** A shard that nobody can take who should. */
export interface Unplaced {
  shard: number
  /** One that is on its way out keeps it meanwhile; null for nobody. */
  keptBy: string | null
  /** Of everybody who is there, in words. */
  why: string[]
}

/** What only the leader knows. */
export interface LeaderReport {
  name: string
  epoch: number
  /** A view that the registry is not known to have yet. */
  proposed: { leaderEpoch: number; version: number } | null
  handovers: Handover[]
  unplaced: Unplaced[]
}

/** Undefined for an order that can be followed. */
export function refusalOf(order: Order, planning: Planning): TroupeError | undefined {
  switch (order.kind) {
    case 'drain':
      return refusalOfDrain(order.node, planning)
    case 'move':
      return refusalOfMove(order, planning)
    // What is so already need not be made so.
    case 'unpin':
      return refusalOfShard(order.shard, planning)
    case 'undrain': {
      const { members, wishes } = planning
      const known = [...members.map(({ name }) => name), ...wishes.drains.map(({ node }) => node)]
      return known.includes(order.node) ? undefined : notThere(order.node, planning)
    }
  }
}

function refusalOfDrain(node: string, planning: Planning): TroupeError | undefined {
  const { members, previous } = planning
  if (!members.some(({ name }) => name === node)) return notThere(node, planning)
  if (planning.wishes.drains.some((one) => one.node === node)) return undefined
  const others = members.filter(({ name }) => name !== node)
  const owned = (previous?.owners ?? []).flatMap((owner, shard) => (owner === node ? [shard] : []))
  // Without a shard of its own it would still be one fewer to take those of others.
  const shards = owned.length > 0 ? owned : [0]
  const stuck = shards.filter((shard) =>
    others.every(({ name }) => whyNot(name, shard, planning) !== undefined),
  )
  const [first] = stuck
  if (first === undefined) return undefined
  const reasons = others.map(({ name }) => `${name} ${whyNot(name, first, planning)}`)
  const what = stuck.length === shards.length ? 'its shards' : `its shards ${stuck.join(', ')}`
  const why = reasons.length > 0 ? reasons.join('; ') : 'it is the only node'
  return new TroupeError('conflict', `nobody else could take ${what}: ${why}`)
}

function refusalOfMove(
  { shard, to, isPinned }: MoveOrder,
  planning: Planning,
): TroupeError | undefined {
  const { members, wishes } = planning
  const unknown = refusalOfShard(shard, planning)
  if (unknown) return unknown
  if (!members.some(({ name }) => name === to)) return notThere(to, planning)
  const pin = wishes.moves.find((one) => one.shard === shard && one.isPinned)
  if (pin && pin.to !== to && !isPinned) {
    const why = `the shard ${shard} is pinned to ${pin.to} (by ${pin.by}): unpin it first, or pin it to ${to}`
    return new TroupeError('conflict', why)
  }
  const why = whyNot(to, shard, planning)
  return why === undefined
    ? undefined
    : new TroupeError('conflict', `${to} cannot take the shard ${shard}: it ${why}`)
}

function notThere(node: string, { members }: Planning): TroupeError {
  const names = members.map(({ name }) => name).sort()
  const there = names.length > 0 ? `those that are: ${names.join(', ')}` : 'nobody is'
  return new TroupeError('not-found', `the node ${node} is not there; ${there}`)
}

/** Programs order, too: a view with a wish for no shard could be read by nobody. */
function refusalOfShard(shard: number, { shardCount }: Planning): TroupeError | undefined {
  if (Number.isSafeInteger(shard) && shard >= 0 && shard < shardCount) return undefined
  const why = `there is no shard ${shard}: they are numbered from 0 to ${shardCount - 1}`
  return new TroupeError('not-found', why)
}

/** Why one who is there takes no shard, or not this one. */
function whyNot(name: string, shard: number, planning: Planning): string | undefined {
  const { members, wishes, previous, unhosted, reports } = planning
  const member = members.find((one) => one.name === name)
  if (!member) return 'is not there'
  if (member.leaving) return 'is stopping'
  if (member.weight === 0) return 'has the weight 0'
  if (reports.refuses(name, shard))
    return 'has a store that has parted from the journal of the shard'
  const has = reports.machines(name)
  const lacks = [...neededNow(previous, unhosted)(shard)].filter(
    ([machine, version]) => (has.get(machine) ?? 0) < version,
  )
  // Last: who is drained takes a shard all the same where nobody else can, if it can.
  if (lacks.length === 0)
    return wishes.drains.some(({ node }) => node === name) ? 'is drained' : undefined
  const machines = lacks.map(([machine, version]) => `${machine} in version ${version}`)
  return `does not host what the shard has: ${machines.join(', ')}`
}

/** Who is to have what other shards, when everything is as the order wants it. */
export function changesBy(order: Order, planning: Planning): OwnerChange[] {
  const wishes = ordered(planning.wishes, order, 0)
  return coursesOf({ ...planning, wishes }).flatMap(({ present, wanted }, shard) =>
    present.owner === wanted.owner ? [] : [{ shard, from: present.owner, to: wanted.owner }],
  )
}

export function plansOf(planning: Planning): Pick<LeaderReport, 'handovers' | 'unplaced'> {
  const members = livingAsWished(planning)
  const handovers: Handover[] = []
  const unplaced: Unplaced[] = []
  for (const [shard, course] of coursesOf(planning, members).entries()) {
    const { present, wanted, lag = null } = course
    const { owner } = wanted
    if (owner === null || members.some(({ name, leaving }) => name === owner && leaving)) {
      const why = members.map(({ name }) => `${name} ${whyNot(name, shard, planning)}`)
      unplaced.push({ shard, keptBy: owner, why })
      continue
    }
    const change = { shard, from: present.owner, to: owner, lag }
    if (present.owner !== owner) {
      handovers.push({ ...change, waitsFor: isNear(course) ? 'turn' : 'standby' })
    } else if (planning.reports.servesBy(owner, shard) === undefined) {
      const from = planning.previous?.former[shard]?.at(-1)?.name ?? null
      handovers.push({ ...change, from, waitsFor: 'claim' })
    }
  }
  return { handovers, unplaced }
}

/** The shards that a view gives to nobody, those of one reason together; none while all are on their way out. */
export function unownedIn(
  { members, owners }: View,
  planning: Planning,
): { shards: number[]; why: string }[] {
  if (!owners.includes(null)) return []
  if (planning.members.every(({ leaving }) => leaving)) return []
  const byReason = new Map<string, number[]>()
  for (const [shard, owner] of owners.entries()) {
    if (owner !== null) continue
    const reasons = members.map(({ name }) => `${name} ${whyNot(name, shard, planning)}`)
    const why = reasons.join('; ')
    byReason.set(why, [...(byReason.get(why) ?? []), shard])
  }
  return [...byReason].map(([why, shards]) => ({ shards, why }))
}
