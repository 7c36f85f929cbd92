/**
 * Fills the gaps of a placement. Decides: which open shard goes to which taker, so that as few
 * shards as possible come to the group they should avoid, and the rest is spread evenly.
 *
 * Leaves to placement.ts: which shards are open, and how much each taker lacks. Every step costs
 * the same, however many takers there are.
 */
import { invariant } from '../protocol/index.ts'

const NOBODY = -1

export interface Site {
  /** The group of each taker: its zone, or itself. */
  readonly groups: Int32Array
  readonly groupCount: number
}

/** As many open shards as there are gaps in all. */
export interface Task {
  readonly open: readonly number[]
  /** `groupCount` for none. */
  readonly avoid: (shard: number) => number
  readonly prefer: (shard: number) => number
}

export function fill(site: Site, gaps: Int32Array, holders: Int32Array, task: Task): void {
  const openings = new Openings(site, gaps)
  const pressure = new Pressure(site, gaps, task)
  for (const shard of task.open) {
    const avoid = task.avoid(shard)
    const tight = pressure.tightGroup()
    const preferred = task.prefer(shard)
    const mayPrefer =
      preferred !== NOBODY &&
      gaps[preferred]! > 0 &&
      site.groups[preferred] !== avoid &&
      (tight === NOBODY || tight === avoid || tight === site.groups[preferred])
    let taker: number
    if (mayPrefer) taker = openings.take(preferred)
    else if (tight !== NOBODY && tight !== avoid) taker = openings.takeFrom(tight)
    else taker = openings.takeOutside(avoid)
    holders[shard] = taker
    pressure.settle(avoid, site.groups[taker]!)
  }
}

/**
 * The load of a group is its gaps and the open shards that avoid it. Each filling lowers the load of
 * two groups by one. A group whose load is all that is left has to be one of the two every time
 * from then on, or some shard ends in the group it avoids. Any other choice is free.
 */
class Pressure {
  readonly #loads: Int32Array
  /** How many groups have which load: loads only fall, so the highest is found by walking down. */
  readonly #tally: Int32Array
  #highest: number
  #left: number
  #tight = NOBODY

  constructor(site: Site, gaps: Int32Array, { open, avoid }: Task) {
    this.#left = open.length
    this.#loads = new Int32Array(site.groupCount + 1)
    for (const shard of open) this.#loads[avoid(shard)]! += 1
    site.groups.forEach((group, taker) => {
      this.#loads[group]! += gaps[taker]!
    })
    this.#highest = this.#loads.reduce((highest, load) => Math.max(highest, load), 0)
    this.#tally = new Int32Array(this.#highest + 1)
    for (const load of this.#loads) this.#tally[load]! += 1
  }

  tightGroup(): number {
    if (this.#tight !== NOBODY) return this.#tight
    while (this.#highest > 0 && this.#tally[this.#highest] === 0) this.#highest -= 1
    // Once tight is tight to the end, so this search is made once.
    if (this.#highest >= this.#left) this.#tight = this.#loads.indexOf(this.#highest)
    return this.#tight
  }

  settle(avoid: number, group: number): void {
    this.#left -= 1
    this.#lower(avoid)
    this.#lower(group)
  }

  #lower(group: number): void {
    const load = this.#loads[group]!
    this.#tally[load]! -= 1
    this.#tally[load - 1]! += 1
    this.#loads[group] = load - 1
  }
}

/** The gaps as a sequence in which each taker comes as evenly as it can. Lowers `gaps` as they go. */
class Openings {
  readonly #groups: Int32Array
  readonly #gaps: Int32Array
  /** The gaps of each group, counted. */
  readonly #room: Int32Array
  /** The whole sequence, and the part of each group. What was taken out of turn is skipped. */
  readonly #turns: Int32Array
  readonly #queues: number[][]
  readonly #heads: Int32Array
  #next = 0
  #total = 0
  /** Turns of one group that were passed over, because the shard avoided it. They come first. */
  #passed = 0
  #passedGroup = NOBODY

  constructor(site: Site, gaps: Int32Array) {
    this.#groups = site.groups
    this.#gaps = gaps
    this.#room = new Int32Array(site.groupCount)
    this.#queues = Array.from({ length: site.groupCount }, () => [])
    this.#heads = new Int32Array(site.groupCount)
    this.#turns = interleave(gaps)
    this.#total = this.#turns.length
    for (const taker of this.#turns) {
      const group = site.groups[taker]!
      this.#room[group]! += 1
      this.#queues[group]!.push(taker)
    }
  }

  take(taker: number): number {
    invariant(this.#gaps[taker]! > 0, 'a taker has no gap left')
    this.#gaps[taker]! -= 1
    this.#room[this.#groups[taker]!]! -= 1
    this.#total -= 1
    return taker
  }

  takeFrom(group: number): number {
    const queue = this.#queues[group]!
    for (;;) {
      const taker = queue[this.#heads[group]!]
      invariant(taker !== undefined, 'a group has no gap left')
      this.#heads[group]! += 1
      if (this.#gaps[taker]! > 0) return this.take(taker)
    }
  }

  /** From another group, as long as any other has a gap. */
  takeOutside(avoid: number): number {
    if (this.#total === (this.#room[avoid] ?? 0)) return this.takeFrom(avoid)
    if (this.#passed > 0 && this.#passedGroup !== avoid) {
      this.#passed -= 1
      if (this.#room[this.#passedGroup]! > 0) return this.takeFrom(this.#passedGroup)
      this.#passed = 0
    }
    for (;;) {
      const taker = this.#turns[this.#next]
      invariant(taker !== undefined, 'there is no gap left')
      this.#next += 1
      const group = this.#groups[taker]!
      if (this.#room[group] === 0) continue
      if (group !== avoid) return this.takeFrom(group)
      this.#passedGroup = group
      this.#passed += 1
    }
  }
}

/** The nth of a taker's gaps stands at (n + ½) / its gaps. */
function interleave(gaps: Int32Array): Int32Array {
  const turns: { taker: number; at: number }[] = []
  gaps.forEach((count, taker) => {
    for (let n = 0; n < count; n++) turns.push({ taker, at: (n + 0.5) / count })
  })
  turns.sort((a, b) => a.at - b.at || a.taker - b.taker)
  return Int32Array.from(turns, ({ taker }) => taker)
}
