/**
 * The units of a volume, and the chunks that they have, had and are to get. Decides: epochs, which are never
 * given twice; what is allocated, swapped and released, and what is refused (reference sheet, section 4).
 * Leaves to others: which disk (`placement.ts`), what is done on disks (`volume-tasks.ts`). Pure.
 *
 * A chunk is in the record before anything is done for it, and stays there until all that was done for it
 * is undone: as a fitting, as a unit, or as retired. So whatever is cut off anywhere leaks nothing.
 */
import { EPOCH_MAX, type Vuid, vuidParts } from '../codes/index.ts'
import { clippedWhy } from '../why.ts'
import type {
  Chunk,
  Claim,
  Fitting,
  PlannedMove,
  Retired,
  VolumeAnswer,
  VolumeEventOf,
  VolumeRecord,
  VolumeResult,
} from './volume-record.ts'
import { fittingsAt, isClaimedBy, isSameChunk } from './volume-record.ts'

interface Decision {
  next: VolumeRecord
  answer: VolumeAnswer
}

type Told<TType extends VolumeResult['type']> = Extract<VolumeResult, { type: TType }>

const CALM = { tries: 0, why: null } as const

/** A chunk for the same place, beside the one that is there. Asked again, it is the same one. */
export function allocated(
  now: VolumeRecord,
  { vuid, excludes, claim }: VolumeEventOf<'ALLOC_UNIT'>,
): Decision {
  const { index } = vuidParts(vuid)
  const mover = claim?.mover ?? null
  const unit = unitOf(now, vuid)
  if (unit === undefined) return refuse(now, 924, noUnitText(vuid))
  if (unit.epoch !== vuidParts(vuid).epoch) return refuse(now, 918, staleText(unit))
  const denied = deniedTo(now, index, claim)
  if (denied !== undefined) return denied
  const known = now.fittings[index]
  const isGood = known !== undefined && !excludes.includes(known.diskId)
  if (known?.step === 'wanted') {
    const both = [...new Set([...known.excludes, ...excludes])]
    return done(withFitting(now, index, { ...known, mover, excludes: both }))
  }
  if (isGood) return done(withFitting(now, index, { ...known, mover }))
  if (known?.step === 'chosen') {
    return refuse(now, 914, `is making a chunk of unit ${index} on disk ${known.diskId}`)
  }
  const busy = Object.entries(now.fittings).find(([, { step }]) => step !== 'ready')
  if (busy !== undefined) return refuse(now, 914, `is making a chunk of unit ${busy[0]}`)
  if ((now.epochs[index] ?? 0) >= EPOCH_MAX) {
    return refuse(
      now,
      916,
      `has had ${EPOCH_MAX} chunks of unit ${index}: move its blobs elsewhere`,
    )
  }
  // What was ready is no use to whoever asks: it goes, with its epoch.
  const left = known === undefined ? now : withRetired(now, [{ index, ...known }])
  return done(withFitting(left, index, { step: 'wanted', epoch: 0, diskId: 0, excludes, mover }))
}

/**
 * A unit that is to be moved is its mover's alone, and only while the volume is: what was asked for by a move that
 * has ended or stepped back, and comes late, changes nothing. Undefined: it may.
 */
function deniedTo(
  now: VolumeRecord,
  index: number,
  claim: Claim | undefined,
): Decision | undefined {
  const planned = now.moves[index]
  if (planned !== undefined && planned.mover !== claim?.mover) {
    return movedBy(now, 601, planned, index)
  }
  if (claim === undefined || (planned !== undefined && isClaimedBy(now, claim))) return undefined
  return refuse(now, 929, unclaimedText(now, claim))
}

/** Why a claim is none. */
export function unclaimedText({ moves }: VolumeRecord, { mover, turn }: Claim): string {
  const isAnnounced = Object.values(moves).some((one) => one.mover === mover)
  return isAnnounced
    ? `is not ${mover}'s by its claim ${turn}: that is over, or was not made; claim it anew`
    : `is not ${mover}'s to move units of: it was not announced, or has ended`
}

