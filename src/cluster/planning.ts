/**
 * The next view. A pure function of the last view, of who lives, and of what they report.
 *
 * Decides: the way from one owner to the next. One that lives keeps its shard until its successor,
 * named standby first, has nearly everything; one that is dead, or cannot serve the shard, is replaced
 * at once, by its standby if that can, even one that is to have no shards. What is moved for balance waits
 * for others, but not for ever; what an operator, or one that leaves, waits for does not. Leaves to others:
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
  /** No view has changed anything for `catchUpMs`: who is behind may get no nearer, and holds up nobody. */
  isStill?: boolean
}

/** Where a shard stands, and where it is to be in the end. */
export interface Course {
  present: Seats
  wanted: Seats
  /** The present owner lives and can serve it. */
  isServed: boolean
  /** The present owner lives, and is to have no shards: it leaves, or is drained. */
  isEmptied: boolean
  /** An operator wants it just there. */
  isOrdered: boolean
  /** The present standby, if that lives and could serve it, whether or not it is to stay. */
  heir: string | undefined
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
  const pins = pinsOf(wishes.moves)
  const target = place(members, shardCount, before, pins)
  const seating = new Seating(target, living, drainedNow(planning), mayTake)
  return Array.from({ length: shardCount }, (_, shard) => {
    const present = {
      owner: before.owners[shard] ?? null,
      standby: before.standbys[shard] ?? null,
    }
    const wanted = seating.wanted(shard, present)
    const owner = living.get(present.owner ?? '')
    return {
      ...{ present, wanted },
      isServed: seating.isAble(present.owner, shard),
      isEmptied: owner !== undefined && !takesShards(owner),
      isOrdered: pins.get(shard) === wanted.owner,
      heir: seating.isAble(present.standby, shard) ? present.standby : undefined,
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
 * Which handovers may begin. Of what is moved for balance, whoever has other shards to catch up with first is
 * given none, and standbys that need not change wait until owners have: to catch up costs more than to hand
 * over, and who hands over, or takes, or waits for that, does it on the same machines. Both end when nothing
 * changes any more: a shard that gets no nearer is not worth that of all the others.
 */
class Turns {
  /** Some shard goes from one that serves it to another, or is about to. */
  readonly isMoving: boolean
  readonly #behind: ReadonlySet<string | null>
  #left: number

  constructor(planning: Planning, courses: readonly Course[]) {
    const { previous, isBetweenBeats = false, isStill = false } = planning
    const moving = courses.filter(
      ({ present, wanted, isServed }) => isServed && present.owner !== wanted.owner,
    )
    const under = (previous?.former ?? []).filter(
      (some, shard) => some.length > 0 && isAwaited(previous!.owners[shard]!, shard, planning),
    )
    this.isMoving = moving.some(isNear) || (!isStill && moving.length + under.length > 0)
    // Who cannot say how far it is, since the journal is away, does not hold up its other shards.
    const behind = moving.filter((one) => !isStill && one.lag !== undefined && !isNear(one))
    this.#behind = new Set(behind.map(({ wanted }) => wanted.owner))
    // What cannot be taken, since it waits for the records of others, does not hold up the rest for ever.
    this.#left = Math.max(isBetweenBeats ? 0 : 1, HANDOVERS_AT_ONCE - under.length)
  }

  take({ wanted, isEmptied, isOrdered }: Course): boolean {
    const waitsForOthers = !isEmptied && !isOrdered && this.#behind.has(wanted.owner)
    if (this.#left === 0 || waitsForOthers) return false
    this.#left -= 1
    return true
  }
}

export function isNear({ present, wanted, lag }: Course): boolean {
  return present.standby === wanted.owner && isNearBy(lag)
}

function nextSeats(course: Course, turns: Turns): Seats {
  const { present, wanted, isServed, isEmptied, heir } = course
  const isFollowed = heir !== undefined
  if (present.owner === wanted.owner) return turns.isMoving && isFollowed ? present : wanted
  if (!isServed) {
    // It has the data, so it serves sooner than anybody else; what it is not to keep goes on from there.
    if (heir === undefined || heir === wanted.owner) return wanted
    return { owner: heir, standby: wanted.owner }
  }
  if (isNear(course) && turns.take(course)) {
    // Who has had it has nothing to catch up with; but one that goes follows it only if nobody else can.
    const standby = isEmptied ? (wanted.standby ?? present.owner) : present.owner
    return { owner: wanted.owner, standby }
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
