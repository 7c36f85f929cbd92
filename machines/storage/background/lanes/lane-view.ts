/**
 * A lane as people and programs see it: plain numbers. Decides: which. Leaves to others: how they are called
 * where they are shown.
 */
import { shown } from '../../windows/index.ts'
import type { LaneRecord } from './lane-record.ts'
import { freePlaces } from './lane-rules.ts'

export interface LaneView {
  isOn: boolean
  /** Tasks there are: waiting for their turn or being prepared, waiting for a worker or with one, and after it. */
  preparing: number
  workerDoing: number
  finishing: number
  inHand: number
  workQueueSize: number
  /** Of the last twenty minutes, the oldest first. */
  perMinute: { finished: number[]; shards: number[]; bytes: number[] }
  /** Since the lane began. */
  totals: LaneRecord['totals']
  /** Why nobody has his turn, though there are some that wait; null while there is no such reason. */
  why: string | null
}

/** @param now unix ms */
export function laneView(lane: LaneRecord, now: number): LaneView {
  const { counts, windows, totals, workQueueSize, isOn, inHand } = lane
  return {
    isOn: isOn === true,
    ...counts,
    inHand: Object.keys(inHand).length,
    workQueueSize,
    perMinute: {
      finished: shown(windows.finished, now),
      shards: shown(windows.shards, now),
      bytes: shown(windows.bytes, now),
    },
    totals,
    why: whyOf(lane),
  }
}

function whyOf(lane: LaneRecord): string | null {
  if (lane.why !== null) return lane.why
  if (!lane.isMore) return null
  if (lane.isOn !== true) return `${lane.type} is switched off`
  if (freePlaces(lane) > 0) return null
  return `${lane.workQueueSize} are in hand, which is what the work queue holds`
}
