/**
 * The task `balance-choose`: which units are to move next. Decides: what is read for that, how many disks are
 * looked at in one go, and that a mover that is gone is in nobody's way. Leaves to others: how even it is (`levels.ts`), which unit (`choice.ts`).
 */
import { z } from 'zod'
import { nodeOf, type TaskAttempt, task } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import { isRefused, MoveClaims, type VolumeRecord } from '../../plane/volumes/index.ts'
import { startedMove } from '../disk-jobs/index.ts'
import { isMoveOver } from '../moves/index.ts'
import { ableToTake, type Candidate, choose, sourcesOf } from './choice.ts'
import {
  type Filled,
  type Flow,
  type Idc,
  idcsOf,
  isEven,
  type Measure,
  measuresOf,
} from './levels.ts'
import {
  type ChosenUnit,
  IDCS_MAX,
  type IdcLevel,
  liveMove,
  type PlacedUnit,
  placedUnit,
  STILL_MAX,
} from './planner-record.ts'
import type { Chosen } from './planner-rules.ts'
import { type BalancePorts, portsOf } from './ports.ts'

const RETRY = { attemptsMax: 5, initialMs: 500, backoffMaxMs: 5_000 }
/** Disks of an idc that one look tries to take a unit from. */
const SOURCES_MAX = 8
/** Volumes that are read at a time. */
const READS_AT_ONCE = 16
/** Of an idc with more disks the fullest are ruled out: a volume takes no longer list. */
const EXCLUDES_MAX = 1_000
/** Of a unit that has left its disk already. */
const NOWHERE = 0
const NO_VOLUME = 904
const NO_DISK = 911
/** Of the states of a move: its chunk has taken the place of the old one. */
const FINISHED = 4

const input = z.object({ live: z.array(liveMove), leaving: z.array(placedUnit) })
type ChooseInput = z.output<typeof input>

export const chooseTask = task<ChooseInput, Chosen>({
  ...{ name: 'balance-choose', queue: 'storage.balance.choose', runsOn: 'node', retry: RETRY },
  input,
  run,
})

async function run(attempt: TaskAttempt<ChooseInput>): Promise<Chosen> {
  const { client, clock } = nodeOf(attempt)
  const { live, leaving } = attempt.input
  const ports = portsOf(attempt)
  const gone: Chosen['gone'] = []
  const still: string[] = []
  for (const { taskId } of live) {
    const { isOver, isStill, record } = await startedMove(client, taskId)
    if (isOver) gone.push({ taskId, end: record?.state === FINISHED ? 'finished' : 'gone' })
    else if (isStill) still.push(taskId)
  }
  const flows = live.filter((one) => !gone.some(({ taskId }) => taskId === one.taskId))
  const finished = new Set(gone.filter(({ end }) => end === 'finished').map((one) => one.taskId))
  const departed = [...leaving, ...live.filter(({ taskId }) => finished.has(taskId))]
  const ledgers = await ledgersOf(ports, [...flows, ...departed])
  const disks = [...(await ports.table.all({ fresh: true })).values()].map((disk) => ({
    ...{ ...disk, units: ledgers.counts.get(disk.diskId) ?? disk.units },
  }))
  const isHere = ({ vuid }: PlacedUnit) => !ledgers.left.includes(vuid)
  // An old chunk is in its ledger until it is released, which may be before its move has ended, or after.
  const outflows = [
    ...flows.map((one) => (isHere(one) ? one : { ...one, sourceDiskId: NOWHERE })),
    ...departed
      .filter(isHere)
      .map(({ sourceDiskId }) => ({ sourceDiskId, destinationDiskId: null, bytes: 0 })),
  ]
  const idcs = idcsOf(disks, outflows).slice(0, IDCS_MAX)
  const left = departed.filter((one) => !isHere(one)).map(({ vuid }) => vuid)
  // One that stands still is in nobody's way.
  const moving = flows.filter(({ taskId }) => !still.includes(taskId))
  const round = new Round(attempt, moving, still.length)
  for (const idc of idcs) await round.level(idc)
  const { collectMs } = ports.limits
  const levels = idcs.map((idc) => levelOf(idc, ports.limits.tolerance))
  return { at: clock.now(), collectMs, gone, still, left, levels, ...round.outcome() }
}

