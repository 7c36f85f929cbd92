/**
 * What a disk is told, and what becomes of it. Decides: every step of its status and every refusal
 * (reference sheet, sections 6.2 and 8), what may be promised to units. Pure.
 */
import { clippedWhy } from '../why.ts'
import {
  type DiskAnswer,
  type DiskEvent,
  type DiskEventOf,
  type DiskRecord,
  type DiskStanding,
  isReadonly,
  statusOf,
  unitsAllowed,
} from './disk-record.ts'

/**
 * A chunk takes room as it is written, so what is promised of a disk may be more than it has. A disk with
 * less than this takes no further chunk: those that are there could not grow any more.
 */
export const FREE_BYTES_MIN = 64 * 1024 * 1024

export interface DiskDecision {
  next: DiskRecord
  answer: DiskAnswer
  /** Whether its silence counts from now. */
  isHeardNow?: true
}

export function decide(now: DiskRecord, event: DiskEvent): DiskDecision {
  switch (event.type) {
    case 'REGISTER':
      return register(now, event)
    case 'HEARTBEAT':
      return heartbeat(now, event)
    case 'LOST':
      return event.via === now.via ? done({ ...now, isHeard: false }) : done(now)
    case 'SILENT':
      return done({ ...now, isHeard: false })
    case 'SET':
      return set(now, event.status)
    case 'READONLY':
      return setReadonly(now, event.readonly)
    case 'DROP':
      return drop(now)
    case 'DROPPED':
      return dropped(now)
    case 'RESERVE':
      return reserve(now, event)
    case 'FREE': {
      const { [event.vuid.toString()]: _freed, ...units } = now.units
      return done({ ...now, units })
    }
  }
}

function done(next: DiskRecord): DiskDecision {
  return { next, answer: answerOf(next) }
}

function to(now: DiskRecord, standing: DiskStanding): DiskDecision {
  return done({ ...now, standing })
}

function refuse(now: DiskRecord, refused: number, why: string): DiskDecision {
  return { next: now, answer: { refused, message: `disk ${now.diskId} ${why}` } }
}

function answerOf({ standing }: DiskRecord): DiskAnswer {
  return { status: statusOf(standing), readonly: isReadonly(standing) }
}

/** Its blobnode was started anew, or has taken it over from one that is silent. */
function register(now: DiskRecord, event: DiskEventOf<'REGISTER'>): DiskDecision {
  const { type: _type, at, ...facts } = event
  const { standing, host, path } = now
  if (standing === 'repaired' || standing === 'dropped') {
    return refuse(now, 925, `is ${standing}: register the disk in its place under a new id`)
  }
  if (facts.uuid !== now.uuid) return isAnother(now, facts)
  if (now.isHeard && (host !== facts.host || path !== facts.path)) {
    return refuse(
      now,
      925,
      `is ${path} of host ${host}, which is heard: ids are given once; if the disk has moved, wait until that blobnode is silent for long enough`,
    )
  }
  return { ...done({ ...now, ...facts, isHeard: true, heardAt: at }), isHeardNow: true }
}

/** What lies there now was never this disk: an empty directory, or one where nothing is mounted. */
function isAnother(
  now: DiskRecord,
  { uuid, host, path }: Pick<DiskRecord, 'uuid' | 'host' | 'path'>,
): DiskDecision {
  return refuse(
    now,
    925,
    `is the directory with uuid ${now.uuid} in its disk.json, and ${path} of host ${host} has ${uuid}: mount the disk there and start its blobnode again, or give that directory a new id`,
  )
}

function heartbeat(now: DiskRecord, event: DiskEventOf<'HEARTBEAT'>): DiskDecision {
  const { type: _type, at, broken, ...facts } = event
  if (event.uuid !== now.uuid) return isAnother(now, { ...now, uuid: event.uuid })
  const next: DiskRecord = { ...now, ...facts, isHeard: true, heardAt: at }
  const isBroken = broken !== null && statusOf(now.standing) === 1
  if (isBroken) Object.assign(next, { standing: 'broken', why: clippedWhy(broken) })
  return { ...done(next), isHeardNow: true }
}

function set(now: DiskRecord, wanted: number): DiskDecision {
  const { standing } = now
  const status = statusOf(standing)
  if (standing === 'dropping') {
    return refuse(now, 932, 'is being dropped: its status changes by that alone')
  }
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 4) {
    return refuse(now, 912, `cannot be set to ${wanted}: 1 to 4; dropped it is by being dropped`)
  }
  if (wanted === status) return done(now)
  if (wanted < status) return refuse(now, 913, `is ${standing}: there is no way back to ${wanted}`)
  if (wanted > status + 1) {
    return refuse(
      now,
      912,
      `is ${standing} (${status}): the next status is ${status + 1}, not ${wanted}`,
    )
  }
  if (wanted === 2) return done({ ...now, standing: 'broken', why: 'set by an operator' })
  return to(now, wanted === 3 ? 'repairing' : 'repaired')
}

function setReadonly(now: DiskRecord, isWanted: boolean): DiskDecision {
  switch (now.standing) {
    case 'writable':
    case 'readonly':
      return to(now, isWanted ? 'readonly' : 'writable')
    case 'dropping':
      return refuse(now, 932, 'is being dropped: it stays read-only')
    default:
      return refuse(now, 912, `is ${now.standing}: only a normal disk is read-only or not`)
  }
}

function drop(now: DiskRecord): DiskDecision {
  switch (now.standing) {
    case 'readonly':
    case 'dropping':
      return to(now, 'dropping')
    case 'writable':
      return refuse(now, 926, 'is writable: set it read-only before it is dropped')
    default:
      return refuse(now, 926, `is ${now.standing}: only a normal disk can be dropped`)
  }
}

function dropped(now: DiskRecord): DiskDecision {
  if (now.standing === 'dropped') return done(now)
  if (now.standing !== 'dropping') {
    return refuse(now, 912, `is ${now.standing}: only a disk that is being dropped can be dropped`)
  }
  const left = Object.keys(now.units).length
  if (left === 0) return to(now, 'dropped')
  return refuse(now, 930, `still holds ${left} ${left === 1 ? 'unit' : 'units'}`)
}

function reserve(now: DiskRecord, event: DiskEventOf<'RESERVE'>): DiskDecision {
  const { standing, units, freeBytes } = now
  const vuid = event.vuid.toString()
  // Asked again: the answer was lost.
  if (Object.hasOwn(units, vuid)) return done(now)
  if (statusOf(standing) !== 1) return refuse(now, 613, `is ${standing}: it takes no chunks`)
  if (standing !== 'writable') return refuse(now, 615, `is ${standing}: it takes no new chunks`)
  const count = Object.keys(units).length
  const most = unitsAllowed(now)
  if (count >= most) return refuse(now, 632, `holds ${count} units of at most ${most}`)
  if (freeBytes < Math.min(event.bytesMax, FREE_BYTES_MIN)) {
    return refuse(now, 615, `has ${freeBytes} bytes free, too few for a new chunk`)
  }
  const line = { bytesMax: event.bytesMax, at: event.at }
  return done({ ...now, units: { ...units, [vuid]: line } })
}
