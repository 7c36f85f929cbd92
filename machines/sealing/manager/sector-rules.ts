/**
 * What happens to a sector's record. Decides: what each event changes and answers, which repeat is the
 * same again and which contradicts it, when deals and room are given back. Leaves to others: the machine
 * around it (`sector.ts`), what the chain and the files say. Pure.
 */
import { type EventObject, formatAddress } from '../../../src/index.ts'
import { sectorName } from '../venus/index.ts'
import type { SectorAnswer, SectorEvent } from './sector-events.ts'
import {
  isAtWork,
  isUpgradable,
  type Persisted,
  REPORTS_MAX,
  type Report,
  type SectorRecord,
  UNSEALS_MAX,
} from './sector-record.ts'

export interface Message {
  to: string
  event: EventObject
}

export interface Decision {
  next: SectorRecord
  messages: Message[]
  answer: SectorAnswer
}

type Of<TType extends SectorEvent['type']> = Extract<SectorEvent, { type: TType }>

export const STORES_ADDRESS = formatAddress('sealing-stores', 'main')

export function dealsAddress(miner: number): string {
  return formatAddress('sealing-deals', String(miner))
}

export function decide(now: SectorRecord, event: SectorEvent): Decision {
  switch (event.type) {
    case 'DEALS':
      return deals(now, event)
    case 'RESERVED':
      return reserved(now, event)
    case 'TICKET':
      return done({ ...now, ticket: event.ticket })
    case 'SEED':
      return done({ ...now, seed: event.seed })
    case 'PRE_COMMIT':
      return preCommit(now, event)
    case 'PROOF':
      return proof(now, event)
    case 'SNAP_PROOF':
      return snapProof(now, event)
    case 'PERSISTED':
      // What an upgrade has stored counts once it is done: until then the sector is the old one.
      return done(now.standing === 'upgrading' ? now : { ...now, persisted: event.persisted })
    case 'REPORT':
      return reported(now, event)
    case 'HEARD':
      return done({ ...now, heardAt: event.at })
    case 'FINALIZED':
      return finalized(now)
    case 'ABORTED':
      return aborted(now, event)
    case 'ABORT':
      return abort(now, event)
    case 'FINALIZE':
      return finalizeByHand(now, event)
    case 'UPGRADE':
      return upgrade(now, event)
    case 'UPGRADE_OFF':
      return upgradeOff(now, event)
    case 'REBUILD':
      return rebuild(now, event)
    case 'REBUILD_TAKE':
      return rebuildTake(now, event)
    case 'UNSEAL':
      return unseal(now, event)
    case 'UNSEAL_TAKE':
      return unsealTake(now, event)
    case 'UNSEALED':
      return unsealed(now, event)
  }
}

function done(next: SectorRecord, messages: Message[] = []): Decision {
  return { next, messages, answer: { done: true } }
}

function refused(
  now: SectorRecord,
  message: string,
  code: 'conflict' | 'limit-exceeded' = 'conflict',
): Decision {
  return {
    next: now,
    messages: [],
    answer: { refused: code, message: `${nameOf(now)} ${message}` },
  }
}

function nameOf({ sector }: SectorRecord): string {
  return sectorName(sector.ID)
}

/** They are given back where nobody would use them: it was aborted while it asked. */
function deals(now: SectorRecord, { pieces }: Of<'DEALS'>): Decision {
  if (now.standing === 'online') return done({ ...now, deals: pieces })
  const { upgrade: current } = now
  if (current) return done({ ...now, upgrade: { ...current, deals: pieces } })
  return done(now, [tellDeals(now, 'RELEASE')])
}

function reserved(now: SectorRecord, { store, sizeBytes }: Of<'RESERVED'>): Decision {
  // It is told of its room behind the one who asked for it: that may have been the last that it needed.
  const isWanted = now.standing !== 'aborted' && (now.standing !== 'finalized' || now.rebuild?.task)
  if (!isWanted) return done(now, [tellStores(now, null)])
  return done({ ...now, reservation: { store, sizeBytes } })
}

function preCommit(now: SectorRecord, event: Of<'PRE_COMMIT'>): Decision {
  const { type: _type, reset, ...given } = event
  // A repeat would bring a sector to the chain that nobody seals any more.
  if (now.standing === 'aborted') return closed(now)
  const known = now.preCommit
  const isSame =
    known?.commR === given.commR &&
    known.commD === given.commD &&
    known.ticket.Ticket === given.ticket.Ticket &&
    known.ticket.Epoch === given.ticket.Epoch
  if (isSame) return result(now, 'Accepted', reset ? 'again' : '')
  if (now.standing !== 'online') return closed(now)
  if (known && !reset) {
    const desc = 'another precommit of this sector is stored: replace it by a reset'
    return result(now, 'Mismatched', desc)
  }
  // What followed from the earlier one counts no more.
  return result({ ...now, preCommit: given, seed: null, proof: null }, 'Accepted', '')
}

