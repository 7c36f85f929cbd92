/**
 * What a volume is told, and what becomes of it. Decides: who may write to it, when it can be locked, and
 * every refusal (reference sheet, sections 4 and 8). Leaves to others: its units and their chunks
 * (`unit-rules.ts`), who moves them (`move-claims.ts`). Pure.
 */
import {
  moveAdded,
  moveClaimed,
  moveEnded,
  moverCalled,
  moverUnheard,
  moveYielded,
  type VolumeWord,
  withoutMover,
} from './move-claims.ts'
import {
  allocated,
  chosen,
  made,
  readyOver,
  released,
  releasing,
  retiredOver,
  stuck,
  unclaimedText,
  unplaceable,
  updated,
} from './unit-rules.ts'
import {
  type Claim,
  isClaimedBy,
  isKept,
  type VolumeAnswer,
  type VolumeEvent,
  type VolumeEventOf,
  type VolumeRecord,
} from './volume-record.ts'

/** A mover that was refused comes again after 10 s, and may have to wait for its turn in its lane. */
const KEPT_MS = 30_000

export interface VolumeDecision {
  next: VolumeRecord
  /** None for what the machine told itself. */
  answer?: VolumeAnswer
  words?: readonly VolumeWord[]
}

export function decide(now: VolumeRecord, event: VolumeEvent): VolumeDecision {
  switch (event.type) {
    case 'ACQUIRE':
      return acquire(now, event)
    case 'RETAIN':
      return retain(now, event)
    case 'RETURN':
      return giveBack(now, event)
    case 'RETAIN_OVER':
      return { next: now.standing === 'active' ? idle(now, now.holder?.until ?? 0) : now }
    case 'LOCK':
      return lock(now, event.claim)
    case 'UNLOCK':
      return unlock(now, event)
    case 'CHUNKS_SET':
      return { next: chunksSet(now, event) }
    case 'ALLOC_UNIT':
      return allocated(now, event)
    case 'UPDATE_UNIT':
      return updated(now, event)
    case 'RELEASE_UNIT':
      return releasing(now, event)
    case 'ADD_MOVE':
      return lockedNoLonger(moveAdded(now, event))
    case 'CLAIM_MOVE':
      return moveClaimed(now, event)
    case 'YIELD_MOVE':
      return lockedNoLonger(moveYielded(now, event))
    case 'END_MOVE':
      return lockedNoLonger(moveEnded(now, event))
    case 'CHOSEN':
      return { next: chosen(now, event.picks) }
    case 'UNPLACEABLE':
      return { next: unplaceable(now, event.why) }
    case 'MADE':
      return { next: made(now, event) }
    case 'RELEASED':
      return { next: released(now, event) }
    case 'RETIRED_OVER':
      return { next: retiredOver(now, event) }
    case 'READY_OVER':
      return { next: readyOver(now, event) }
    case 'BIRTH_OVER':
      return { next: now, words: moverCalled(now, event.mover) }
    case 'troupe.deadLetter':
      return { next: moverUnheard(now, event) }
    case 'STUCK':
      return { next: stuck(now, event.room, event.why) }
  }
}

export function done(next: VolumeRecord, more: object = {}): VolumeDecision {
  return { next, answer: { ok: true, standing: next.standing, ...more } }
}

export function refuse(now: VolumeRecord, refused: number, why: string): VolumeDecision {
  return { next: now, answer: { refused, message: `volume ${now.vid} ${why}` } }
}

function acquire(now: VolumeRecord, event: VolumeEventOf<'ACQUIRE'>): VolumeDecision {
  const { token, chunkBytesUsed } = event
  const { standing, holder } = now
  if (standing === 'active' && holder?.token !== token) {
    return refuse(now, 929, `is written to by ${holder?.token ?? 'another node'}`)
  }
  if (standing !== 'idle' && standing !== 'active') {
    return refuse(now, 929, `is ${standing}: only one that is idle can be written to`)
  }
  if (isKept(now, event.at)) {
    const until = new Date(now.keptUntil).toISOString()
    return refuse(now, 929, `is kept until ${until} for who moves a unit of it`)
  }
  const until = event.at + event.retainMs
  const isFresh = standing === 'idle'
  const next: VolumeRecord = {
    ...{ ...now, standing: 'active', holder: { token, until }, chunkBytesUsed },
    isWantedBack: isFresh ? false : now.isWantedBack,
  }
  return done(next, { until, isWantedBack: next.isWantedBack })
}

