/**
 * Who moves units of a volume. Decides: that each unit has one mover at a time, and that one of them at a time
 * has the volume to itself: two that copy would each lock it, and unlock it under the other; that a mover which
 * has ended leaves nothing behind; that whatever it asked for before that, or in a turn that is over, and comes late,
 * is refused. Leaves to others: moving (`background/moves`), and finding out that a mover is gone which had begun. Pure.
 *
 * Who adds a move tells its volume first, and starts its actor then: one that never begins is found by the volume,
 * which calls it after a while and hears that there is nobody.
 */
import { formatAddress, parseAddress } from '../../../../src/index.ts'
import { vuidParts } from '../codes/index.ts'
import {
  movedBy,
  noUnitText,
  staleText,
  unclaimedText,
  withFittingFor,
  withoutFittingsOf,
} from './unit-rules.ts'
import type {
  Claim,
  VolumeAnswer,
  VolumeEvent,
  VolumeEventOf,
  VolumeRecord,
} from './volume-record.ts'

/** Who is announced and has not begun by then will not. */
export const BIRTH_MS = 30_000
/** Movers are actors of this machine. */
export const MOVER_MACHINE = 'migrate-task'

interface Decision {
  next: VolumeRecord
  answer: VolumeAnswer
}

/** What a volume says to others. */
export interface VolumeWord {
  to: string
  event: { type: string }
}

export function moveAdded(now: VolumeRecord, event: VolumeEventOf<'ADD_MOVE'>): Decision {
  const { vuid, mover, instead, at } = event
  const { vid, index, epoch } = vuidParts(vuid)
  const unit = vid === now.vid ? now.units[index] : undefined
  if (unit === undefined) return refuse(now, 924, noUnitText(vuid))
  if (unit.epoch !== epoch) return refuse(now, 918, staleText(unit))
  const known = now.moves[index]
  if (known?.mover === mover) return done(now)
  if (known !== undefined && known.mover !== instead) return movedBy(now, 601, known, index)
  const left = known === undefined ? now : without(now, known.mover)
  const fitted = withFittingFor(left, index, mover)
  return done({ ...fitted, moves: { ...left.moves, [index]: { mover, at, turn: 1 } } })
}

/** Never to whom nobody announced: that is a move that has ended, or whose unit is another's by now. */
export function moveClaimed(now: VolumeRecord, event: VolumeEventOf<'CLAIM_MOVE'>): Decision {
  const { index, epoch } = vuidParts(event.vuid)
  const { mover, turn } = event
  const known = now.moves[index]
  const unit = now.units[index]
  if (known === undefined) {
    if (unit !== undefined && unit.epoch !== epoch) return refuse(now, 918, staleText(unit))
    return refuse(now, 929, unclaimedText(now, event))
  }
  // Whether its unit is still the one that it means is for who claims it to see, who has to know why.
  if (known.mover !== mover) return movedBy(now, 601, known, index)
  if (turn < known.turn) return refuse(now, 929, unclaimedText(now, event))
  const other = Object.values(now.moves).find((one) => one.mover === now.mover)
  if (other !== undefined && other !== known) return movedBy(now, 914, other)
  return done({ ...now, mover, moves: { ...now.moves, [index]: { ...known, turn } } })
}

/** A claim of that turn may still be on its way, and is none any more when it comes. */
export function moveYielded(
  now: VolumeRecord,
  { mover, turn }: VolumeEventOf<'YIELD_MOVE'>,
): Decision {
  return done(withoutTurn(now, { mover, turn }))
}

/** Somebody has taken it from its mover, which has to claim it anew. */
export function withoutMover(now: VolumeRecord): VolumeRecord {
  const planned = Object.values(now.moves).find((one) => one.mover === now.mover)
  return planned === undefined ? now : withoutTurn(now, planned)
}

function withoutTurn(now: VolumeRecord, { mover, turn }: Claim): VolumeRecord {
  const found = Object.entries(now.moves).find(([, one]) => one.mover === mover)
  if (found === undefined || turn < found[1].turn) return now
  const [index, known] = found
  return {
    ...now,
    mover: now.mover === mover ? null : now.mover,
    moves: { ...now.moves, [index]: { ...known, turn: turn + 1 } },
  }
}

export function moveEnded(now: VolumeRecord, { mover }: VolumeEventOf<'END_MOVE'>): Decision {
  return done(without(now, mover))
}

/** Who has claimed the volume has begun; of others it is not known. */
export function moverCalled(now: VolumeRecord, mover: string): VolumeWord[] {
  if (now.mover === mover || !isAnnounced(now, mover)) return []
  return [{ to: formatAddress(MOVER_MACHINE, mover), event: { type: 'ANNOUNCED' } }]
}

/** There is nobody to call, or it has ended. */
export function moverUnheard(
  now: VolumeRecord,
  { to, event, error }: Extract<VolumeEvent, { type: 'troupe.deadLetter' }>,
): VolumeRecord {
  const mover = parseAddress(to).id
  const isOver = event.type === 'ANNOUNCED' && NOBODY.has(error.code)
  // It may have begun since it was called.
  return isOver && now.mover !== mover ? without(now, mover) : now
}

const NOBODY: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])

function isAnnounced({ moves }: VolumeRecord, mover: string): boolean {
  return Object.values(moves).some((one) => one.mover === mover)
}

function without(now: VolumeRecord, mover: string): VolumeRecord {
  const moves = Object.entries(now.moves).filter(([, one]) => one.mover !== mover)
  return {
    ...withoutFittingsOf(now, mover),
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
