/**
 * What the events of inspections change. Pure. Decides: that each volume has a lease of its own, that what
 * comes to nothing is tried again a few times and then left to the next pass, and when a pass is over: so one
 * that is lost holds nobody up. Leaves to others: timers and messages (`volume-inspect.ts`).
 */
import { addTo, NO_WINDOW } from '../../windows/index.ts'
import {
  type Found,
  type InspectAnswer,
  type InspectEvent,
  type InspectRecord,
  inspectTaskId,
  type Listed,
  type Pass,
  type Pending,
} from './inspect-record.ts'
import { BATCH_COUNT_MAX, inspectConfig } from './settings.ts'

/** For people; each is a line of the actor. */
const SET_ASIDE_MAX = 50
/** Between two passes, however short they are. */
const PASS_PAUSE_MS = 1_000
const OFF = 'volume_inspect is switched off'

export interface Decision {
  next: InspectRecord
  answer?: InspectAnswer
}

export function newInspection(): InspectRecord {
  const { passEveryMs, batchCount, triesMax, retryMs } = inspectConfig.parse({})
  return {
    isOn: false,
    settings: { passEveryMs, batchCount, triesMax, retryMs },
    pass: newPass(1),
    passBefore: null,
    ...{ cursor: null, nextVid: 1, isListed: false, volumes: {}, setAside: [] },
    ...{ finished: NO_WINDOW, timedOut: NO_WINDOW, totals: { finished: 0, timedOut: 0 } },
    waits: { why: OFF, until: null },
    at: 0,
  }
}

export function decide(record: InspectRecord, event: InspectEvent): Decision {
  const now = 'at' in event ? { ...record, at: Math.max(record.at, event.at) } : record
  switch (event.type) {
    case 'SWITCH':
      return { next: switched(now, event.isOn) }
    case 'ACQUIRE':
      return acquired(now, event)
    case 'RENEW':
      return renewed(now, event)
    case 'COMPLETE':
      return completed(now, event)
    case 'GIVE_BACK':
      return givenBack(now, event)
    case 'DISMISS':
      return ofTask(now, event.taskId, (vid) => ({ next: without(now, vid), answer: { ok: true } }))
    case 'INSPECT':
      return asked(now, event.vid)
    case 'BEGIN':
      return begun(now)
    case 'LEASE_OVER':
      return leaseOver(now, event.taskId)
    case 'RETRY_DUE':
      return { next: changed(now, event.vid, { retryAt: null }) }
    default:
      return { next: now }
  }
}

/** Half of a batch is done: more volumes are looked for. */
export function wantsMore({ isListed, volumes, settings }: InspectRecord): boolean {
  return !isListed && Object.keys(volumes).length * 2 <= settings.batchCount
}

export function isPassOver({ isListed, volumes }: InspectRecord): boolean {
  return isListed && Object.keys(volumes).length === 0
}

/** A volume that nobody has and nobody waits for. */
export function freeVid({ volumes }: InspectRecord): string | undefined {
  return Object.keys(volumes).find((vid) => {
    const volume = volumes[vid]
    return volume?.lease === null && volume.retryAt === null
  })
}

export function freeCount({ volumes }: InspectRecord): number {
  return Object.values(volumes).filter(({ lease, retryAt }) => !lease && retryAt === null).length
}

export function listed(record: InspectRecord, page: Listed): InspectRecord {
  const { vids, cursor, at, settings } = page
  const fresh = vids.filter((vid) => record.volumes[vid] === undefined)
  const volumes = { ...record.volumes }
  for (const vid of fresh) volumes[vid] = newPending()
  return {
    ...record,
    ...{ volumes, cursor, settings, isListed: cursor === null, waits: null },
    at: Math.max(record.at, at),
    nextVid: Math.max(record.nextVid, ...vids.map((vid) => vid + 1)),
    pass: { ...record.pass, begunAt: record.pass.begunAt ?? at },
  }
}

/** @param untidy why what is known of volumes that are gone is still there */
export function ended(record: InspectRecord, untidy?: string): InspectRecord {
  const { pass, at } = record
  if (pass.endedAt !== null) return record
  const until = at + restMs(record)
  const but = untidy === undefined ? '' : `, but results of deleted volumes stay (${untidy})`
  const waits = { why: `pass ${pass.number} is done${but}; the next one begins`, until }
  return { ...record, pass: { ...pass, endedAt: at }, waits }
}

/** Until the next pass may begin. */
export function restMs({ pass, settings, at }: InspectRecord): number {
  return Math.max(PASS_PAUSE_MS, (pass.begunAt ?? at) + settings.passEveryMs - at)
}

export function nextPass(record: InspectRecord): InspectRecord {
  return {
    ...record,
    ...{ pass: newPass(record.pass.number + 1), passBefore: record.pass },
    ...{ cursor: null, nextVid: 1, isListed: false, waits: null },
  }
}

function newPass(number: number): Pass {
  const found = { inspected: 0, missed: 0, corrupt: 0, lost: 0, setAside: 0 }
  return { number, begunAt: null, endedAt: null, ...found }
}

function newPending(): Pending {
  return { lease: null, tries: 0, lastError: null, retryAt: null }
}

/** Off: who is at it is told so by its next word, and what it had is free. */
function switched(record: InspectRecord, isOn: boolean): InspectRecord {
  if (isOn === record.isOn) return record
  if (isOn) {
    const now = { ...record, isOn, waits: null }
    return now.pass.endedAt === null ? now : nextPass(now)
  }
  const volumes = Object.fromEntries(
    Object.entries(record.volumes).map(([vid, volume]) => [vid, { ...volume, lease: null }]),
  )
  return { ...record, isOn, volumes, waits: { why: OFF, until: null } }
}

