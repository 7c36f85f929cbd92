/**
 * The next view. A pure function of the last view, of who lives, and of what they report.
 *
 * Decides: the way from one owner to the next. One that lives keeps its shard until its successor,
 * named standby first, has nearly everything; one that is dead, or cannot serve the shard, is replaced
 * at once, by its standby if that can. Leaves to others: who should own what in the end
 * (placement.ts, seating.ts), who asks (leader.ts).
 */
import { HANDOFF_LAG_SLOTS_MAX } from './limits.ts'
import { type Member, place, takesShards } from './placement.ts'
import { Seating, type Seats } from './seating.ts'
import { knows, NO_VERSIONS, newest, type Versions, without } from './versions.ts'
import { encodeView, type Former, VERSION_MAX, type View, viewNumber } from './view.ts'

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
  /** The highest view that any member has seen; the next one has to be above, or they ignore it. */
  seen: number
}

/**
 * `previous` itself when nothing changes; undefined when this epoch has no version left. A new leader
 * changes it in any case: what the last one wrote may still be on its way to the registry, and only a
 * newer epoch is above that wherever it arrives.
 */
export function nextView(planning: Planning): View | undefined {
  const { previous, shardCount, leaderEpoch, reports, unhosted } = planning
  const members = [...planning.members].sort((a, b) => (a.name < b.name ? -1 : 1))
  const nobody = Array.from({ length: shardCount }, () => null)
  const before = previous ?? { owners: nobody, standbys: nobody }
  const living = new Map(members.map((member) => [member.name, member]))
  const written = previous?.needs ?? nobody.map(() => NO_VERSIONS)
  const needed = written.map((versions) => without(versions, unhosted))
  const mayTake = (name: string, shard: number) =>
    knows(reports.machines(name), needed[shard]!) && !reports.refuses(name, shard)
  const seating = new Seating(place(members, shardCount, before), living, mayTake)
  const owners: (string | null)[] = []
  const standbys: (string | null)[] = []
  const former: Former[][] = []
  const needs: Versions[] = []
  for (let shard = 0; shard < shardCount; shard++) {
    const present = { owner: before.owners[shard]!, standby: before.standbys[shard]! }
    const wanted = seating.wanted(shard, present)
    const lag = wanted.owner === null ? undefined : reports.lag(wanted.owner, shard)
    const heir = seating.isAble(present.standby, shard) ? living.get(present.standby) : undefined
    const next = nextSeats(present, wanted, {
      lag,
      heir: heir && takesShards(heir) ? heir.name : undefined,
      isServed: seating.isAble(present.owner, shard),
    })
    owners.push(next.owner)
    standbys.push(next.standby)
    former.push(formerOwners(planning, shard, next.owner))
    const has = next.owner === null ? NO_VERSIONS : reports.machines(next.owner)
    needs.push(newest(written[shard]!, has))
  }
  const plan = { members, owners, standbys, former, needs, unhosted: [...unhosted].sort() }
  const isFirst = !previous || previous.leaderEpoch !== leaderEpoch
  const isNewest = previous && viewNumber(previous) >= planning.seen
  if (!isFirst && isNewest && isSame(previous, plan)) return previous
  const version = isFirst ? 1 : previous.version + 1
  return version > VERSION_MAX ? undefined : { leaderEpoch, version, ...plan }
}

interface Circumstances {
  /** The present owner lives and can serve it. */
  isServed: boolean
  /** The present standby, if that can take it. */
  heir: string | undefined
  /** Of the wanted owner. */
  lag: number | undefined
}

function nextSeats(present: Seats, wanted: Seats, { isServed, heir, lag }: Circumstances): Seats {
  if (present.owner === wanted.owner) return wanted
  if (!isServed) {
    // It has the data, so it serves sooner than anybody else; what it has too much goes on from there.
    if (heir === undefined || heir === wanted.owner) return wanted
    return { owner: heir, standby: wanted.owner }
  }
  const isReady = present.standby === wanted.owner && lag !== undefined
  if (isReady && lag < HANDOFF_LAG_SLOTS_MAX) return wanted
  return { owner: present.owner, standby: wanted.owner ?? present.standby }
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
