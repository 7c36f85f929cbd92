/**
 * The next view. A pure function of the last view, of who lives, and of what they report.
 *
 * Decides: the way from one owner to the next. One that lives keeps its shard until its successor,
 * named standby first, has nearly everything; one that is dead, or cannot serve the shard, is replaced
 * at once, by its standby if that can. So do those that operators wish to be elsewhere. Leaves to others:
 * who should own what in the end (placement.ts, seating.ts), who asks (leader.ts).
 */
import { isNearBy } from './limits.ts'
import { type Member, place, takesShards, UNPLACED } from './placement.ts'
import { Seating, type Seats } from './seating.ts'
import { knows, NO_VERSIONS, newest, type Versions, without } from './versions.ts'
import { encodeView, type Former, VERSION_MAX, type View, viewNumber } from './view.ts'
import { asWished, isVain, type Move, pinsOf, type Wishes } from './wishes.ts'

/** What members say of themselves. */
export interface Reports {
  /** How many slots a standby is behind; undefined when it has not said so. */
  lag(name: string, shard: number): number | undefined
  /** The view by which a node serves a shard; undefined when it does not. */
  servesBy(name: string, shard: number): number | undefined
  /** The machines that a node hosts. */
  machines(name: string): Versions
  /** Its store and the journal of the shard have parted. */
  refuses(name: string, shard: number): boolean
}

export interface Planning {
  previous: View | undefined
  /** Those who live. */
  members: readonly Member[]
  reports: Reports
  shardCount: number
  leaderEpoch: number
  /** Machines that nobody is waited for any more, though shards need them (hosting.ts). */
  unhosted: ReadonlySet<string>
  /** Of operators: those of the last view, and what was ordered since. */
  wishes: Wishes
  /** The highest view that any member has seen; the next one has to be above, or they ignore it. */
  seen: number
  /** Made between two beats of the leader, since members have said something new. */
  isBetweenBeats?: boolean
}

/** Where a shard stands, and where it is to be in the end. */
export interface Course {
  present: Seats
  wanted: Seats
  /** The present owner lives and can serve it. */
  isServed: boolean
  /** The present standby, if that can take it. */
  heir: string | undefined
  /** The present standby lives and could serve it, whether or not it is to stay. */
  isFollowed: boolean
  /** How many slots the wanted owner is behind. */
  lag: number | undefined
}

/** Of every shard, with those who live as operators wish them. */
export function coursesOf(planning: Planning, members = livingAsWished(planning)): Course[] {
  const { previous, shardCount, reports, unhosted, wishes } = planning
  const before = previous ?? UNPLACED
  const living = new Map(members.map((member) => [member.name, member]))
  const needed = neededNow(previous, unhosted)
  const mayTake = (name: string, shard: number) =>
    knows(reports.machines(name), needed(shard)) && !reports.refuses(name, shard)
  const target = place(members, shardCount, before, pinsOf(wishes.moves))
  const seating = new Seating(target, living, drainedNow(planning), mayTake)
  return Array.from({ length: shardCount }, (_, shard) => {
    const present = {
      owner: before.owners[shard] ?? null,
      standby: before.standbys[shard] ?? null,
    }
    const wanted = seating.wanted(shard, present)
    const heir = seating.isAble(present.standby, shard) ? living.get(present.standby) : undefined
    return {
      ...{ present, wanted },
      isServed: seating.isAble(present.owner, shard),
      heir: heir && takesShards(heir) ? heir.name : undefined,
      isFollowed: heir !== undefined,
      lag: wanted.owner === null ? undefined : reports.lag(wanted.owner, shard),
    }
  })
}