function retain(now: VolumeRecord, event: VolumeEventOf<'RETAIN'>): VolumeDecision {
  if (now.standing === 'active' && now.holder?.token === event.token) {
    return acquire(now, { ...event, type: 'ACQUIRE' })
  }
  const whose = now.standing === 'active' ? `${now.holder?.token}'s to write to` : now.standing
  return refuse(now, 929, `is ${whose}, and ${event.token}'s no more`)
}

function giveBack(now: VolumeRecord, event: VolumeEventOf<'RETURN'>): VolumeDecision {
  // Told again, or too late: whoever has it now keeps it.
  if (now.standing !== 'active' || now.holder?.token !== event.token) return done(now)
  return done({ ...idle(now, event.at), chunkBytesUsed: event.chunkBytesUsed })
}

/** @param at since when, unix ms */
function idle(now: VolumeRecord, at: number): VolumeRecord {
  const keptUntil = now.isWantedBack ? at + KEPT_MS : 0
  return { ...now, standing: 'idle', holder: null, isWantedBack: false, keptUntil }
}

function lock(now: VolumeRecord, claim: Claim | undefined): VolumeDecision {
  const { standing, holder } = now
  if (claim !== undefined && !isClaimedBy(now, claim)) {
    return refuse(now, 929, unclaimedText(now, claim))
  }
  switch (standing) {
    case 'lock':
      // What an operator has locked stays so until he unlocks it.
      return done(claim === undefined ? { ...now, isLockedForMover: false } : now)
    case 'idle':
      return done(setting({ ...now, standing: 'lock', isLockedForMover: claim !== undefined }))
    case 'active': {
      const until = new Date(holder?.until ?? 0).toISOString()
      const why = `is written to by ${holder?.token} until ${until}, who is asked to give it back`
      return refuse({ ...now, isWantedBack: true }, 902, why)
    }
    default:
      return refuse(now, 902, `is ${standing}: only one that is idle can be locked`)
  }
}

function unlock(now: VolumeRecord, event: VolumeEventOf<'UNLOCK'>): VolumeDecision {
  const { force: isForced = false } = event
  if (now.mover !== null && !isForced) {
    const why = `is ${now.mover}'s to move a unit of: cancel that move, or force it`
    return refuse(now, 903, why)
  }
  switch (now.standing) {
    case 'idle':
      return done(now)
    case 'unlocking':
      return done(isForced ? { ...now, standing: 'idle', isSet: true } : now)
    case 'lock':
      // By force: what its mover copied is out of date as soon as somebody writes.
      return done(unlocking(withoutMover(now)))
    default:
      return refuse(now, 903, `is ${now.standing}: only one that is locked can be unlocked`)
  }
}

function unlocking(now: VolumeRecord): VolumeRecord {
  return setting({ ...now, standing: 'unlocking', isLockedForMover: false })
}

/** Where its mover has it no more, whichever way that went. */
function lockedNoLonger(decision: VolumeDecision): VolumeDecision {
  const { next, answer } = decision
  if (answer !== undefined && 'refused' in answer) return decision
  if (next.mover !== null || !next.isLockedForMover) return decision
  return done(unlocking(next))
}

function setting(now: VolumeRecord): VolumeRecord {
  return { ...now, isSet: false, troubles: { ...now.troubles, setting: { tries: 0, why: null } } }
}

/** All that can be are as the standing wants them, or some are to be asked again. */
function chunksSet(
  now: VolumeRecord,
  { to, failed }: Extract<VolumeEvent, { type: 'CHUNKS_SET' }>,
): VolumeRecord {
  const { troubles } = now
  // It was unlocked while its chunks were being locked.
  if (to !== (now.standing === 'lock' ? 'readonly' : 'readwrite')) return now
  const [first] = failed
  if (first !== undefined) {
    const why = `unit ${first.index} on disk ${first.diskId}: ${first.why}`
    return stuck(
      now,
      'setting',
      failed.length === 1 ? why : `${why}, and ${failed.length - 1} more`,
    )
  }
  const well = { ...now, isSet: true, troubles: { ...troubles, setting: { tries: 0, why: null } } }
  return now.standing === 'unlocking' ? { ...well, standing: 'idle' } : well
}