/** The chunk that is ready takes the place of the one that is there. */
export function updated(
  now: VolumeRecord,
  { newVuid, oldVuid, newDiskId, isOldNormal, claim }: VolumeEventOf<'UPDATE_UNIT'>,
): Decision {
  const unit = unitOf(now, oldVuid)
  const [old, wanted] = [vuidParts(oldVuid), vuidParts(newVuid)]
  if (unit === undefined) return refuse(now, 924, noUnitText(oldVuid))
  if (old.vid !== wanted.vid || old.index !== wanted.index) {
    return refuse(now, 919, `has unit ${old.index} to swap, not ${wanted.vid}/${wanted.index}`)
  }
  // Told again: the swap is done.
  if (unit.epoch === wanted.epoch && unit.diskId === newDiskId) return done(now)
  if (unit.epoch !== old.epoch) return refuse(now, 918, staleText(unit))
  const denied = deniedTo(now, old.index, claim)
  if (denied !== undefined) return denied
  const fitting = now.fittings[old.index]
  if (fitting?.step !== 'ready' || fitting.epoch !== wanted.epoch) {
    const epoch = fitting?.step === 'ready' ? fitting.epoch : 'none'
    return refuse(now, 919, `has epoch ${epoch} ready for unit ${old.index}, not ${wanted.epoch}`)
  }
  if (fitting.diskId !== newDiskId) {
    const where = `disk ${fitting.diskId}, not on ${newDiskId}`
    return refuse(now, 920, `has epoch ${fitting.epoch} of unit ${old.index} on ${where}`)
  }
  // A put may be acknowledged into the old chunk after it was copied, and be lost with it.
  if (isOldNormal && now.standing !== 'lock') {
    const why = `is ${now.standing}, and disk ${unit.diskId} of its unit ${old.index} is normal`
    return refuse(now, 926, `${why}: lock the volume before that unit is swapped`)
  }
  const fresh: Chunk = { index: old.index, epoch: fitting.epoch, diskId: fitting.diskId }
  const units = now.units.map((one) => (one.index === fresh.index ? fresh : one))
  const retired = [...now.retired, { ...unit, isDue: false }]
  return done({ ...withoutFitting(now, fresh.index), units, retired })
}

/** A chunk is nobody's any more: its room on the disk is given back. */
export function releasing(
  now: VolumeRecord,
  { vuid, diskId }: VolumeEventOf<'RELEASE_UNIT'>,
): Decision {
  const { vid, index, epoch } = vuidParts(vuid)
  const unit = vid === now.vid ? now.units[index] : undefined
  if (unit === undefined) return refuse(now, 924, noUnitText(vuid))
  if (unit.epoch === epoch) {
    return refuse(
      now,
      918,
      `has epoch ${epoch} as its unit ${index}: swap it before it is released`,
    )
  }
  const chunk: Chunk = { index, epoch, diskId }
  const fitting = now.fittings[index]
  if (fitting?.epoch === epoch && fitting.step === 'ready') {
    if (fitting.diskId !== diskId) {
      return refuse(now, 920, `has that chunk on disk ${fitting.diskId}, not on ${diskId}`)
    }
    return done(withRetired(withoutFitting(now, index), [chunk]))
  }
  if (fitting?.epoch === epoch && fitting.step === 'chosen') {
    return refuse(now, 914, `is making that chunk on disk ${diskId}`)
  }
  const elsewhere = now.retired.find((one) => one.index === index && one.epoch === epoch)
  if (elsewhere !== undefined && elsewhere.diskId !== diskId) {
    return refuse(now, 920, `has that chunk on disk ${elsewhere.diskId}, not on ${diskId}`)
  }
  const isDue = (one: Retired) => (isSameChunk(one, chunk) ? { ...one, isDue: true } : one)
  // One that is not there is gone already.
  return done({ ...now, retired: now.retired.map(isDue) })
}

