/**
 * What a disk tells of itself without being asked. Decides: who is told, and of what: that it is to be emptied,
 * since it is dropped or broken, and that it is empty then. Leaves to others: emptying it. Pure.
 */
import { z } from 'zod'
import { formatAddress } from '../../../../src/index.ts'
import { DISK_ID_MAX, type DiskRecord, type DiskStanding, STANDINGS } from './disk-record.ts'

/** Whoever empties disks. */
export const DISK_WATCH = formatAddress('disk-watch', 'main')

export const diskNews = z.object({
  diskId: z.int().min(1).max(DISK_ID_MAX),
  standing: z.enum(STANDINGS),
  /** That are promised places on it. */
  units: z.int().min(0),
})
export type DiskNews = z.output<typeof diskNews>

const TO_BE_EMPTIED: ReadonlySet<DiskStanding> = new Set(['dropping', 'broken', 'repairing'])

/** Undefined: nothing of that has changed. */
export function newsOf(before: DiskRecord, now: DiskRecord): DiskNews | undefined {
  const { diskId, standing } = now
  if (!TO_BE_EMPTIED.has(standing)) return undefined
  const units = Object.keys(now.units).length
  const isNew = before.standing !== standing
  const isEmptyNow = units === 0 && Object.keys(before.units).length > 0
  return isNew || isEmptyNow ? { diskId, standing, units } : undefined
}
