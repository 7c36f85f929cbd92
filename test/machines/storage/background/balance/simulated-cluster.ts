/**
 * Disks and volumes in memory, moved as the planner's pure part and the real placement would have them. Decides:
 * nothing; it counts what happened.
 */
import {
  ableToTake,
  type Candidate,
  choose,
  type Limits,
  sourcesOf,
} from '../../../../../machines/storage/background/balance/choice.ts'
import { drawn } from '../../../../../machines/storage/background/balance/choose-task.ts'
import {
  type Flow,
  type Idc,
  idcsOf,
  isEven,
  type LevelDisk,
  type Measure,
  measuresOf,
} from '../../../../../machines/storage/background/balance/levels.ts'
import { codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { place } from '../../../../../machines/storage/plane/disks/index.ts'
import { SeededRandom } from '../../../../../src/adapters/memory/index.ts'

export const GB = 2 ** 30
const MODE = codeModeOf(101)

interface SimDisk {
  diskId: number
  idc: string
  host: string
  rack: string
  chunksMax: number
  sizeBytes: number
}

interface SimVolume {
  bytes: number
  diskIds: number[]
  isIdle: boolean
}

interface Flight extends Flow {
  vid: number
  toDiskId: number
  endsAt: number
}

export interface Balanced {
  moves: number
  ticks: number
  /** Onto one disk at a time. */
  intoMost: number
  /** Sizes of what came to each disk. */
  received: Map<number, number[]>
  even: boolean
}

const SAMPLES = 64
export const TICKS_MAX = 5_000
/** A larger chunk takes longer. */
const BYTES_PER_TICK = GB

export class SimulatedCluster {
  readonly disks: SimDisk[] = []
  readonly volumes: SimVolume[] = []
  /** Of each disk, the volumes that have a unit on it. */
  readonly #on = new Map<number, Set<number>>()
  readonly #random: SeededRandom
  limits: Limits & { tolerance: number; movesMax: number } = {
    ...{ movesPerSourceMax: 1, movesIntoDiskMax: 2, tolerance: 0.02, movesMax: 10 },
  }

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
  }

  addDisk(facts: Partial<SimDisk> = {}): SimDisk {
    const diskId = this.disks.length + 1
    const disk = {
      ...{ diskId, idc: 'z1', rack: 'r1', host: `h${diskId % 6}`, chunksMax: 200 },
      ...{ sizeBytes: 2_000 * GB, ...facts },
    }
    this.disks.push(disk)
    return disk
  }

  /** On three of these disks, of different hosts, by chance. */
  addVolume(bytes: number, among: readonly SimDisk[] = this.disks): void {
    const hosts = new Set<string>()
    const diskIds: number[] = []
    for (const { diskId, host } of drawn(among, among.length, this.fraction)) {
      if (hosts.has(host) || diskIds.length === 3) continue
      hosts.add(host)
      diskIds.push(diskId)
    }
    this.volumes.push({ bytes, diskIds, isIdle: true })
    for (const diskId of diskIds) this.#vids(diskId).add(this.volumes.length - 1)
  }

  /** The unit on one disk is on another one from now on. */
  move(vid: number, fromDiskId: number, toDiskId: number): void {
    const volume = this.volumes[vid] as SimVolume
    volume.diskIds = volume.diskIds.map((id) => (id === fromDiskId ? toDiskId : id))
    this.#vids(fromDiskId).delete(vid)
    this.#vids(toDiskId).add(vid)
  }

  readonly fraction = (): number => this.#random.fraction()

  units(diskId: number): SimVolume[] {
    return [...this.#vids(diskId)].map((vid) => this.volumes[vid] as SimVolume)
  }

  #vids(diskId: number): Set<number> {
    const known = this.#on.get(diskId)
    if (known) return known
    const fresh = new Set<number>()
    this.#on.set(diskId, fresh)
    return fresh
  }

  bytes(diskId: number): number {
    return this.units(diskId).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Free places of each disk. */
  free(): number[] {
    return this.disks.map(({ diskId, chunksMax }) => chunksMax - this.units(diskId).length)
  }

  hostsToLose(volume: SimVolume): number {
    return new Set(volume.diskIds.map((id) => this.disks[id - 1]?.host)).size
  }

  balance(): Balanced {
    const out: Balanced = { moves: 0, ticks: 0, intoMost: 0, received: new Map(), even: false }
    const flights: Flight[] = []
    for (; out.ticks < TICKS_MAX; out.ticks++) {
      for (const flight of flights.filter(({ endsAt }) => endsAt <= out.ticks)) {
        this.#land(flight, out)
        flights.splice(flights.indexOf(flight), 1)
      }
      const begun = this.#plan(flights, out.ticks)
      flights.push(...begun)
      const into = flights.map(
        (one) => flights.filter((two) => two.toDiskId === one.toDiskId).length,
      )
      out.intoMost = Math.max(out.intoMost, ...into)
      if (begun.length === 0 && flights.length === 0) break
    }
    out.even = idcsOf(this.levelDisks([]), []).every((idc) => isEven(idc, this.limits.tolerance))
    return out
  }

  /** As lists of disks tell it: places are promised as soon as a move has one. */
  levelDisks(flights: readonly Flight[]): LevelDisk[] {
    return this.disks.map((disk) => ({
      ...{
        ...disk,
        standing: 'writable' as const,
        isHeard: true,
        usedBytes: this.bytes(disk.diskId),
      },
      units:
        this.units(disk.diskId).length +
        flights.filter(({ toDiskId }) => toDiskId === disk.diskId).length,
    }))
  }

  #plan(flights: readonly Flight[], tick: number): Flight[] {
    const begun: Flight[] = []
    const all = () => [...flights, ...begun]
    for (const idc of idcsOf(this.levelDisks(flights), flights)) {
      if (isEven(idc, this.limits.tolerance)) continue
      for (const measure of measuresOf(idc)) {
        if (begun.length > 0) break
        if (measure !== measuresOf(idc)[0] && flights.length > 0) break
        this.#levelBy(idc, measure, { all, begun, tick })
      }
    }
    return begun
  }

  #levelBy(
    idc: Idc,
    measure: Measure,
    { all, begun, tick }: { all: () => Flight[]; begun: Flight[]; tick: number },
  ): void {
    const random = this.fraction
    for (const source of sourcesOf(idc, all(), { ...this.limits, measure, random }).slice(0, 8)) {
      if (all().length >= this.limits.movesMax) return
      const able = ableToTake(idc, all(), this.limits)
      const candidates = this.#candidates(source.diskId, all())
      const choice = choose(idc, source, { candidates, able, measure, random })
      if ('why' in choice) continue
      const vid = Number(choice.vuid)
      const toDiskId = this.#place(vid, source.diskId, choice.destinations, all())
      const flow = { sourceDiskId: source.diskId, destinationDiskId: toDiskId, bytes: choice.bytes }
      const endsAt = tick + 1 + Math.ceil(choice.bytes / BYTES_PER_TICK)
      begun.push({ ...flow, vid, toDiskId, endsAt })
    }
  }

  #candidates(diskId: number, flights: readonly Flight[]): Candidate[] {
    const here = [...this.#vids(diskId)].map((vid) => ({
      ...{ vid, volume: this.volumes[vid] as SimVolume },
    }))
    return drawn(here, SAMPLES, this.fraction).map(({ volume, vid }) => ({
      ...{ vuid: BigInt(vid), bytes: volume.bytes, diskIds: volume.diskIds },
      why: flights.some((one) => one.vid === vid) || !volume.isIdle ? 'busy' : null,
    }))
  }

  #place(vid: number, from: number, destinations: readonly number[], flights: Flight[]): number {
    const diskIds = this.volumes[vid]?.diskIds ?? []
    const placement = place({
      mode: MODE,
      disks: this.levelDisks(flights).map((disk) => ({
        ...{ ...disk, rack: 'r1', freeBytes: disk.sizeBytes - disk.usedBytes },
      })),
      wanted: [diskIds.indexOf(from)],
      placed: diskIds
        .map((diskId, index) => ({ index, diskId }))
        .filter(({ diskId }) => diskId !== from),
      replaced: [{ index: diskIds.indexOf(from), diskId: from }],
      excludes: new Set(
        this.disks.map(({ diskId }) => diskId).filter((id) => !destinations.includes(id)),
      ),
      random: this.fraction,
    })
    if ('why' in placement) throw new Error(placement.why)
    return placement.picks[0]?.diskId ?? 0
  }

  #land({ vid, sourceDiskId, toDiskId, bytes }: Flight, out: Balanced): void {
    this.move(vid, sourceDiskId, toDiskId)
    out.moves += 1
    out.received.set(toDiskId, [...(out.received.get(toDiskId) ?? []), bytes])
  }
}
