/** How inspections stand, for statistics and people. Pure. Decides: what is shown of the actor. */
import { shown } from '../../windows/index.ts'
import type { InspectRecord, Pass } from './inspect-record.ts'
import { freeCount } from './inspect-rules.ts'

export interface InspectView {
  isOn: boolean
  /** Of the last twenty minutes, the oldest first. */
  perMinute: { finished: number[]; timedOut: number[] }
  totals: { finished: number; timedOut: number }
  pass: Pass
  passBefore: Pass | null
  /** Behind the last volume that was looked for in this pass. */
  nextVid: number
  pending: { free: number; leased: number; waiting: number }
  /** Given up until the next pass, the newest last. */
  setAside: { vid: number; at: number; why: string }[]
  waits: { why: string; until: number | null } | null
}

/** Whoever asks while one is free has it. */
const UNASKED = {
  why: 'no worker has asked for a volume: blobnodes do with --inspect-slots 1 or more',
  until: null,
}

/** @param at unix ms: now */
export function inspectView(record: InspectRecord, at: number): InspectView {
  const { isOn, finished, timedOut, totals, pass, passBefore, nextVid, setAside, waits } = record
  const volumes = Object.values(record.volumes)
  const leased = volumes.filter(({ lease }) => lease !== null).length
  const waiting = volumes.filter(({ retryAt }) => retryAt !== null).length
  const free = freeCount(record)
  const isUnasked = isOn && free > 0 && leased === 0
  return {
    isOn,
    perMinute: { finished: shown(finished, at), timedOut: shown(timedOut, at) },
    ...{ totals, pass, passBefore, nextVid },
    pending: { free, leased, waiting },
    setAside,
    waits: waits ?? (isUnasked ? UNASKED : null),
  }
}
