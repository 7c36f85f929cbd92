/**
 * The next view. A pure function of the last view, of who lives, and of what they report.
 *
 * Decides: the way from one owner to the next. One that lives keeps its shard until its successor,
 * named standby first, has nearly everything; one that is dead is replaced at once, by its standby if
 * that lives. Leaves to others: who should own what in the end (placement.ts), who asks (leader.ts).
 */
import { HANDOFF_LAG_SLOTS_MAX } from './limits.ts'
import { type Member, place } from './placement.ts'
import { encodeView, type Former, VERSION_MAX, type View, viewNumber } from './view.ts'

/** What members say of themselves. */
export interface Reports {
  /** How many slots a standby is behind; undefined when it has not said so. */
  lag(name: string, shard: number): number | undefined
  /** The view by which a node serves a shard; undefined when it does not. */
  servesBy(name: string, shard: number): number | undefined
}

export interface Planning {
  previous: View | undefined
  /** Those who live. */
  members: readonly Member[]
  reports: Reports
  shardCount: number
  leaderEpoch: number
  /** The highest view that any member has seen; the next one has to be above, or they ignore it. */
  seen: number
}

/** `previous` itself when nothing changes; undefined when this epoch has no version left. */
export function nextView(planning: Planning): View | undefined {
  const { previous, shardCount, leaderEpoch } = planning
  const members = [...planning.members].sort((a, b) => (a.name < b.name ? -1 : 1))
  const nobody = Array.from({ length: shardCount }, () => null)
  const before = previous ?? { owners: nobody, standbys: nobody }
  const target = place(members, shardCount, before)
  const living = new Map(members.map((member) => [member.name, member]))
  const owners: (string | null)[] = []
  const standbys: (string | null)[] = []
  const former: Former[][] = []
  for (let shard = 0; shard < shardCount; shard++) {
    const present = { owner: before.owners[shard]!, standby: before.standbys[shard]! }
    const wanted = { owner: target.owners[shard]!, standby: target.standbys[shard]! }
    const lag = wanted.owner === null ? undefined : planning.reports.lag(wanted.owner, shard)
    const next = nextSeats(present, wanted, living, lag)
    owners.push(next.owner)
    standbys.push(next.standby)
    former.push(formerOwners(planning, shard, next.owner))
  }
  const plan = { members, owners, standbys, former }
  const isNewest = previous && viewNumber(previous) >= planning.seen
  if (isNewest && isSame(previous, plan)) return previous
  const isFirst = !previous || previous.leaderEpoch !== leaderEpoch
  const version = isFirst ? 1 : previous.version + 1
  return version > VERSION_MAX ? undefined : { leaderEpoch, version, ...plan }
}

interface Seats {
  owner: string | null
  standby: string | null
}

function nextSeats(
  present: Seats,
  wanted: Seats,
  living: ReadonlyMap<string, Member>,
  lag: number | undefined,
): Seats {
  if (present.owner === wanted.owner) return wanted
  const heir = present.standby === null ? undefined : living.get(present.standby)
  if (present.owner === null || !living.has(present.owner)) {
    // It has the data, so it serves sooner than anybody else; what it has too much goes on from there.
    if (!heir || heir.leaving || heir.name === wanted.owner) return wanted
    return { owner: heir.name, standby: wanted.owner }
  }
  const isReady = present.standby === wanted.owner && lag !== undefined
  if (isReady && lag < HANDOFF_LAG_SLOTS_MAX) return wanted
  return { owner: present.owner, standby: wanted.owner ?? present.standby }
}

/** Whoever was named may have claimed; a claim by a newer view has read all that it wrote. */
function formerOwners(
  { previous, reports }: Planning,
  shard: number,
  owner: string | null,
): Former[] {
  if (!previous) return []
  const last = previous.owners[shard]!
  const claimedBy = last === null ? undefined : reports.servesBy(last, shard)
  const former = previous.former[shard]!.filter(
    ({ name, until }) => name !== owner && name !== last && until >= (claimedBy ?? 0),
  )
  if (last !== null && last !== owner) former.push({ name: last, until: viewNumber(previous) })
  return former
}

function isSame(previous: View, plan: Pick<View, 'members' | 'owners' | 'standbys' | 'former'>) {
  const bytes = (view: View) => Buffer.from(encodeView({ ...view, leaderEpoch: 1, version: 1 }))
  return bytes(previous).equals(bytes({ ...previous, ...plan }))
}
