/**
 * How full disks are, and how full they would be if all were alike. Decides: what counts as full (units of those
 * that a disk can have, and bytes of those that it holds), what is even enough, and by how much a move makes it
 * more even. Pure.
 *
 * All disks of an idc have one level for units and one for bytes. How uneven it is, is the sum of the squares of
 * what each disk is away from them; a move that does not lessen that sum is none. So moves come to an end, and none
 * is ever undone by the next.
 */
import type { DiskView } from '../../plane/disks/index.ts'

export type LevelDisk = Pick<
  DiskView,
  | 'diskId'
  | 'idc'
  | 'host'
  | 'standing'
  | 'isHeard'
  | 'units'
  | 'chunksMax'
  | 'usedBytes'
  | 'sizeBytes'
>

/** A move under way, by whomever. */
export interface Flow {
  sourceDiskId: number
  /** Null: not known yet. */
  destinationDiskId: number | null
  bytes: number
}

/** A disk as it will be when all moves under way have ended. */
export interface Filled {
  diskId: number
  host: string
  units: number
  /** Places that are taken until then: what leaves has its own until it has left. */
  unitsNow: number
  unitsMax: number
  bytes: number
  bytesMax: number
}

export interface Idc {
  idc: string
  disks: Filled[]
  /** Of all its disks together, as a part of what they can have. */
  unitLevel: number
  byteLevel: number
}

/** Those that can both give and take: what is read-only, dropped, broken or silent takes no part. */
export function idcsOf(disks: Iterable<LevelDisk>, flows: readonly Flow[]): Idc[] {
  const idcs = new Map<string, Filled[]>()
  for (const disk of disks) {
    const { idc, standing, isHeard, chunksMax, sizeBytes } = disk
    if (standing !== 'writable' || !isHeard || chunksMax < 1 || sizeBytes < 1) continue
    const known = idcs.get(idc)
    if (known) known.push(filled(disk, flows))
    else idcs.set(idc, [filled(disk, flows)])
  }
  return [...idcs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([idc, all]) => levelled(idc, all))
}

function filled(disk: LevelDisk, flows: readonly Flow[]): Filled {
  const { diskId, host, units, chunksMax, usedBytes, sizeBytes } = disk
  const out = flows.filter(({ sourceDiskId }) => sourceDiskId === diskId)
  // Its chunk is in the ledger as soon as it has a place, and fills from then on.
  const into = flows.filter(({ destinationDiskId }) => destinationDiskId === diskId)
  const bytes = usedBytes - sum(out.map((one) => one.bytes)) + sum(into.map((one) => one.bytes))
  return {
    ...{ diskId, host, units: Math.max(0, units - out.length) },
    ...{ unitsNow: units, unitsMax: chunksMax },
    ...{ bytes: Math.max(0, bytes), bytesMax: sizeBytes },
  }
}

function levelled(idc: string, disks: Filled[]): Idc {
  const unitLevel = sum(disks.map(({ units }) => units)) / sum(disks.map((one) => one.unitsMax))
  const byteLevel = sum(disks.map(({ bytes }) => bytes)) / sum(disks.map((one) => one.bytesMax))
  return { idc, disks, unitLevel, byteLevel }
}

export type Measure = 'units' | 'bytes'

/** How far a disk is above its level, as a part of it. */
export function excessOf(idc: Idc, disk: Filled): Record<Measure, number> {
  return {
    units: disk.units / disk.unitsMax - idc.unitLevel,
    bytes: disk.bytes / disk.bytesMax - idc.byteLevel,
  }
}

/** By which it can be levelled, the one by which it is less even first. */
export function measuresOf(idc: Idc): readonly Measure[] {
  const all = idc.disks.map((disk) => excessOf(idc, disk))
  const most = (measure: Measure) => Math.max(0, ...all.map((one) => Math.abs(one[measure])))
  return most('units') >= most('bytes') ? ['units', 'bytes'] : ['bytes', 'units']
}

/** Nearer than a unit no disk can come. */
export function isEven(idc: Idc, tolerance: number): boolean {
  return idc.disks.every((disk) => {
    const { units, bytes } = excessOf(idc, disk)
    const isUnits = Math.abs(units) <= tolerance || Math.abs(units) * disk.unitsMax < UNIT
    return isUnits && Math.abs(bytes) <= tolerance
  })
}

/** One, but for what is lost in counting. */
const UNIT = 1 - 1e-9

/** How much more even it is when a unit of so many bytes has moved; not above zero: not at all. */
export function gainOf(idc: Idc, from: Filled, to: Filled, bytes: number): number {
  const before = distance(idc, from) + distance(idc, to)
  const without = { ...from, units: from.units - 1, bytes: from.bytes - bytes }
  const withIt = { ...to, units: to.units + 1, bytes: to.bytes + bytes }
  return before - distance(idc, without) - distance(idc, withIt)
}

function distance(idc: Idc, disk: Filled): number {
  const { units, bytes } = excessOf(idc, disk)
  return units ** 2 + bytes ** 2
}

/**
 * The size of the units that have to move from one disk to another so that both are alike in units and in bytes at
 * once. Where they are alike in units already: the largest, or none at all.
 */
export function sizeWanted(from: Filled, to: Filled): number {
  const units = (from.units / from.unitsMax - to.units / to.unitsMax) * from.unitsMax
  const bytes = (from.bytes / from.bytesMax - to.bytes / to.bytesMax) * from.bytesMax
  if (bytes <= 0) return 0
  return units <= 0 ? Number.POSITIVE_INFINITY : bytes / units
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
