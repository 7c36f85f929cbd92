/**
 * Where units of a volume go. Decides: which disks can take one, and a disk for each, so that as much as the
 * mode allows can be lost: different disks always; the AZs of the mode; then even over racks and hosts, with
 * no more of a host than the mode can lose where there are hosts enough; among equals by free room and chance.
 * Pure.
 *
 * Taking one unit after the other cannot miss a way to keep within that bound where there is one: each takes
 * one of `min(disks, bound)` places of its host, whichever comes first.
 */
import { azOfUnit, type CodeMode, readsNeeded, unitCount } from '../codes/index.ts'
import { FREE_BYTES_MIN } from './disk-rules.ts'
import type { DiskView } from './disk-table.ts'

export type PlacementDisk = Pick<
  DiskView,
  'diskId' | 'host' | 'rack' | 'idc' | 'standing' | 'isHeard' | 'freeBytes' | 'units' | 'chunksMax'
>

export interface PlacementRequest {
  disks: Iterable<PlacementDisk>
  mode: CodeMode
  /** Units that need a disk. */
  wanted: readonly number[]
  /** Units that have one and keep it. */
  placed: readonly { index: number; diskId: number }[]
  /** Where the units that are wanted lay so far: each stays in the AZ of that disk. */
  replaced?: readonly { index: number; diskId: number }[]
  /** Disks that are of no use, whatever is known of them. */
  excludes: ReadonlySet<number>
  /** In [0, 1). */
  random: () => number
}

export type Placement = { picks: { index: number; diskId: number }[] } | { why: string }

/** So many units may be gone, whichever they are. */
export function lossMaxOf(mode: CodeMode): number {
  return mode.data + mode.parity - readsNeeded(mode)
}

export function place(request: PlacementRequest): Placement {
  return new Round(request).run()
}

/** Whether a disk can take a unit now; else why not, in a word. */
export function unfitness(disk: PlacementDisk): string | undefined {
  if (disk.standing !== 'writable') return disk.standing
  if (!disk.isHeard) return 'silent'
  if (disk.units >= disk.chunksMax) return 'full of chunks'
  return disk.freeBytes < FREE_BYTES_MIN ? 'full' : undefined
}

/** How many hosts may be gone, whichever they are. Local parity takes no part: it may be gone anyhow. */
export function hostsToLose(
  mode: CodeMode,
  units: readonly { index: number; host: string }[],
): number {
  const loads = new Map<string, number>()
  for (const { index, host } of units) {
    if (index < mode.data + mode.parity) loads.set(host, (loads.get(host) ?? 0) + 1)
  }
  let left = lossMaxOf(mode)
  let count = 0
  for (const load of [...loads.values()].sort((a, b) => b - a)) {
    left -= load
    if (left < 0) break
    count += 1
  }
  return count
}

class Round {
  readonly #request: PlacementRequest
  readonly #all: Map<number, PlacementDisk>
  /** Disks that can take a unit and hold none of this volume. */
  readonly #free: Map<number, PlacementDisk>
  /** Units of this volume by AZ, rack and host, those that are picked among them. */
  readonly #loads = new Map<string, number>()
  readonly #picks: { index: number; diskId: number }[] = []

  constructor(request: PlacementRequest) {
    const { disks, placed, excludes } = request
    this.#request = request
    this.#all = new Map([...disks].map((disk) => [disk.diskId, disk]))
    const taken = new Set(placed.map(({ diskId }) => diskId))
    const isFree = ({ diskId }: PlacementDisk) => !taken.has(diskId) && !excludes.has(diskId)
    const fit = [...this.#all].filter(([, disk]) => isFree(disk) && unfitness(disk) === undefined)
    this.#free = new Map(fit)
    for (const { diskId } of placed) this.#load(diskId)
  }

  run(): Placement {
    const { mode, wanted } = this.#request
    const why = mode.azs === 1 ? this.#inOneAz(wanted) : this.#inAzsOfMode(wanted)
    return why === undefined ? { picks: this.#picks } : { why }
  }

  /** Where one AZ has disks and hosts enough, all in it; else even over all. */
  #inOneAz(wanted: readonly number[]): string | undefined {
    const { mode, placed } = this.#request
    if (placed.length > 0) return this.#beside(wanted)
    const bound = lossMaxOf(mode)
    const able = this.#azs().filter((idc) => {
      const perHost = groupBy(this.#freeIn(idc), hostKey)
      const places = [...perHost.values()].map((disks) => Math.min(disks.length, bound))
      return places.reduce((sum, count) => sum + count, 0) >= wanted.length
    })
    const idc = this.#chance(able, (one) => sum(this.#freeIn(one).map(weightOf)))
    return this.#pickAll(wanted, idc)
  }