/** How many units are on the disks that these have left or are to leave, and whose old chunks are on none of them. */
async function ledgersOf(
  { disks }: Pick<BalancePorts, 'disks'>,
  units: readonly PlacedUnit[],
): Promise<{ counts: ReadonlyMap<number, number>; left: bigint[] }> {
  const counts = new Map<number, number>()
  const left: bigint[] = []
  for (const diskId of new Set(units.map(({ sourceDiskId }) => sourceDiskId))) {
    const lines = await unitsOn(disks, diskId)
    counts.set(diskId, Object.keys(lines).length)
    const here = units.filter(({ sourceDiskId }) => sourceDiskId === diskId)
    left.push(...here.map(({ vuid }) => vuid).filter((vuid) => !Object.hasOwn(lines, `${vuid}`)))
  }
  return { counts, left }
}

/** None on one that nobody knows any more. */
async function unitsOn(disks: BalancePorts['disks'], diskId: number): Promise<object> {
  try {
    return (await disks.record(diskId)).units
  } catch (thrown) {
    if (!isRefused(thrown, NO_DISK)) throw thrown
    return {}
  }
}

class Round {
  readonly #ports: BalancePorts
  readonly #flows: Flow[]
  readonly #attempt: TaskAttempt<ChooseInput>
  readonly #still: number
  readonly #chosen: ChosenUnit[] = []
  readonly #whys: string[] = []

  constructor(attempt: TaskAttempt<ChooseInput>, flows: readonly Flow[], still: number) {
    this.#ports = portsOf(attempt)
    this.#flows = [...flows]
    this.#still = still
    this.#attempt = attempt
  }

  outcome(): Pick<Chosen, 'chosen' | 'why'> {
    return {
      chosen: this.#chosen,
      why: this.#whys.join('; ') || 'there are no disks to be levelled',
    }
  }

