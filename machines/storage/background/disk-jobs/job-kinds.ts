/**
 * The two reasons to empty a disk. Decides: their names, their actors, and which disks are whose: one that is
 * dropped is still there and can be read; one that is repaired is broken, and what lay on it is made anew.
 */
import { formatAddress, parseAddress } from '../../../../src/index.ts'
import type { DiskStanding } from '../../plane/disks/index.ts'

export const JOB_KINDS = ['disk_drop', 'disk_repair'] as const
/** As moves, lanes and switches call it. */
export type JobKind = (typeof JOB_KINDS)[number]

export const JOB_MACHINES = { disk_drop: 'disk-drop', disk_repair: 'disk-repair' } as const

export function jobAddress(kind: JobKind, diskId: number): string {
  return formatAddress(JOB_MACHINES[kind], String(diskId))
}

/** @throws TroupeError for what is no address */
export function kindOfJob(address: string): JobKind | undefined {
  const { machine } = parseAddress(address)
  return JOB_KINDS.find((kind) => JOB_MACHINES[kind] === machine)
}

/** Whose a disk is that stands so; undefined: it stays as it is. */
export function kindFor(standing: DiskStanding): JobKind | undefined {
  if (standing === 'dropping') return 'disk_drop'
  return standing === 'broken' || standing === 'repairing' ? 'disk_repair' : undefined
}

/** How a disk stands of which the job is done. */
export const EMPTIED: Readonly<Record<JobKind, DiskStanding>> = {
  disk_drop: 'dropped',
  disk_repair: 'repaired',
}
