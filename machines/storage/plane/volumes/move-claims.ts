/**
 * Who moves units of a volume. Decides: that each unit has one mover at a time, and that one of them at a time
 * has the volume to itself: two that copy would each lock it, and unlock it under the other. Leaves to others:
 * moving (`background/moves`), and finding out that a mover is gone. Pure.
 */
import { vuidParts } from '../codes/index.ts'
import { noUnitText, staleText } from './unit-rules.ts'
import type { PlannedMove, VolumeAnswer, VolumeEventOf, VolumeRecord } from './volume-record.ts'

interface Decision {
  next: VolumeRecord
  answer: VolumeAnswer
}

export function moveAdded(now: VolumeRecord, event: VolumeEventOf<'ADD_MOVE'>): Decision {
  const { vuid, mover, instead, at } = event
  const { vid, index, epoch } = vuidParts(vuid)
  const unit = vid === now.vid ? now.units[index] : undefined
  if (unit === undefined) return refuse(now, 924, noUnitText(vuid))
  if (unit.epoch !== epoch) return refuse(now, 918, staleText(unit))
  const known = now.moves[index]
  if (known?.mover === mover) return done(now)
  if (known !== undefined && known.mover !== instead) return refuseFor(now, 601, known, index)
  const left = known === undefined ? now : without(now, known.mover)
  return done({ ...left, moves: { ...left.moves, [index]: { mover, at } } })
}

/** Whoever was not announced is, by claiming it. */
export function moveClaimed(now: VolumeRecord, event: VolumeEventOf<'CLAIM_MOVE'>): Decision {
  const { index } = vuidParts(event.vuid)
  if (now.mover === event.mover) return done(now)
  // Whether its unit is still the one that it means is for who claims it to see, who has to know why.
  const known = now.moves[index]
  if (known !== undefined && known.mover !== event.mover) return refuseFor(now, 601, known, index)
  const other = Object.values(now.moves).find(({ mover }) => mover === now.mover)
  if (other !== undefined) return refuseFor(now, 914, other)
  const moves = { ...now.moves, [index]: { mover: event.mover, at: event.at } }
  return done({ ...now, moves, mover: event.mover })
}

export function moveYielded(now: VolumeRecord, { mover }: VolumeEventOf<'YIELD_MOVE'>): Decision {
  return done(now.mover === mover ? { ...now, mover: null } : now)
}

export function moveEnded(now: VolumeRecord, { mover }: VolumeEventOf<'END_MOVE'>): Decision {
  return done(without(now, mover))
}

function without(now: VolumeRecord, mover: string): VolumeRecord {
  const moves = Object.entries(now.moves).filter(([, one]) => one.mover !== mover)
  return {
    ...now,
    moves: Object.fromEntries(moves),
    mover: now.mover === mover ? null : now.mover,
  }
}

function done(next: VolumeRecord): Decision {
  return { next, answer: { ok: true, standing: next.standing } }
}

function refuse(now: VolumeRecord, refused: number, why: string): Decision {
  return { next: now, answer: { refused, message: `volume ${now.vid} ${why}` } }
}

function refuseFor(now: VolumeRecord, refused: number, by: PlannedMove, index?: number): Decision {
  const what = index === undefined ? 'a unit' : `unit ${index}`
  const message = `volume ${now.vid} has ${what} moved by ${by.mover} already`
  return { next: now, answer: { refused, message, by } }
}
