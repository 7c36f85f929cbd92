/**
 * What a move tells others: its lane, the queue of its idc, its volume, its owner. Decides: what each of them
 * is told when; all of it travels with the turn that it belongs to, so none is told what did not happen.
 */
import { type EventObject, formatAddress } from '../../../../src/index.ts'
import { vuidParts } from '../../plane/codes/index.ts'
import { volumeAddress } from '../../plane/volumes/index.ts'
import type { MoveRecord, MoveState } from './move-record.ts'
import { wireTask } from './wire-task.ts'

export interface Word {
  to: string
  event: EventObject
}

/** How it gives back its place in the lane. */
export type PlaceOutcome = 'finished' | 'finished_in_advance' | 'cancelled' | 'parked' | 'waiting'
export type MoveEnd = Extract<PlaceOutcome, 'finished' | 'finished_in_advance' | 'cancelled'>

/** It waits for a turn. */
export function added(move: MoveRecord): Word {
  const { taskId, priority, mtime: at } = move
  return toLane(move, { type: 'ADDED', taskId, priority, at })
}

/** Of numbers of states; null: there is no such task for the lane, before it begins, parked or cancelled. */
export function stateWord(move: MoveRecord, from: MoveState | null, to: MoveState | null): Word {
  const { taskId, mtime: at } = move
  return toLane(move, { type: 'STATE', taskId, from, to, at })
}

export function placeBack(move: MoveRecord, outcome: PlaceOutcome): Word {
  const { taskId, mtime: at } = move
  return toLane(move, { type: 'PLACE_BACK', taskId, outcome, at })
}

/** For workers; the same again is the task as it stands now. */
export function offer(move: MoveRecord): Word {
  const { taskId, priority, mtime: at } = move
  const task = wireTask(move)
  return toQueue(move, { type: 'OFFER', taskId, priority, notBefore: null, at, task })
}

export function withdraw(move: MoveRecord): Word {
  return toQueue(move, { type: 'WITHDRAW', taskId: move.taskId })
}

/** The old chunk may go: it is nobody's since the swap. */
export function releaseSource(move: MoveRecord): Word {
  const { sourceVuid: vuid, sourceDiskId: diskId } = move
  return toVolume(move, { type: 'RELEASE_UNIT', vuid, diskId })
}

/** The volume is others' again, its lock gone, and the unit still this move's. */
export function yieldVolume(move: MoveRecord): Word {
  return toVolume(move, { type: 'YIELD_MOVE', mover: move.taskId, turn: move.turns })
}

/** A chunk that was made for it, and did not take its place, goes with it: whether it knows of that or not. */
export function leaveVolume(move: MoveRecord): Word {
  return toVolume(move, { type: 'END_MOVE', mover: move.taskId })
}

export function movedWord(move: MoveRecord, end: MoveEnd, why: string): Word[] {
  const { owner, taskId, sourceVuid, stat, mtime: at } = move
  if (owner === null) return []
  const event = { type: 'MOVE_ENDED', taskId, sourceVuid, end, why, bytes: stat.doneSize, at }
  return [{ to: owner, event }]
}

function toLane({ type }: MoveRecord, event: EventObject): Word {
  return { to: formatAddress('move-lane', type), event }
}

function toQueue({ sourceIdc }: MoveRecord, event: EventObject): Word {
  return { to: formatAddress('worker-queue', sourceIdc), event }
}

function toVolume({ sourceVuid }: MoveRecord, event: EventObject): Word {
  return { to: volumeAddress(vuidParts(sourceVuid).vid), event }
}