function proof(now: SectorRecord, { proof: given, reset }: Of<'PROOF'>): Decision {
  const known = now.proof
  if (now.standing === 'aborted') return closed(now)
  if (known?.sha256 === given.sha256) return result(now, 'Accepted', reset ? 'again' : '')
  if (now.standing !== 'online') return closed(now)
  if (known && !reset) {
    return result(
      now,
      'Mismatched',
      'another proof of this sector is stored: replace it by a reset',
    )
  }
  return result({ ...now, proof: given }, 'Accepted', '')
}

function snapProof(now: SectorRecord, event: Of<'SNAP_PROOF'>): Decision {
  const { type: _type, ...given } = event
  const { upgrade: current, upgraded } = now
  const known = current?.proof ?? upgraded
  if (known?.commR === given.commR && known.commD === given.commD) {
    return result(now, 'Accepted', '')
  }
  if (!current) return closed(now)
  if (current.proof) return result(now, 'Mismatched', 'another upgrade of this sector is stored')
  return result({ ...now, upgrade: { ...current, proof: given } }, 'Accepted', '')
}

function result(next: SectorRecord, name: 'Accepted' | 'Mismatched' | 'Rejected', desc: string) {
  return { next, messages: [], answer: { result: name, desc } } satisfies Decision
}

function closed(now: SectorRecord): Decision {
  const { end, standing } = now
  const why = end === null ? standing : `${standing}: ${end.reason}`
  return result(now, standing === 'aborted' ? 'Rejected' : 'Mismatched', `the sector is ${why}`)
}

function reported(now: SectorRecord, event: Of<'REPORT'>): Decision {
  const next = withReport(now, event.report)
  return { next, messages: [], answer: { report: reportOf(next) } }
}

/** What a worker is told when it says how far it is. */
export function reportOf({ standing, stop, end }: SectorRecord): {
  finalized: boolean
  abortReason: string | null
} {
  const reason = stop?.reason ?? (standing === 'aborted' ? (end?.reason ?? '') : null)
  return { finalized: reason !== null, abortReason: reason }
}

function withReport(now: SectorRecord, report: Report): SectorRecord {
  const reports = [...now.reports, report].slice(-REPORTS_MAX)
  return { ...now, reports, heardAt: report.at }
}

function finalized(now: SectorRecord): Decision {
  if (now.standing === 'aborted') return refused(now, `is aborted: ${now.end?.reason ?? ''}`)
  if (now.standing === 'upgrading') return upgradeDone(now)
  if (now.standing === 'finalized') {
    if (!now.rebuild?.task) return done(now)
    const messages = now.reservation ? [tellStores(now, null)] : []
    return done({ ...now, rebuild: null, reservation: null, stop: null }, messages)
  }
  if (!now.proof) {
    const why = `has no proof yet; to take it as it is: troupe sealing sectors finalize ${nameOf(now)}`
    return refused(now, why)
  }
  return settled({ ...now, stop: null })
}

/** From online to finalized. */
function settled(now: SectorRecord): Decision {
  const messages = now.reservation || now.persisted ? [tellStores(now, now.persisted)] : []
  if (now.deals.length > 0) messages.push(tellDeals(now, 'SEALED'))
  return done({ ...now, standing: 'finalized', reservation: null }, messages)
}

function upgradeDone(now: SectorRecord): Decision {
  const { upgrade: current } = now
  if (!current?.proof) return refused(now, 'has no proof of its upgrade yet')
  const { commR, commD, sha256: proofSha256, persisted } = current.proof
  const upgraded = { at: current.at, commR, commD, deals: current.deals, proofSha256 }
  const next = { ...now, upgraded, persisted, upgrade: null, reservation: null, stop: null }
  const messages = [tellStores(now, persisted), tellDeals(now, 'SEALED')]
  return done({ ...next, standing: 'finalized' }, messages)
}

function aborted(now: SectorRecord, { at, reason }: Of<'ABORTED'>): Decision {
  const messages = now.reservation ? [tellStores(now, null)] : []
  switch (now.standing) {
    case 'aborted':
      return done(now)
    case 'finalized': {
      // What is given up is what somebody was about to do with it.
      const isRebuilt = now.rebuild?.task != null
      const unseals = now.unseals.filter(({ task }) => task === null)
      const next = { ...now, rebuild: isRebuilt ? null : now.rebuild, unseals }
      return done({ ...next, reservation: null }, isRebuilt ? messages : [])
    }
    case 'upgrading':
      messages.push(tellDeals(now, 'RELEASE'))
      return done({ ...now, standing: 'finalized', upgrade: null, reservation: null }, messages)
    case 'online': {
      // Those that are on their way to it are given back when they come.
      if (now.deals.length > 0) messages.push(tellDeals(now, 'RELEASE'))
      const end = { at, reason: now.stop?.reason ?? reason }
      return done({ ...now, standing: 'aborted', end, reservation: null }, messages)
    }
  }
}