  /** In the place of others: in the same AZ if that has any disk, else anywhere. */
  #beside(wanted: readonly number[]): string | undefined {
    for (const index of wanted) {
      const idc = this.#formerIdc(index) ?? this.#onlyIdc()
      const isAble = idc !== undefined && this.#freeIn(idc).length > 0
      const why = this.#pickAll([index], isAble ? idc : undefined)
      if (why !== undefined) return why
    }
    return undefined
  }

  #inAzsOfMode(wanted: readonly number[]): string | undefined {
    const { mode, placed } = this.#request
    const idcs = new Map<number, string>()
    for (const { index } of [...placed, ...wanted.map((one) => ({ index: one }))]) {
      const az = azOfUnit(mode, index)
      const idc = this.#formerIdc(index)
      if (idc !== undefined && !idcs.has(az)) idcs.set(az, idc)
    }
    const perAz = groupBy(wanted, (index) => azOfUnit(mode, index))
    for (const [az, indexes] of perAz) {
      const idc = idcs.get(az) ?? this.#newIdc(indexes.length, new Set(idcs.values()))
      if (idc === undefined) return this.#tooFewAzs(indexes.length, idcs.size)
      idcs.set(az, idc)
      const why = this.#pickAll(indexes, idc)
      if (why !== undefined) return why
    }
    return undefined
  }

  /** The AZ of a unit by where it lies, or lay until now. */
  #formerIdc(index: number): string | undefined {
    const { placed, replaced = [] } = this.#request
    const former = [...placed, ...replaced].find((one) => one.index === index)
    return former && this.#all.get(former.diskId)?.idc
  }

  /** Of a volume that lies in one AZ. */
  #onlyIdc(): string | undefined {
    const idcs = new Set(this.#request.placed.map(({ diskId }) => this.#all.get(diskId)?.idc))
    return idcs.size === 1 ? [...idcs][0] : undefined
  }

  #newIdc(count: number, used: ReadonlySet<string>): string | undefined {
    const able = this.#azs().filter((idc) => !used.has(idc) && this.#freeIn(idc).length >= count)
    return this.#chance(able, (idc) => sum(this.#freeIn(idc).map(weightOf)))
  }

  #pickAll(wanted: readonly number[], idc: string | undefined): string | undefined {
    const free = idc === undefined ? [...this.#free.values()] : this.#freeIn(idc)
    if (free.length < wanted.length) return this.#tooFew(wanted.length, idc)
    for (const index of wanted) {
      const left = free.filter(({ diskId }) => this.#free.has(diskId))
      const disk = this.#best(left)
      if (disk === undefined) return this.#tooFew(wanted.length, idc)
      this.#free.delete(disk.diskId)
      this.#load(disk.diskId)
      this.#picks.push({ index, diskId: disk.diskId })
    }
    return undefined
  }

  #best(disks: readonly PlacementDisk[]): PlacementDisk | undefined {
    const bound = lossMaxOf(this.#request.mode)
    const isReplacing = this.#request.placed.length > 0
    const ranked = disks.map((disk) => {
      const [az, rack, host] = [azKey, rackKey, hostKey].map(
        (key) => this.#loads.get(key(disk)) ?? 0,
      ) as [number, number, number]
      const isOver = Number(host >= bound)
      return { disk, rank: isReplacing ? [isOver, host, az, rack] : [isOver, az, rack, host] }
    })
    const lowest = ranked.reduce<number[] | undefined>(
      (low, { rank }) => (low === undefined || compare(rank, low) < 0 ? rank : low),
      undefined,
    )
    if (lowest === undefined) return undefined
    const best = ranked.filter(({ rank }) => compare(rank, lowest) === 0)
    return this.#chance(best, ({ disk }) => weightOf(disk))?.disk
  }

  /** One of them, the likelier the heavier. */
  #chance<T>(from: readonly T[], weigh: (one: T) => number): T | undefined {
    let left = this.#request.random() * sum(from.map(weigh))
    for (const one of from) {
      left -= weigh(one)
      if (left < 0) return one
    }
    return from.at(-1)
  }

  #load(diskId: number): void {
    const disk = this.#all.get(diskId)
    if (disk === undefined) return
    for (const key of [azKey(disk), rackKey(disk), hostKey(disk)]) {
      this.#loads.set(key, (this.#loads.get(key) ?? 0) + 1)
    }
  }

  #azs(): string[] {
    return [...new Set([...this.#all.values()].map(({ idc }) => idc))].sort()
  }

  #freeIn(idc: string): PlacementDisk[] {
    return [...this.#free.values()].filter((disk) => disk.idc === idc)
  }

  #tooFew(count: number, idc: string | undefined): string {
    const { mode } = this.#request
    const where = idc === undefined ? '' : ` in AZ ${idc}`
    return `${mode.name} needs ${disksText(count)}${where} that can take a chunk: ${this.#usable(idc)}`
  }

  #tooFewAzs(count: number, known: number): string {
    const { mode } = this.#request
    const azs = this.#azs()
    if (azs.length < mode.azs) {
      return `${mode.name} needs ${mode.azs} AZs, and there are disks in ${azs.length}: ${azs.join(', ') || 'none'}`
    }
    const each = azs.map((idc) => `${idc}: ${this.#usable(idc)}`).join('; ')
    const which = known === 0 ? 'each' : 'another'
    return `${mode.name} needs ${disksText(count)} in ${which} of ${mode.azs} AZs that can take a chunk: ${each}`
  }

  /** `3 of 8 can (4 silent, 1 broken)`. */
  #usable(idc: string | undefined): string {
    const { placed, excludes } = this.#request
    const disks = [...this.#all.values()].filter((disk) => idc === undefined || disk.idc === idc)
    const taken = new Set(placed.map(({ diskId }) => diskId))
    const reasons = new Map<string, number>()
    for (const disk of disks) {
      const picked = this.#picks.some(({ diskId }) => diskId === disk.diskId)
      if (this.#free.has(disk.diskId) || picked) continue
      const isOfVolume = taken.has(disk.diskId)
      const isExcluded = excludes.has(disk.diskId)
      const unfit = unfitness(disk) ?? (isExcluded ? 'excluded' : 'taken')
      const why = isOfVolume ? 'of the volume already' : unfit
      reasons.set(why, (reasons.get(why) ?? 0) + 1)
    }
    const able = disks.length - sum([...reasons.values()])
    const why = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(', ')
    return `${able} of ${disks.length} can${why === '' ? '' : ` (${why})`}`
  }
}

function azKey({ idc }: PlacementDisk): string {
  return JSON.stringify([idc])
}

function rackKey({ idc, rack }: PlacementDisk): string {
  return JSON.stringify([idc, rack])
}

function hostKey({ idc, host }: PlacementDisk): string {
  return JSON.stringify([idc, null, host])
}

/** Free bytes, and fewer where few chunks are left. */
function weightOf({ freeBytes, units, chunksMax }: PlacementDisk): number {
  return (freeBytes * (chunksMax - units)) / chunksMax
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) {
    const other = b[at] ?? 0
    if (value !== other) return value - other
  }
  return 0
}

function groupBy<T, K>(values: readonly T[], keyOf: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group) group.push(value)
    else groups.set(keyOf(value), [value])
  }
  return groups
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function disksText(count: number): string {
  return count === 1 ? 'a disk' : `${count} disks`
}

/** Units of a volume that has all of them. */
export function allUnits(mode: CodeMode): number[] {
  return Array.from({ length: unitCount(mode) }, (_, index) => index)
}
