/**
 * Which unit leaves a disk, and where it may go. Decides: what can move at all; that no disk takes more at a time
 * than it may, whichever of its places a move is given; that a volume loses none of its spread over hosts; that
 * large and small units go alike. Pure. Leaves to others: which disk of those it is (placement).
 *
 * A disk that only got the smallest units would have all its room left to be written to, and be hot for as long as
 * that takes. So units are drawn by chance; of two that were drawn the one goes whose size is nearer to what
 * levels units and bytes together.
 */
import {
  excessOf,
  type Filled,
  type Flow,
  gainOf,
  type Idc,
  type Measure,
  sizeWanted,
} from './levels.ts'

/** A unit of the disk that something is to leave. */
export interface Candidate {
  vuid: bigint
  /** About what its chunk holds. */
  bytes: number
  /** All disks of its volume, this one among them. */
  diskIds: readonly number[]
  /** Why it cannot move now, in a word. */
  why: string | null
}

export interface Choice {
  vuid: bigint
  bytes: number
  /** Where it may go, the best first. */
  destinations: number[]
}

/** A place may be half as good as the best one: so those that come next are not all on one disk. */
const GAIN_PART_MIN = 0.5
/** Less is no more than what is lost in counting. */
const GAIN_MIN = 1e-12

export interface Limits {
  movesPerSourceMax: number
  movesIntoDiskMax: number
}

/** Disks that something may leave, the fullest first; of those that are alike, by chance. */
export function sourcesOf(
  idc: Idc,
  flows: readonly Flow[],
  {
    measure,
    movesPerSourceMax,
    random,
  }: Pick<Limits, 'movesPerSourceMax'> & { measure: Measure; random: () => number },
): Filled[] {
  const leaving = (disk: Filled) =>
    flows.filter(({ sourceDiskId }) => sourceDiskId === disk.diskId).length
  return idc.disks
    .map((disk) => ({ disk, excess: excessOf(idc, disk)[measure], lot: random() }))
    .filter(({ disk, excess }) => excess > 0 && disk.units > 0 && leaving(disk) < movesPerSourceMax)
    .sort((a, b) => b.excess - a.excess || a.lot - b.lot)
    .map(({ disk }) => disk)
}

/**
 * Disks that may take one more. Moves that have no place yet may all be given the same one, so they count for
 * each disk.
 */
export function ableToTake(
  idc: Idc,
  flows: readonly Flow[],
  { movesIntoDiskMax }: Limits,
): Filled[] {
  const here = new Set(idc.disks.map(({ diskId }) => diskId))
  const unplaced = flows.filter(
    (one) => one.destinationDiskId === null && here.has(one.sourceDiskId),
  ).length
  const into = (disk: Filled) =>
    flows.filter(({ destinationDiskId }) => destinationDiskId === disk.diskId).length
  return idc.disks.filter(
    (disk) => disk.unitsNow < disk.unitsMax && into(disk) + unplaced < movesIntoDiskMax,
  )
}

export function choose(
  idc: Idc,
  from: Filled,
  {
    candidates,
    able,
    measure,
    random,
  }: {
    candidates: readonly Candidate[]
    able: readonly Filled[]
    measure: Measure
    random: () => number
  },
): Choice | { why: string } {
  const movable = candidates.filter(({ why }) => why === null)
  // Between two that are above the level a move may help, and the next one undoes it.
  const below = able.filter((disk) => excessOf(idc, disk)[measure] < 0)
  const options = movable
    .map((unit) => ({ unit, places: placesFor(idc, from, unit, below) }))
    .filter(({ places }) => places.length > 0)
  if (options.length === 0) return { why: whyNone(from, candidates, movable.length) }
  const draw = () => options[Math.floor(random() * options.length)] as (typeof options)[number]
  const [first, second] = [draw(), draw()]
  const better = missOf(from, second) < missOf(from, first) ? second : first
  const { unit, places } = better
  return {
    ...{ vuid: unit.vuid, bytes: unit.bytes },
    destinations: places.map(({ diskId }) => diskId),
  }
}

/** By their gain, the greatest first. */
function placesFor(idc: Idc, from: Filled, unit: Candidate, below: readonly Filled[]): Filled[] {
  const hosts = hostsOf(idc, from, unit)
  const onSource = hosts.get(from.host) ?? 0
  const gains = below
    .filter(
      ({ diskId, host }) => !unit.diskIds.includes(diskId) && (hosts.get(host) ?? 0) <= onSource,
    )
    .map((disk) => ({ disk, gain: gainOf(idc, from, disk, unit.bytes) }))
    .sort((a, b) => b.gain - a.gain)
  const best = gains[0]?.gain ?? 0
  const least = Math.max(GAIN_MIN, best * GAIN_PART_MIN)
  return gains.filter(({ gain }) => gain >= least).map(({ disk }) => disk)
}

/** How many units of the volume each host has, without the one that is to move. */
function hostsOf(idc: Idc, from: Filled, { diskIds }: Candidate): Map<string, number> {
  const hosts = new Map<string, number>()
  for (const { diskId, host } of idc.disks) {
    if (diskId === from.diskId || !diskIds.includes(diskId)) continue
    hosts.set(host, (hosts.get(host) ?? 0) + 1)
  }
  return hosts
}

function missOf(
  from: Filled,
  { unit, places }: { unit: Candidate; places: readonly Filled[] },
): number {
  const [best] = places
  if (best === undefined) return Number.POSITIVE_INFINITY
  const wanted = sizeWanted(from, best)
  return wanted === Number.POSITIVE_INFINITY ? -unit.bytes : Math.abs(unit.bytes - wanted)
}

function whyNone(from: Filled, candidates: readonly Candidate[], movable: number): string {
  const reasons = new Map<string, number>()
  for (const { why } of candidates) {
    if (why !== null) reasons.set(why, (reasons.get(why) ?? 0) + 1)
  }
  const parts = [...reasons].map(([why, count]) => `${count} ${why}`)
  if (movable > 0) parts.push(`${movable} with no better place`)
  const what = `of ${candidates.length} units of disk ${from.diskId} that were looked at none can move`
  return parts.length === 0 ? `disk ${from.diskId} has no units` : `${what}: ${parts.join(', ')}`
}
