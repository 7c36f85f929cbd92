/**
 * A move as the reference writes it (section 3.3). Decides: its keys and their types, and how times are
 * written: as RFC 3339, or as the old scheduler printed them. Ids are bigints; who sends it keeps their digits.
 */
import type { MoveRecord, Unit } from './move-record.ts'

export interface WireUnit {
  vuid: bigint
  host: string
  disk_id: number
}

export interface WireTask {
  task_id: string
  task_type: string
  state: number
  source_idc: string
  source_disk_id: number
  source_vuid: bigint
  /** Null until it is prepared. */
  sources: WireUnit[] | null
  code_mode: number
  destination: WireUnit
  ctime: string
  mtime: string
  finish_advance_reason: string
  forbidden_direct_download: boolean
  worker_redo_cnt: number
}

export function wireTask(record: MoveRecord, { goTimes = false } = {}): WireTask {
  const { ctime, mtime } = record
  return {
    task_id: record.taskId,
    task_type: record.type,
    state: record.state,
    source_idc: record.sourceIdc,
    source_disk_id: record.sourceDiskId,
    source_vuid: record.sourceVuid,
    sources: record.sources?.map(wireUnit) ?? null,
    code_mode: record.codeMode,
    destination: wireUnit(record.destination),
    ctime: goTimes ? goTime(ctime, 0) : rfc3339(ctime),
    mtime: goTimes ? goTime(mtime, mtime - ctime) : rfc3339(mtime),
    finish_advance_reason: record.finishAdvanceReason,
    forbidden_direct_download: record.forbiddenDirectDownload,
    worker_redo_cnt: record.workerRedoCnt,
  }
}

export interface WireStat {
  done_size: number
  done_count: number
  total_size: number
  total_count: number
  progress: number
}

export function wireStat({ stat }: Pick<MoveRecord, 'stat'>): WireStat {
  return {
    ...{ done_size: stat.doneSize, done_count: stat.doneCount },
    ...{ total_size: stat.totalSize, total_count: stat.totalCount, progress: stat.progress },
  }
}

function wireUnit({ vuid, host, diskId }: Unit): WireUnit {
  return { vuid, host, disk_id: diskId }
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString()
}

/** The seconds at its end are of a clock that began with the process; here it begins with the task. */
function goTime(ms: number, sinceMs: number): string {
  const [day, time = ''] = new Date(ms).toISOString().replace('Z', '').split('T')
  const since = (Math.max(0, sinceMs) / 1_000).toFixed(9)
  // Go leaves out zeros at the end, and the point with them.
  return `${day} ${time.replace(/\.?0*$/, '')} +0000 UTC m=+${since}`
}