/** Disks were found: each chunk is written down before anything is done on them. */
export function chosen(now: VolumeRecord, picks: Told<'CHOSEN'>['picks']): VolumeRecord {
  const fittings = { ...now.fittings }
  const epochs = [...now.epochs]
  for (const { index, diskId } of picks) {
    const fitting = fittings[index]
    // A disk may have been excluded since it was looked for.
    if (fitting?.step !== 'wanted' || fitting.excludes.includes(diskId)) continue
    const epoch = (epochs[index] ?? 0) + 1
    epochs[index] = epoch
    fittings[index] = { ...fitting, step: 'chosen', epoch, diskId }
  }
  return { ...now, fittings, epochs, troubles: { ...now.troubles, fitting: CALM } }
}

/** Of a volume that lives, whoever asked is told, and asks again; one that is made goes on looking. */
export function unplaceable(now: VolumeRecord, why: string): VolumeRecord {
  const told = { count: now.unplaceable.count + 1, why: clippedWhy(why) }
  if (now.standing === 'creating') {
    // A disk that failed once may be well by now.
    const fittings = mapped(now.fittings, (one) =>
      one.step === 'wanted' ? { ...one, excludes: [] } : one,
    )
    return { ...stuck(now, 'fitting', why), fittings, unplaceable: told }
  }
  const left = Object.entries(now.fittings).filter(([, { step }]) => step !== 'wanted')
  return { ...now, fittings: Object.fromEntries(left), unplaceable: told }
}

export function made(now: VolumeRecord, { made: good, failed }: Told<'MADE'>): VolumeRecord {
  let next = now
  for (const chunk of good) {
    const fitting = next.fittings[chunk.index]
    if (fitting === undefined || !isSameChunk({ index: chunk.index, ...fitting }, chunk)) continue
    next = isWanted(next, chunk, fitting)
      ? withFitting(next, chunk.index, { ...fitting, step: 'ready' })
      : withRetired(withoutFitting(next, chunk.index), [chunk])
  }
  for (const { why, ...chunk } of failed) {
    const fitting = next.fittings[chunk.index]
    if (fitting === undefined || !isSameChunk({ index: chunk.index, ...fitting }, chunk)) continue
    // It may be there all the same: its answer was lost. So it goes like any other, and never comes back.
    const excludes = [...fitting.excludes, chunk.diskId]
    const again: Fitting = { ...fitting, step: 'wanted', epoch: 0, diskId: 0, excludes }
    const left = isWanted(next, chunk, fitting)
      ? withFitting(next, chunk.index, again)
      : withoutFitting(next, chunk.index)
    next = withRetired(left, [chunk])
    next = { ...next, unplaceable: { ...next.unplaceable, why: clippedWhy(why) } }
  }
  return complete({ ...next, troubles: { ...next.troubles, fitting: CALM } })
}

/** Who asked for it may have ended while it was made. */
function isWanted({ moves }: VolumeRecord, { index }: Chunk, { mover }: Fitting): boolean {
  return mover === null || moves[index]?.mover === mover
}

/** A mover has ended: what was made for it is nobody's. One that is being made goes when that has come to its end. */
export function withoutFittingsOf(now: VolumeRecord, mover: string): VolumeRecord {
  let next = now
  for (const [key, fitting] of Object.entries(now.fittings)) {
    if (fitting.mover !== mover || fitting.step === 'chosen') continue
    const index = Number(key)
    next = withoutFitting(next, index)
    if (fitting.step === 'ready') next = withRetired(next, [{ index, ...fitting }])
  }
  return next
}

/** What was made for nobody in particular is that mover's, and goes with it. */
export function withFittingFor(now: VolumeRecord, index: number, mover: string): VolumeRecord {
  const known = now.fittings[index]
  return known === undefined ? now : withFitting(now, index, { ...known, mover })
}