function acquired(
  record: InspectRecord,
  { worker, at, leaseMs, xid }: Extract<InspectEvent, { type: 'ACQUIRE' }>,
): Decision {
  if (!record.isOn) return { next: record, answer: { none: OFF } }
  const vid = freeVid(record)
  if (vid === undefined)
    return { next: record, answer: { none: 'there is nothing to inspect now' } }
  const taskId = inspectTaskId(Number(vid), xid)
  const next = changed(record, vid, { lease: { taskId, worker, until: at + leaseMs } })
  return { next, answer: { vid: Number(vid), taskId, leaseMs } }
}

function renewed(
  record: InspectRecord,
  { taskId, at, leaseMs }: Extract<InspectEvent, { type: 'RENEW' }>,
): Decision {
  return ofTask(record, taskId, (vid, volume) => {
    const lease = volume.lease && { ...volume.lease, until: at + leaseMs }
    return { next: changed(record, vid, { lease }), answer: { ok: true } }
  })
}

function completed(
  record: InspectRecord,
  { taskId, at, error, found }: Extract<InspectEvent, { type: 'COMPLETE' }>,
): Decision {
  return ofTask(record, taskId, (vid) => {
    const counted = {
      ...record,
      finished: addTo(record.finished, at, 1),
      totals: { ...record.totals, finished: record.totals.finished + 1 },
    }
    const next =
      error === null
        ? { ...without(counted, vid), pass: withFound(record.pass, found) }
        : failed(counted, vid, { why: error, at, isLost: false })
    return { next, answer: { ok: true } }
  })
}

/** What is found in a volume that is inspected once more counts once. */
function withFound(pass: Pass, { missed, corrupt, lost }: Found): Pass {
  return {
    ...pass,
    inspected: pass.inspected + 1,
    missed: pass.missed + missed,
    corrupt: pass.corrupt + corrupt,
    lost: pass.lost + lost,
  }
}

/** Where only the worker has gone, the next one has it at once, and that is no try. */
function givenBack(
  record: InspectRecord,
  { taskId, at, why }: Extract<InspectEvent, { type: 'GIVE_BACK' }>,
): Decision {
  return ofTask(record, taskId, (vid) => {
    const next =
      why === null
        ? changed(record, vid, { lease: null })
        : failed(record, vid, { why, at, isLost: false })
    return { next, answer: { ok: true } }
  })
}

function leaseOver(record: InspectRecord, taskId: string): Decision {
  return ofTask(record, taskId, (vid, { lease }) => {
    const { worker, until: at } = lease ?? { worker: 'its worker', until: record.at }
    const counted = {
      ...record,
      at: Math.max(record.at, at),
      timedOut: addTo(record.timedOut, at, 1),
      totals: { ...record.totals, timedOut: record.totals.timedOut + 1 },
    }
    const why = `${worker} did not say within its time what became of it`
    return { next: failed(counted, vid, { why, at, isLost: true }) }
  })
}

/** Who fell silent is replaced at once; what failed would fail again at once. */
function failed(
  record: InspectRecord,
  vid: string,
  { why, at, isLost }: { why: string; at: number; isLost: boolean },
): InspectRecord {
  const { triesMax, retryMs } = record.settings
  const tries = (record.volumes[vid]?.tries ?? 0) + 1
  if (tries < triesMax) {
    const retryAt = isLost ? null : at + retryMs
    return changed(record, vid, { lease: null, tries, lastError: why, retryAt })
  }
  const { pass, setAside } = record
  return {
    ...without(record, vid),
    pass: { ...pass, setAside: pass.setAside + 1 },
    setAside: [...setAside, { vid: Number(vid), at, why }].slice(-SET_ASIDE_MAX),
  }
}

function asked(record: InspectRecord, vid: number): Decision {
  const { volumes } = record
  if (volumes[vid] !== undefined) {
    return { next: changed(record, String(vid), { retryAt: null }), answer: { ok: true } }
  }
  if (Object.keys(volumes).length >= 2 * BATCH_COUNT_MAX) {
    const message = `${Object.keys(volumes).length} volumes wait to be inspected already`
    return { next: record, answer: { refused: 'too_many', message } }
  }
  return { next: { ...record, volumes: { ...volumes, [vid]: newPending() } }, answer: { ok: true } }
}

function begun(record: InspectRecord): Decision {
  if (!record.isOn) {
    return { next: record, answer: { refused: 'switched_off', message: OFF } }
  }
  if (record.pass.endedAt !== null) return { next: nextPass(record), answer: { ok: true } }
  const message = `pass ${record.pass.number} is under way`
  return { next: record, answer: { refused: 'under_way', message } }
}

function ofTask(
  record: InspectRecord,
  taskId: string,
  then: (vid: string, volume: Pending) => Decision,
): Decision {
  for (const [vid, volume] of Object.entries(record.volumes)) {
    if (volume.lease?.taskId === taskId) return then(vid, volume)
  }
  const message = record.isOn ? `${taskId} is over, or somebody else's by now` : OFF
  const refused = record.isOn ? 'unknown_task' : 'switched_off'
  return { next: record, answer: { refused, message } }
}

function changed(record: InspectRecord, vid: string, fields: Partial<Pending>): InspectRecord {
  const volume = record.volumes[vid]
  if (volume === undefined) return record
  return { ...record, volumes: { ...record.volumes, [vid]: { ...volume, ...fields } } }
}

function without(record: InspectRecord, vid: string): InspectRecord {
  const { [vid]: _gone, ...volumes } = record.volumes
  return { ...record, volumes }
}