function abort(now: SectorRecord, { at, by, reason, now: atOnce }: Of<'ABORT'>): Decision {
  if (now.standing === 'aborted') return done(now)
  if (now.standing === 'finalized' && !isAtWork(now)) {
    return refused(now, 'is finalized: there is nothing to abort')
  }
  const next = { ...now, stop: { at, by, reason } }
  return atOnce ? aborted(next, { type: 'ABORTED', at, reason }) : done(next)
}

function finalizeByHand(now: SectorRecord, { at, by, reason }: Of<'FINALIZE'>): Decision {
  if (now.standing === 'finalized') return done(now)
  if (now.standing === 'aborted') return refused(now, `is aborted: ${now.end?.reason ?? ''}`)
  if (now.standing === 'upgrading') return upgradeDone(now)
  return settled({ ...now, stop: { at, by, reason: `finalized by hand: ${reason}` } })
}

function upgrade(now: SectorRecord, { at, task }: Of<'UPGRADE'>): Decision {
  if (now.upgrade?.task === task) return done(now)
  if (!isUpgradable(now)) return refused(now, 'cannot be upgraded now')
  const fresh = { at, task, deals: [], proof: null }
  return done({ ...now, standing: 'upgrading', task, upgrade: fresh, heardAt: at, stop: null })
}

function upgradeOff(now: SectorRecord, { task }: Of<'UPGRADE_OFF'>): Decision {
  const { upgrade: current } = now
  if (current?.task !== task || current.deals.length > 0) return done(now)
  return done({ ...now, standing: 'finalized', upgrade: null })
}

function rebuild(now: SectorRecord, { at, by }: Of<'REBUILD'>): Decision {
  if (now.standing !== 'finalized') return refused(now, 'is not finalized: it cannot be rebuilt')
  if (!now.preCommit) return refused(now, 'has no ticket to be rebuilt with')
  return done(now.rebuild ? now : { ...now, rebuild: { at, by, task: null } })
}

function rebuildTake(now: SectorRecord, { task }: Of<'REBUILD_TAKE'>): Decision {
  const { rebuild: asked } = now
  if (asked?.task === task) return done(now)
  if (!asked || isAtWork(now)) return refused(now, 'is not to be rebuilt now')
  return done({ ...now, rebuild: { ...asked, task }, stop: null })
}

function unseal(now: SectorRecord, { unseal: wish }: Of<'UNSEAL'>): Decision {
  if (now.standing !== 'finalized') return refused(now, 'is not finalized: it cannot be unsealed')
  if (now.upgraded)
    return refused(now, 'was upgraded: workers can only unseal sectors as first sealed')
  if (!now.preCommit || !now.persisted) {
    return refused(now, 'was taken as done by hand: nothing of it is stored that could be unsealed')
  }
  if (now.unseals.some(({ pieceCid, task }) => pieceCid === wish.pieceCid && task !== null)) {
    return refused(now, 'is being unsealed for this piece: ask again when that is done')
  }
  const others = now.unseals.filter(({ pieceCid }) => pieceCid !== wish.pieceCid)
  if (others.length < UNSEALS_MAX) return done({ ...now, unseals: [...others, wish] })
  return refused(now, `has ${UNSEALS_MAX} pieces to be unsealed already`, 'limit-exceeded')
}

/** One at a time: a repeat of the task is found by it. */
function unsealTake(now: SectorRecord, { task }: Of<'UNSEAL_TAKE'>): Decision {
  if (now.unseals.some((wish) => wish.task === task)) return done(now)
  const [first, ...others] = now.unseals
  if (!first || isAtWork(now)) return refused(now, 'is not to be unsealed now')
  return done({ ...now, unseals: [{ ...first, task }, ...others], stop: null })
}

function unsealed(now: SectorRecord, { at, pieceCid, error }: Of<'UNSEALED'>): Decision {
  const unseals = now.unseals.filter((wish) => wish.pieceCid !== pieceCid)
  if (error === '') return done({ ...now, unseals })
  const failure = { level: 'Permanent', desc: error }
  const report = { at, worker: '', location: '', prev: 'Allocated', next: 'Allocated' }
  return done(withReport({ ...now, unseals }, { ...report, event: 'unseal', failure }))
}

function tellDeals({ sector }: SectorRecord, type: 'RELEASE' | 'SEALED'): Message {
  return { to: dealsAddress(sector.ID.Miner), event: { type, sector: sectorName(sector.ID) } }
}

/** Its room is free again; what lies there now counts as stored. */
function tellStores({ sector }: SectorRecord, stored: Persisted | null): Message {
  const what = stored && { store: stored.store, sizeBytes: stored.sizeBytes }
  const event = { type: 'RELEASE', sector: sectorName(sector.ID), stored: what }
  return { to: STORES_ADDRESS, event }
}