/** In the order of names. */
export function livingAsWished({ members, wishes }: Planning): Member[] {
  return asWished(members, wishes).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Those that stay, and would take shards were it not for an operator's wish. */
function drainedNow({ members, wishes }: Planning): ReadonlySet<string> {
  const drained = new Set(wishes.drains.map(({ node }) => node))
  const staying = members.filter((one) => takesShards(one) && drained.has(one.name))
  return new Set(staying.map(({ name }) => name))
}

/** What whoever takes a shard has to know, but for machines that nobody is waited for. */
export function neededNow(
  previous: View | undefined,
  unhosted: ReadonlySet<string>,
): (shard: number) => Versions {
  const needed = previous?.needs.map((versions) => without(versions, unhosted))
  return (shard) => needed?.[shard] ?? NO_VERSIONS
}

/**
 * `previous` itself when nothing changes; undefined when this epoch has no version left. A new leader
 * changes it in any case: what the last one wrote may still be on its way to the registry, and only a
 * newer epoch is above that wherever it arrives.
 */
export function nextView(planning: Planning): View | undefined {
  const { previous, leaderEpoch, reports, unhosted } = planning
  const members = livingAsWished(planning)
  const owners: (string | null)[] = []
  const standbys: (string | null)[] = []
  const former: Former[][] = []
  const needs: Versions[] = []
  const courses = coursesOf(planning, members)
  const turns = new Turns(planning, courses)
  courses.forEach((course, shard) => {
    const next = nextSeats(course, turns)
    owners.push(next.owner)
    standbys.push(next.standby)
    former.push(formerOwners(planning, shard, next.owner))
    const has = next.owner === null ? NO_VERSIONS : reports.machines(next.owner)
    needs.push(newest(previous?.needs[shard] ?? NO_VERSIONS, has))
  })
  const wishes = { ...planning.wishes, moves: unfinished(planning, members) }
  const seats = { owners, standbys, former, needs }
  const plan = { members, ...seats, unhosted: [...unhosted].sort(), wishes }
  const isFirst = !previous || previous.leaderEpoch !== leaderEpoch
  const isNewest = previous && viewNumber(previous) >= planning.seen
  if (!isFirst && isNewest && isSame(previous, plan)) return previous
  const version = isFirst ? 1 : previous.version + 1
  return version > VERSION_MAX ? undefined : { leaderEpoch, version, ...plan }
}

/**
 * How many shards go from one that serves them to another at the same time: each has a moment in which
 * nobody serves it, and many at once would make that longer for all.
 */
const HANDOVERS_AT_ONCE = 2

/** Somebody who lives is named for a shard, and does not serve it yet. */
export function isUnderWay({ owners }: View, planning: Planning): boolean {
  return owners.some((owner, shard) => isAwaited(owner, shard, planning))
}

function isAwaited(owner: string | null, shard: number, { members, reports }: Planning): boolean {
  if (owner === null || reports.servesBy(owner, shard) !== undefined) return false
  return members.some(({ name }) => name === owner)
}

/**
 * Which handovers may begin. Whoever has other shards to catch up with first is given none, and standbys that
 * need not change wait until owners have: to catch up costs more than to hand over, and who hands over, or
 * takes, or waits for that, does it on the same machines.
 */
class Turns {
  /** Some shard goes from one that serves it to another. */
  readonly isMoving: boolean
  readonly #behind: ReadonlySet<string | null>
  #left: number

  constructor(planning: Planning, courses: readonly Course[]) {
    const { previous, isBetweenBeats = false } = planning
    const moving = courses.filter(
      ({ present, wanted, isServed }) => isServed && present.owner !== wanted.owner,
    )
    this.isMoving = moving.length > 0
    // Who cannot say how far it is, since the journal is away, does not hold up its other shards.
    const behind = moving.filter((one) => one.lag !== undefined && !isNear(one))
    this.#behind = new Set(behind.map(({ wanted }) => wanted.owner))
    const under = (previous?.former ?? []).filter(
      (some, shard) => some.length > 0 && isAwaited(previous!.owners[shard]!, shard, planning),
    )
    // What cannot be taken, since it waits for the records of others, does not hold up the rest for ever.
    this.#left = Math.max(isBetweenBeats ? 0 : 1, HANDOVERS_AT_ONCE - under.length)
  }

  take(owner: string | null): boolean {
    if (this.#left === 0 || this.#behind.has(owner)) return false
    this.#left -= 1
    return true
  }
}

export function isNear({ present, wanted, lag }: Course): boolean {
  return present.standby === wanted.owner && isNearBy(lag)
}

function nextSeats(course: Course, turns: Turns): Seats {
  const { present, wanted, isServed, isFollowed, heir } = course
  if (present.owner === wanted.owner) return turns.isMoving && isFollowed ? present : wanted
  if (!isServed) {
    // It has the data, so it serves sooner than anybody else; what it has too much goes on from there.
    if (heir === undefined || heir === wanted.owner) return wanted
    return { owner: heir, standby: wanted.owner }
  }
  // Who has had it has nothing to catch up with.
  if (isNear(course) && turns.take(wanted.owner)) {
    return { owner: wanted.owner, standby: present.owner }
  }
  return { owner: present.owner, standby: wanted.owner ?? present.standby }
}

/** A move is over when the shard is there and would stay without it. */
function unfinished(planning: Planning, members: readonly Member[]): readonly Move[] {
  const { previous, reports, shardCount, wishes } = planning
  const { moves } = wishes
  const stays = (move: Move) => {
    const others = moves.filter((one) => one !== move)
    return place(members, shardCount, previous!, pinsOf(others)).owners[move.shard] === move.to
  }
  const isThere = ({ shard, to }: Move) =>
    previous?.owners[shard] === to && reports.servesBy(to, shard) !== undefined
  const isOver = (move: Move) =>
    isVain(move, members) || (!move.isPinned && isThere(move) && stays(move))
  return moves.filter((move) => !isOver(move))
}

/**
 * Whoever was named may have claimed, and whoever serves has, by a view that nobody else may know any
 * more. A claim by a newer view has read all that it wrote.
 */
function formerOwners(
  { previous, members, reports }: Planning,
  shard: number,
  owner: string | null,
): Former[] {
  if (!previous) return []
  const last = previous.owners[shard]!
  const claimedBy = last === null ? undefined : reports.servesBy(last, shard)
  const named = new Map(previous.former[shard]!.map(({ name, until }) => [name, until]))
  for (const { name } of members) {
    const by = reports.servesBy(name, shard)
    if (by !== undefined) named.set(name, Math.max(by, named.get(name) ?? 0))
  }
  const former = [...named]
    .map(([name, until]) => ({ name, until }))
    .filter(({ name, until }) => name !== owner && name !== last && until >= (claimedBy ?? 0))
  if (last !== null && last !== owner) former.push({ name: last, until: viewNumber(previous) })
  return former
}

function isSame(previous: View, plan: Omit<View, 'leaderEpoch' | 'version'>) {
  const bytes = (view: View) => Buffer.from(encodeView({ ...view, leaderEpoch: 1, version: 1 }))
  return bytes(previous).equals(bytes({ ...previous, ...plan }))
}
