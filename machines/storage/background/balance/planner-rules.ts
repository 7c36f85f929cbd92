/**
 * What the planner makes of what it was told and of what its tasks found. Decides: what is under way, which chunks
 * were made for nothing, what people are told. Pure.
 */
import { clippedWhy } from '../../plane/why.ts'
import {
  type ChosenUnit,
  type IdcLevel,
  LEAVING_MAX,
  type LiveMove,
  type PlacedUnit,
  type PlannerRecord,
  type SpareChunk,
  STILL_MAX,
} from './planner-record.ts'

export interface Chosen {
  at: number
  collectMs: number
  chosen: ChosenUnit[]
  /** Ended, or gone; nobody has said so. */
  gone: { taskId: string; end: 'finished' | 'gone' }[]
  still: string[]
  /** Whose old chunks have left their disks. */
  left: bigint[]
  levels: IdcLevel[]
  /** Why no more were chosen. */
  why: string
}

export interface Placed {
  at: number
  placed: PlacedUnit[]
  /** Made on disks that were not meant. */
  spare: SpareChunk[]
  why: string | null
}

export interface Started {
  at: number
  started: LiveMove[]
  why: string | null
}

export interface Released {
  released: bigint[]
}

export function afterChoosing(now: PlannerRecord, out: Chosen): PlannerRecord {
  const still = new Set(out.still)
  const gone = out.gone.reduce((record, { taskId, end }) => heard(record, taskId, end), now)
  const { at, collectMs, chosen, levels, why } = out
  return {
    ...gone,
    live: gone.live.map((one) => ({ ...one, isStill: still.has(one.taskId) })),
    leaving: gone.leaving.filter(({ vuid }) => !out.left.includes(vuid)),
    ...{ chosen, levels, collectMs, wait: { why: clippedWhy(why), until: at + collectMs } },
  }
}

export function afterPlacing(now: PlannerRecord, out: Placed): PlannerRecord {
  const next = { ...now, chosen: [], placed: out.placed, spare: [...now.spare, ...out.spare] }
  return withWhy(next, out)
}

/** A switch that was closed meanwhile: nothing is begun any more. */
export function giveUp(now: PlannerRecord): PlannerRecord {
  return { ...now, placed: [], spare: [...now.spare, ...now.placed.map(chunkOf)] }
}

export function afterStarting(now: PlannerRecord, out: Started): PlannerRecord {
  const begun: PlannerRecord = {
    ...{ ...now, placed: [], early: [], started: now.started + out.started.length },
    live: [...now.live, ...out.started],
  }
  const next = now.early.reduce((record, { taskId, end }) => moveEnded(record, taskId, end), begun)
  return withWhy({ ...next, early: [] }, out)
}

export function afterReleasing(now: PlannerRecord, { released }: Released): PlannerRecord {
  return { ...now, spare: now.spare.filter(({ vuid }) => !released.includes(vuid)) }
}

/** Of those that it knows; the others were told of meanwhile. */
function heard(now: PlannerRecord, taskId: string, end: string): PlannerRecord {
  return now.live.some((one) => one.taskId === taskId) ? moveEnded(now, taskId, end) : now
}

/** What a move that did not finish has left goes back. Of one that is not known yet it is remembered. */
export function moveEnded(now: PlannerRecord, taskId: string, end: string): PlannerRecord {
  const move = now.live.find((one) => one.taskId === taskId)
  if (move === undefined)
    return { ...now, early: [...now.early, { taskId, end }].slice(-STILL_MAX) }
  const live = now.live.filter((one) => one !== move)
  if (end === 'finished') {
    const { taskId: _taskId, isStill: _isStill, ...unit } = move
    const leaving = [...now.leaving, unit].slice(-LEAVING_MAX)
    return { ...now, live, leaving, moved: now.moved + 1 }
  }
  const { endedOtherwise } = now
  return { ...now, live, endedOtherwise: endedOtherwise + 1, spare: [...now.spare, chunkOf(move)] }
}

function chunkOf({ newVuid, destinationDiskId }: PlacedUnit): SpareChunk {
  return { vuid: newVuid, diskId: destinationDiskId }
}

function withWhy(
  now: PlannerRecord,
  { at, why }: { at: number; why: string | null },
): PlannerRecord {
  if (why === null) return now
  return { ...now, wait: { why: clippedWhy(why), until: at + now.collectMs } }
}
