/**
 * What a line of a disk's ledger stands for, now. Decides: which lines are units that have to move, which go by
 * themselves, which only this job can strike out, and how what is left is put into words. Pure.
 */
import { vuidParts } from '../../plane/codes/index.ts'
import type { VolumeRecord } from '../../plane/volumes/index.ts'

export const LINE_FATES = [
  /** A unit of its volume: a move takes it away. */
  'unit',
  /** Being made here for another move: it becomes a unit, or is released. */
  'arriving',
  /** Replaced or given up: its volume releases it. */
  'leaving',
  /** Of a volume that does not know it, and never will. */
  'stray',
  /** Of a volume that is not there. */
  'orphan',
] as const
export type LineFate = (typeof LINE_FATES)[number]

export type Units = Pick<VolumeRecord, 'units' | 'fittings' | 'retired' | 'epochs'>

/** @param volume as it was read behind the ledger; undefined: there is none */
export function fateOf(
  volume: Units | undefined,
  { vuid, diskId }: { vuid: bigint; diskId: number },
): LineFate {
  if (volume === undefined) return 'orphan'
  const { index, epoch } = vuidParts(vuid)
  const isHere = (chunk: { epoch: number; diskId: number }) =>
    chunk.epoch === epoch && chunk.diskId === diskId
  const unit = volume.units[index]
  if (unit !== undefined && isHere(unit)) return 'unit'
  const fitting = volume.fittings[index]
  if (fitting !== undefined && isHere(fitting)) return 'arriving'
  if (volume.retired.some((one) => one.index === index && isHere(one))) return 'leaving'
  // A number that was not given yet is on its way into the record of its volume.
  return epoch <= (volume.epochs[index] ?? 0) ? 'stray' : 'arriving'
}

/**
 * How many further units of the volume are on disks that are not normal: with each its blobs have one less to
 * lose, so those that have lost most come first.
 */
export function alsoBad(
  { units }: Pick<VolumeRecord, 'units'>,
  diskId: number,
  isNormal: (diskId: number) => boolean,
): number {
  return units.filter((unit) => unit.diskId !== diskId && !isNormal(unit.diskId)).length
}

/** What was met in a round, beside units that a move took on. */
export interface Notes {
  arriving: number
  leaving: number
  stray: number
  orphan: number
  /** Units that no move could be started for. */
  refused: number
  /** Of the first of those, or of what failed. */
  first: string | null
}

export const NO_NOTES: Notes = {
  ...{ arriving: 0, leaving: 0, stray: 0, orphan: 0, refused: 0, first: null },
}

export function noted(a: Notes, b: Notes): Notes {
  return {
    arriving: a.arriving + b.arriving,
    leaving: a.leaving + b.leaving,
    stray: a.stray + b.stray,
    orphan: a.orphan + b.orphan,
    refused: a.refused + b.refused,
    first: a.first ?? b.first,
  }
}

/** Why a disk is not empty yet although no move of its job is under way. */
export function leftText(left: number, notes: Notes): string {
  const parts = [
    part(notes.refused, 'cannot be moved yet'),
    part(notes.arriving, 'is being made here for another move', 'are being made here for others'),
    part(notes.leaving, 'is being released', 'are being released'),
    part(notes.stray, 'no volume knows, and goes in time'),
    part(
      notes.orphan,
      'is of a volume that was deleted: send the disk FREE with its vuid',
      'are of volumes that were deleted: send the disk FREE with their vuids',
    ),
  ].filter((one) => one !== undefined)
  const what = `${left} ${left === 1 ? 'unit' : 'units'} on the disk`
  const list = parts.length === 0 ? what : `${what}: ${parts.join(', ')}`
  return notes.first === null ? list : `${list}; ${notes.first}`
}

function part(count: number, one: string, many = one): string | undefined {
  return count === 0 ? undefined : `${count} ${count === 1 ? one : many}`
}
