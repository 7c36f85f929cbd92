/**
 * A lane as a value: who has a place, how many tasks are in which state, what was done in which minute, and
 * what each thing it is told makes of that.
 *
 * Decides: how many are in hand at a time; that a task which had its turn keeps its place until it says that
 * it gives it back, or is seen to be gone, twice, since what it said last may still be on its way. Leaves to
 * others: who is next (`lane-tasks.ts`), timers and messages (`lane.ts`).
 */
import { parseAddress } from '../../../../src/index.ts'
import { addTo, NO_WINDOW } from '../../windows/index.ts'
import type { MoveType } from '../moves/index.ts'
import {
  type Checked,
  FINISHED,
  FINISHED_IN_ADVANCE,
  type LaneEvent,
  type LaneRecord,
  type Picked,
  WORK_QUEUE_SIZE,
} from './lane-record.ts'

const COUNTED = { 1: 'preparing', 2: 'workerDoing', 3: 'finishing' } as const
const INITED = 1

export function newLane(type: MoveType): LaneRecord {
  return {
    type,
    workQueueSize: WORK_QUEUE_SIZE,
    // What an operator asks for by hand has no switch.
    isOn: type === 'manual_migrate' ? true : null,
    inHand: {},
    counts: { preparing: 0, workerDoing: 0, finishing: 0 },
    isMore: false,
    isAddedMeanwhile: false,
    windows: { finished: NO_WINDOW, shards: NO_WINDOW, bytes: NO_WINDOW },
    totals: { finished: 0, finishedInAdvance: 0, shards: 0, bytes: 0 },
    now: 0,
    tries: 0,
    why: null,
  }
}

export function freePlaces({ workQueueSize, inHand }: LaneRecord): number {
  return Math.max(0, workQueueSize - Object.keys(inHand).length)
}

export function canPick(lane: LaneRecord): boolean {
  return lane.isOn === true && lane.isMore && freePlaces(lane) > 0
}

export function told(lane: LaneRecord, event: LaneEvent): LaneRecord {
  switch (event.type) {
    case 'ADDED':
      return { ...heard(lane, event.at), isMore: true, isAddedMeanwhile: true }
    case 'STATE':
      return moved(heard(lane, event.at), event)
    case 'PLACE_BACK':
      return without(heard(lane, event.at), [event.taskId])
    case 'MOVED':
      return worked(heard(lane, event.at), event)
    case 'SWITCH':
      return event.name === lane.type ? { ...lane, isOn: event.isOn } : lane
    case 'troupe.deadLetter':
      return event.event.type === 'PREPARE' ? withoutUntold(lane, event.to) : lane
    case 'SUBSCRIBE_AGAIN':
      return lane
  }
}

/** Clocks of nodes differ by little, and one that was set back must not hold the lane in the past. */
function heard(lane: LaneRecord, at: number | undefined): LaneRecord {
  return at === undefined ? lane : { ...lane, now: at }
}

function moved(
  lane: LaneRecord,
  { taskId, from, to }: Extract<LaneEvent, { type: 'STATE' }>,
): LaneRecord {
  if (from === to) return lane
  const { [taskId]: held } = lane.inHand
  const inHand =
    held !== undefined && to !== null && to < FINISHED
      ? { ...lane.inHand, [taskId]: { state: to, isMissed: false } }
      : lane.inHand
  const counts = counted(counted(lane.counts, from, -1), to, 1)
  return ended({ ...lane, inHand, counts }, to)
}

function counted(
  counts: LaneRecord['counts'],
  state: number | null,
  by: number,
): LaneRecord['counts'] {
  const name = COUNTED[state as keyof typeof COUNTED]
  if (name === undefined) return counts
  return { ...counts, [name]: Math.max(0, counts[name] + by) }
}

function ended(lane: LaneRecord, to: number | null): LaneRecord {
  if (to !== FINISHED && to !== FINISHED_IN_ADVANCE) return lane
  const field = to === FINISHED ? 'finished' : 'finishedInAdvance'
  const { windows, totals, now } = lane
  return {
    ...lane,
    windows: { ...windows, finished: addTo(windows.finished, now, 1) },
    totals: { ...totals, [field]: totals[field] + 1 },
  }
}

function worked(
  lane: LaneRecord,
  { at, shards, bytes }: Extract<LaneEvent, { type: 'MOVED' }>,
): LaneRecord {
  const { windows, totals } = lane
  return {
    ...lane,
    windows: {
      ...windows,
      shards: addTo(windows.shards, at, shards),
      bytes: addTo(windows.bytes, at, bytes),
    },
    totals: { ...totals, shards: totals.shards + shards, bytes: totals.bytes + bytes },
  }
}

function without(lane: LaneRecord, taskIds: readonly string[]): LaneRecord {
  if (!taskIds.some((id) => id in lane.inHand)) return lane
  const isLeft = ([id]: [string, unknown]) => !taskIds.includes(id)
  return { ...lane, inHand: Object.fromEntries(Object.entries(lane.inHand).filter(isLeft)) }
}

/** Whoever could not be told that it is its turn has no use for the place. */
function withoutUntold(lane: LaneRecord, address: string): LaneRecord {
  return { ...without(lane, [parseAddress(address).id]), isMore: true }
}

export function picking(lane: LaneRecord): LaneRecord {
  return { ...lane, isAddedMeanwhile: false }
}

/** @returns also those whose turn it is now */
export function picked(
  lane: LaneRecord,
  { at, workQueueSize, picked: found, isAll }: Picked,
): { next: LaneRecord; turns: string[] } {
  const sized = { ...lane, now: at, workQueueSize, tries: 0, why: null }
  const fresh = found.filter((id) => !(id in lane.inHand))
  // It may have been switched off, or made smaller, since.
  const turns = lane.isOn === true ? fresh.slice(0, freePlaces(sized)) : []
  const isMore = lane.isAddedMeanwhile || !isAll || turns.length < fresh.length
  const places = turns.map((id) => [id, { state: INITED, isMissed: false }] as const)
  const inHand = { ...lane.inHand, ...Object.fromEntries(places) }
  return { next: { ...sized, inHand, isMore }, turns }
}

export function checked(lane: LaneRecord, found: Checked): LaneRecord {
  const { at, workQueueSize, gone, still, isAnyWaiting } = found
  const held = Object.entries(lane.inHand)
  const lost = held.filter(([id, { isMissed }]) => isMissed && gone.includes(id))
  const counts = lost.reduce((sum, [, { state }]) => counted(sum, state, -1), lane.counts)
  const leave = [...lost.map(([id]) => id), ...still]
  const inHand = Object.fromEntries(
    held
      .filter(([id]) => !leave.includes(id))
      .map(([id, one]) => [id, { ...one, isMissed: gone.includes(id) }]),
  )
  const isMore = lane.isMore || isAnyWaiting
  return { ...lane, now: at, workQueueSize, inHand, counts, isMore }
}

/** A look failed, which says nothing of the lane: it is tried again. */
export function stuck(lane: LaneRecord, why: string): LaneRecord {
  return { ...lane, tries: lane.tries + 1, why }
}