  async level(idc: Idc): Promise<void> {
    if (isEven(idc, this.#ports.limits.tolerance)) return this.#why(idc, 'even enough')
    const whys: string[] = []
    // Where nothing helps by one measure, something by the other makes room for it.
    for (const measure of measuresOf(idc)) {
      const why = await this.#levelBy(idc, measure)
      if (why === null) return
      whys.push(why)
      // What is under way makes room by itself.
      if (this.#isMoving(idc)) break
    }
    this.#why(idc, whys[0] ?? 'nothing can move')
  }

  /** @returns why nothing was chosen; null: something was */
  async #levelBy(idc: Idc, measure: Measure): Promise<string | null> {
    const { limits, random } = this.#ports
    const sources = sourcesOf(idc, this.#flows, { ...limits, measure, random })
    let why = 'each disk that is too full is being relieved'
    let isChosen = false
    for (const [at, source] of sources.slice(0, SOURCES_MAX).entries()) {
      const full = this.#whyFull(idc)
      if (full !== null) return isChosen ? null : full
      const able = ableToTake(idc, this.#flows, limits)
      const candidates = await this.#candidates(source)
      const choice = choose(idc, source, { candidates, able, measure, random })
      if ('why' in choice && at === 0) why = choice.why
      if ('why' in choice) continue
      this.#choose(idc, source, choice)
      isChosen = true
    }
    return isChosen ? null : why
  }

  #isMoving({ disks }: Idc): boolean {
    const here = new Set(disks.map(({ diskId }) => diskId))
    return this.#flows.some(({ sourceDiskId }) => here.has(sourceDiskId))
  }

  /** Null: one more can be begun. */
  #whyFull(idc: Idc): string | null {
    const { limits } = this.#ports
    if (this.#still >= STILL_MAX) return this.#placesText()
    if (this.#flows.length >= limits.movesMax) return this.#placesText()
    const isAble = ableToTake(idc, this.#flows, limits).length > 0
    return isAble ? null : 'each disk that may take more is taking some'
  }

  #choose(
    idc: Idc,
    source: Filled,
    choice: { vuid: bigint; bytes: number; destinations: number[] },
  ) {
    const { vuid, bytes, destinations } = choice
    const sourceDiskId = source.diskId
    const excludes = idc.disks
      .filter(({ diskId }) => !destinations.includes(diskId))
      .sort((a, b) => b.units / b.unitsMax - a.units / a.unitsMax)
      .map(({ diskId }) => diskId)
      .slice(0, EXCLUDES_MAX)
    this.#chosen.push({ vuid, sourceDiskId, idc: idc.idc, bytes, excludes, destinations })
    this.#flows.push({ sourceDiskId, destinationDiskId: null, bytes })
    this.#why(idc, 'units are on their way')
  }

  #placesText(): string {
    return this.#still < STILL_MAX
      ? `${this.#ports.limits.movesMax} moves are under way: movesMax says how many may be`
      : `${this.#still} moves stand still: troupe actors list --machine migrate-task --state parked`
  }

  /** Of what lies on a disk, some by chance. */
  async #candidates({ diskId }: Filled): Promise<Candidate[]> {
    const { disks, limits, random } = this.#ports
    const { units } = await disks.record(diskId)
    const lines = drawn(Object.keys(units).map(BigInt), limits.samples, random)
    const candidates: Candidate[] = []
    for (let from = 0; from < lines.length; from += READS_AT_ONCE) {
      this.#attempt.signal.throwIfAborted()
      const some = lines.slice(from, from + READS_AT_ONCE)
      candidates.push(...(await Promise.all(some.map((vuid) => this.#candidate(vuid, diskId)))))
    }
    return candidates
  }

  async #candidate(vuid: bigint, diskId: number): Promise<Candidate> {
    const { vid, index, epoch } = vuidParts(vuid)
    const none = { vuid, bytes: 0, diskIds: [] }
    if (this.#chosen.some((one) => vuidParts(one.vuid).vid === vid)) {
      return { ...none, why: 'of a volume that is being moved' }
    }
    try {
      const volume = await this.#cleared(await this.#ports.views.record(vid, { fresh: true }))
      const unit = volume.units[index]
      const isHere = unit?.epoch === epoch && unit.diskId === diskId
      const why = isHere ? whyNot(volume) : 'not a unit of its volume'
      const diskIds = volume.units.map((one) => one.diskId)
      return { vuid, bytes: volume.chunkBytesUsed, diskIds, why }
    } catch (thrown) {
      if (!isRefused(thrown, NO_VOLUME)) throw thrown
      return { ...none, why: 'of a volume that is not there' }
    }
  }

  /** Of movers that are gone: one that was deleted by hand tells nobody that it has ended. */
  async #cleared(volume: VolumeRecord): Promise<VolumeRecord> {
    const { client, clock } = nodeOf(this.#attempt)
    const moves: VolumeRecord['moves'] = {}
    for (const [index, move] of Object.entries(volume.moves)) {
      if (await isMoveOver(client, move, clock.now())) {
        await new MoveClaims(client, clock).end(volume.vid, move.mover)
      } else moves[index] = move
    }
    return { ...volume, moves }
  }

  #why({ idc }: Idc, why: string): void {
    const text = `${idc}: ${why}`
    if (!this.#whys.includes(text)) this.#whys.push(text)
  }
}

/** A volume that is written to cannot be locked, and one unit of a volume moves at a time. */
function whyNot({ standing, fittings, moves }: VolumeRecord): string | null {
  if (Object.keys(moves).length > 0) return 'of a volume that is being moved'
  if (standing !== 'idle') return `of a volume that is ${standing}`
  return Object.keys(fittings).length > 0 ? 'of a volume that gets another chunk' : null
}

/** So many of them, each as likely as the others. */
export function drawn<T>(from: readonly T[], count: number, random: () => number): T[] {
  const left = [...from]
  const most = Math.min(count, left.length)
  for (let at = 0; at < most; at++) {
    const other = at + Math.floor(random() * (left.length - at))
    const [a, b] = [left[at] as T, left[other] as T]
    left[at] = b
    left[other] = a
  }
  return left.slice(0, most)
}

function levelOf(idc: Idc, tolerance: number): IdcLevel {
  const units = idc.disks.map((disk) => disk.units / disk.unitsMax)
  const bytes = idc.disks.map((disk) => disk.bytes / disk.bytesMax)
  const spread = (level: number, parts: readonly number[]) => ({
    ...{ level, least: Math.min(...parts), most: Math.max(...parts) },
  })
  return {
    ...{ idc: idc.idc, disks: idc.disks.length, isEven: isEven(idc, tolerance) },
    ...{ units: spread(idc.unitLevel, units), bytes: spread(idc.byteLevel, bytes) },
  }
}