/** A volume is there when all its chunks are. */
function complete(now: VolumeRecord): VolumeRecord {
  const ready = fittingsAt(now, 'ready')
  if (now.standing !== 'creating' || ready.length < now.epochs.length) return now
  const units = ready.map(({ index, epoch, diskId }) => ({ index, epoch, diskId }))
  return { ...now, standing: 'idle', units, fittings: {} }
}

export function released(
  now: VolumeRecord,
  { released: gone, failed }: Told<'RELEASED'>,
): VolumeRecord {
  const retired = now.retired.filter((one) => !gone.some((other) => isSameChunk(one, other)))
  const [first] = failed
  const next = { ...now, retired }
  if (first === undefined) return { ...next, troubles: { ...now.troubles, releasing: CALM } }
  const what = `unit ${first.index}, epoch ${first.epoch}, on disk ${first.diskId}`
  return stuck(next, 'releasing', `${what}: ${first.why}`)
}

export function retiredOver(
  now: VolumeRecord,
  { index, epoch }: Told<'RETIRED_OVER'>,
): VolumeRecord {
  const isOver = (one: Retired) => one.index === index && one.epoch === epoch
  const retired = now.retired.map((one) => (isOver(one) ? { ...one, isDue: true } : one))
  return { ...now, retired }
}

/** Whoever asked for it has gone, and its room is others'. */
export function readyOver(now: VolumeRecord, { index, epoch }: Told<'READY_OVER'>): VolumeRecord {
  const fitting = now.fittings[index]
  if (fitting?.step !== 'ready' || fitting.epoch !== epoch) return now
  return withRetired(withoutFitting(now, index), [{ index, ...fitting }])
}

export function stuck(now: VolumeRecord, room: Told<'STUCK'>['room'], why: string): VolumeRecord {
  const trouble = { tries: now.troubles[room].tries + 1, why: clippedWhy(why) }
  return { ...now, troubles: { ...now.troubles, [room]: trouble } }
}

function done(next: VolumeRecord): Decision {
  const { standing, unplaceable: told } = next
  return { next, answer: { ok: true, standing, unplaced: told.count } }
}

function refuse(now: VolumeRecord, refused: number, why: string): Decision {
  return { next: now, answer: { refused, message: `volume ${now.vid} ${why}` } }
}

export function movedBy(
  now: VolumeRecord,
  refused: number,
  by: PlannedMove,
  index?: number,
): Decision {
  const what = index === undefined ? 'a unit' : `unit ${index}`
  const message = `volume ${now.vid} has ${what} moved by ${by.mover} already`
  return { next: now, answer: { refused, message, by } }
}

function unitOf(now: VolumeRecord, vuid: Vuid): Chunk | undefined {
  const { vid, index } = vuidParts(vuid)
  return vid === now.vid ? now.units[index] : undefined
}

export function noUnitText(vuid: Vuid): string {
  const { vid, index } = vuidParts(vuid)
  return `has no unit ${index} of volume ${vid} (vuid ${vuid})`
}

export function staleText({ index, epoch, diskId }: Chunk): string {
  return `has epoch ${epoch} on disk ${diskId} as its unit ${index}: that vuid is stale`
}

function withFitting(now: VolumeRecord, index: number, fitting: Fitting): VolumeRecord {
  return { ...now, fittings: { ...now.fittings, [index]: fitting } }
}

function withoutFitting(now: VolumeRecord, index: number): VolumeRecord {
  const { [index]: _gone, ...fittings } = now.fittings
  return { ...now, fittings }
}

/** Due at once: nobody has read or written them. */
function withRetired(now: VolumeRecord, chunks: readonly Chunk[]): VolumeRecord {
  const fresh = chunks.map(({ index, epoch, diskId }) => ({ index, epoch, diskId, isDue: true }))
  return { ...now, retired: [...now.retired, ...fresh] }
}

function mapped<T>(of: Record<string, T>, change: (one: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(of).map(([key, one]) => [key, change(one)]))
}
