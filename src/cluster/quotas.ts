/**
 * How many shards each member owns and follows. Decides: shares by weight, to within one; who has one
 * more of equal remainders; what becomes of shares where shards are pinned, or zones are of unequal size.
 * Leaves to placement.ts: which shards those are.
 */
import { invariant } from '../protocol/index.ts'
import type { Site } from './openings.ts'

/** In lists of takers by shard. */
export const NOBODY = -1

/** The members that can take shards, by their index in the order of names. */
export interface Takers extends Site {
  readonly names: readonly string[]
  readonly weights: readonly number[]
}

/** Holders by shard, as indices of takers. Who is dead or leaving is NOBODY. */
export interface Before {
  readonly owners: Int32Array
  readonly standbys: Int32Array
}

/** Shares nearer than this are equal, since weights are floating point. */
const SHARE_GRAIN = 1e-6

/** Who comes first of those with equal remainders: the highest number, then the order of names. */
type Favour = (n: number) => number

/** By weight; but who is pinned to more than its share has that, and the others share what is left. */
export function ownerQuota(takers: Takers, before: Before, pinned: Int32Array): Int32Array {
  const least = countsOf(takers, pinned)
  const quota = least.slice()
  let sharing = takers.names.map((_, taker) => taker)
  let left = before.owners.length
  for (;;) {
    const some = sharing
    const weights = some.map((taker) => takers.weights[taker]!)
    const part = shares(
      weights,
      left,
      favourOfNow(takers, before, some, wholeShares(weights, left)),
    )
    const above = new Set(some.filter((taker, n) => least[taker]! > part[n]!))
    if (above.size === 0) {
      some.forEach((taker, n) => {
        quota[taker] = part[n]!
      })
      return quota
    }
    // That leaves less to the others, so one more of them may be above its share.
    for (const taker of above) left -= least[taker]!
    sharing = some.filter((taker) => !above.has(taker))
  }
}

/**
 * A group can follow only what it does not own. One group at most can be over that, for all
 * together own and follow each shard once; what it cannot follow the others share.
 * One more to follow is due first to who does not own one more, so that nobody has both.
 */
export function standbyQuota(takers: Takers, owned: Int32Array, shardCount: number): Int32Array {
  const { weights, names } = takers
  const whole = wholeShares(weights, shardCount)
  const favour = (taker: number) => (owned[taker]! > whole[taker]! ? taker : taker + names.length)
  const quota = shares(weights, shardCount, favour)
  const load = new Int32Array(takers.groupCount)
  const ownedBy = new Int32Array(takers.groupCount)
  takers.groups.forEach((group, taker) => {
    ownedBy[group]! += owned[taker]!
    load[group]! += owned[taker]! + quota[taker]!
  })
  const over = load.findIndex((count) => count > shardCount)
  if (over === -1) return quota
  const split = (isIn: (taker: number) => boolean, total: number) => {
    const some = names.map((_, taker) => taker).filter(isIn)
    const part = some.map((taker) => weights[taker]!)
    shares(part, total, (n) => favour(some[n]!)).forEach((count, n) => {
      quota[some[n]!] = count
    })
  }
  split((taker) => takers.groups[taker] === over, shardCount - ownedBy[over]!)
  split((taker) => takers.groups[taker] !== over, ownedBy[over]!)
  return quota
}

/**
 * One shard more is due first to who owns one more already, so that it need not move, and then to
 * who follows one that has lost its owner, so that its standby may have it.
 * @param whole the whole shares of `some`, in their order
 */
function favourOfNow(
  takers: Takers,
  before: Before,
  some: readonly number[],
  whole: Int32Array,
): Favour {
  const owned = countsOf(takers, before.owners)
  const homeless = before.standbys.filter((_, shard) => before.owners[shard] === NOBODY)
  const heired = countsOf(takers, homeless)
  return (n) => {
    const taker = some[n]!
    if (owned[taker]! > whole[n]!) return 2
    return owned[taker]! + heired[taker]! > whole[n]! ? 1 : 0
  }
}

function countsOf(takers: Takers, holders: Int32Array): Int32Array {
  const counts = new Int32Array(takers.names.length)
  for (const taker of holders) if (taker !== NOBODY) counts[taker]! += 1
  return counts
}

/** The largest remainders round up, and of equal ones the favoured. */
function shares(weights: readonly number[], total: number, favour: Favour): Int32Array {
  const exact = exactShares(weights, total)
  const quota = wholeOf(exact)
  const rest = exact.map((share, n) => Math.round((share - quota[n]!) / SHARE_GRAIN))
  const rank = weights.map((_, n) => favour(n))
  const order = weights
    .map((_, n) => n)
    .sort((a, b) => rest[b]! - rest[a]! || rank[b]! - rank[a]! || a - b)
  const left = total - quota.reduce((all, n) => all + n, 0)
  for (const n of order.slice(0, left)) quota[n]! += 1
  return quota
}

function wholeShares(weights: readonly number[], total: number): Int32Array {
  return wholeOf(exactShares(weights, total))
}

function exactShares(weights: readonly number[], total: number): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0)
  invariant(Number.isFinite(sum), 'weights have a finite sum')
  return weights.map((weight) => (weight / sum) * total)
}

function wholeOf(exact: readonly number[]): Int32Array {
  return Int32Array.from(exact, (share) => Math.floor(share + SHARE_GRAIN))
}
