/**
 * The queue of an idc as a value: which tasks are offered, who has a lease of which, and what each call makes
 * of that.
 *
 * Decides: the order (by type, then by priority, then by age); that a lease is its worker's, by a token that
 * nobody has twice, or by the worker's name where it knows none; that a task whose worker is late is anybody's
 * at once. Leaves to others: timers and messages (`worker-queue.ts`), what becomes of a task (moves).
 */
import { parseAddress } from '../../../../src/index.ts'
import { MOVE_TYPES, type MoveType } from '../moves/index.ts'
import { moveTypeOf } from './lane-record.ts'
import {
  digestOf,
  type EndedLease,
  type Offer,
  type QueueCallOf,
  type QueueEvent,
  type QueueRecord,
} from './queue-record.ts'

/** Whoever heard no answer asks again within seconds. */
const ENDED_MAX = 50

export type QueueRefusal = 'not-offered' | 'not-holder' | 'stale-token' | 'unmatched'

export type QueueAnswer =
  | { taskId: string; type: MoveType; token: number; leaseMs: number }
  /** Nothing is to be had now, and why. */
  | { none: string }
  | { errors: Record<string, string> }
  | { ok: true }
  | { refused: QueueRefusal; message: string }

/** What the task is told. */
export type TaskWord =
  | { type: 'LEASED'; worker: string; token: number; until: number }
  | { type: 'LEASE_LOST'; token: number; why: string }
  | {
      type: 'REPORTED'
      token: number
      stat: QueueCallOf<'REPORT'>['stat']
      shards: number
      bytes: number
      at: number
    }
  | { type: 'COMPLETED'; token: number; at: number }
  /** Until then no worker is given it. */
  | { type: 'CANCELLED'; token: number; reason: string; at: number; until: number }
  | { type: 'RECLAIMED'; token: number; reason: string; at: number }

export interface Decision {
  next: QueueRecord
  answer?: QueueAnswer
  word?: { taskId: string; word: TaskWord }
  /** For the lane of this type. */
  moved?: { type: MoveType; shards: number; bytes: number; at: number }
  /** Leases that begin, or begin anew. */
  leased?: readonly { taskId: string; token: number; leaseMs: number }[]
  delayed?: { taskId: string; order: number; delayMs: number }
  /** Tokens and orders whose timers are not needed any more. */
  over?: { tokens?: readonly number[]; orders?: readonly number[] }
  /** Something can be had that could not: whoever waits may ask. */
  isFreed?: boolean
}

export function newQueue(idc: string): QueueRecord {
  return { idc, offers: {}, lastOrder: 0, lastToken: 0, isOn: {}, ended: [] }
}

export function decide(queue: QueueRecord, event: QueueEvent): Decision {
  switch (event.type) {
    case 'OFFER':
      return offered(queue, event)
    case 'WITHDRAW':
      return withdrawn(queue, event.taskId)
    case 'ACQUIRE':
      return acquired(queue, event)
    case 'RENEW':
      return renewed(queue, event)
    case 'REPORT':
      return reported(queue, event)
    case 'GIVE_BACK':
      return givenBack(queue, event)
    case 'COMPLETE':
      return completed(queue, event)
    case 'CANCEL':
      return cancelled(queue, event)
    case 'RECLAIM':
      return reclaimed(queue, event)
    case 'SWITCH':
      return switched(queue, event.name, event.isOn)
    case 'LEASE_OVER':
      return leaseOver(queue, event.taskId, event.token)
    case 'DELAY_OVER':
      return delayOver(queue, event.taskId, event.order)
    case 'troupe.deadLetter':
      return event.event.type === 'LEASED'
        ? withdrawn(queue, parseAddress(event.to).id)
        : { next: queue }
    case 'SUBSCRIBE_AGAIN':
      return { next: queue }
  }
}

export function isFree({ lease, delayedUntil }: Offer): boolean {
  return lease === null && delayedUntil === null
}

function isOpen({ isOn }: QueueRecord, type: MoveType): boolean {
  // What an operator asks for by hand has no switch.
  return type === 'manual_migrate' || isOn[type] === true
}

function offered(queue: QueueRecord, event: QueueCallOf<'OFFER'>): Decision {
  const { taskId, priority, notBefore, at, task } = event
  const type = moveTypeOf(taskId)
  const known = queue.offers[taskId]
  const order = known?.order ?? queue.lastOrder + 1
  const delayMs = notBefore === null ? 0 : Math.max(0, notBefore - at)
  const isLeased = known?.lease != null
  const isDelayed = delayMs > 0 && !isLeased
  const offer: Offer = {
    ...{ type, priority, order, digest: digestOf(task) },
    ...{ delayedUntil: isDelayed ? notBefore : null, lease: known?.lease ?? null },
  }
  return {
    next: {
      ...queue,
      offers: { ...queue.offers, [taskId]: offer },
      lastOrder: Math.max(queue.lastOrder, order),
    },
    over: { orders: known?.delayedUntil != null ? [order] : [] },
    ...(isDelayed ? { delayed: { taskId, order, delayMs } } : {}),
    isFreed: isFree(offer) && isOpen(queue, type),
  }
}

function withdrawn(queue: QueueRecord, taskId: string): Decision {
  const offer = queue.offers[taskId]
  if (offer === undefined) return { next: queue }
  return { next: without(queue, taskId), over: timersOf(offer) }
}

function without(queue: QueueRecord, taskId: string): QueueRecord {
  const { [taskId]: _gone, ...offers } = queue.offers
  return { ...queue, offers }
}

function timersOf({ lease, delayedUntil, order }: Offer): NonNullable<Decision['over']> {
  return {
    tokens: lease === null ? [] : [lease.token],
    orders: delayedUntil === null ? [] : [order],
  }
}

function acquired(queue: QueueRecord, { worker, leaseMs, at }: QueueCallOf<'ACQUIRE'>): Decision {
  const next = firstFree(queue)
  if (next === undefined) return { next: queue, answer: { none: whyNone(queue) } }
  const [taskId, offer] = next
  // Above all that were ever given, also where the queue was deleted and began anew.
  const token = Math.max(queue.lastToken + 1, Math.floor(at))
  const until = at + leaseMs
  const leased: Offer = { ...offer, lease: { worker, token, until, told: null } }
  return {
    next: { ...withOffer(queue, taskId, leased), lastToken: token },
    answer: { taskId, type: offer.type, token, leaseMs },
    word: { taskId, word: { type: 'LEASED', worker, token, until } },
    leased: [{ taskId, token, leaseMs }],
  }
}

function firstFree(queue: QueueRecord): [string, Offer] | undefined {
  let first: [string, Offer] | undefined
  for (const entry of Object.entries(queue.offers)) {
    if (!isFree(entry[1]) || !isOpen(queue, entry[1].type)) continue
    if (first === undefined || isBefore(entry[1], first[1])) first = entry
  }
  return first
}

function isBefore(a: Offer, b: Offer): boolean {
  const byType = MOVE_TYPES.indexOf(a.type) - MOVE_TYPES.indexOf(b.type)
  if (byType !== 0) return byType < 0
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}

function whyNone(queue: QueueRecord): string {
  const paused = Object.values(queue.offers).filter((one) => isFree(one))
  if (paused.length === 0) return 'nothing to do'
  const types = new Set(paused.map(({ type }) => type))
  return `nothing to do: ${[...types].join(', ')} switched off`
}

function withOffer(queue: QueueRecord, taskId: string, offer: Offer): QueueRecord {
  return { ...queue, offers: { ...queue.offers, [taskId]: offer } }
}

interface Who {
  worker: string
  taskId: string
  token: number | null
}

interface Held {
  offer: Offer
  lease: NonNullable<Offer['lease']>
}

/** The lease of who calls, or why it has none. */
function heldBy(
  { offers }: QueueRecord,
  { worker, taskId, token }: Who,
): Held | { refused: QueueRefusal; message: string } {
  const offer = offers[taskId]
  if (offer === undefined) {
    return { refused: 'not-offered', message: `${taskId} is not with workers now` }
  }
  const { lease } = offer
  if (lease === null) {
    const message = `nobody has ${taskId} now: the lease of ${worker} is over`
    return { refused: token === null ? 'not-holder' : 'stale-token', message }
  }
  if (token !== null && token !== lease.token) {
    return {
      refused: 'stale-token',
      message: `${taskId} has the token ${lease.token}, not ${token}`,
    }
  }
  if (worker === lease.worker) return { offer, lease }
  return { refused: 'not-holder', message: `${lease.worker} has ${taskId}, not ${worker}` }
}

/** The same again of who heard no answer to what was done is answered as it was. */
function refusedOrRepeated(
  queue: QueueRecord,
  event: Who & { type: EndedLease['by'] | 'REPORT' | 'GIVE_BACK' },
  held: { refused: QueueRefusal; message: string },
): Decision {
  const isRepeated = queue.ended.some(
    ({ by, taskId, token, worker }) =>
      by === event.type &&
      taskId === event.taskId &&
      worker === event.worker &&
      (event.token === null || token === event.token),
  )
  return { next: queue, answer: isRepeated ? { ok: true } : held }
}

function renewed(queue: QueueRecord, event: QueueCallOf<'RENEW'>): Decision {
  const { worker, tasks, leaseMs, at } = event
  const errors: Record<string, string> = {}
  const leased: { taskId: string; token: number; leaseMs: number }[] = []
  const offers = { ...queue.offers }
  for (const { id: taskId, token } of tasks) {
    const held = heldBy(queue, { worker, taskId, token })
    if ('refused' in held) errors[taskId] = held.message
    else if (!isOpen(queue, held.offer.type)) errors[taskId] = 'task has paused'
    else {
      offers[taskId] = { ...held.offer, lease: { ...held.lease, until: at + leaseMs } }
      leased.push({ taskId, token: held.lease.token, leaseMs })
    }
  }
  return { next: { ...queue, offers }, answer: { errors }, leased }
}

function reported(queue: QueueRecord, event: QueueCallOf<'REPORT'>): Decision {
  const held = heldBy(queue, event)
  if ('refused' in held) return refusedOrRepeated(queue, event, held)
  const { taskId, stat, at } = event
  const { offer, lease } = held
  const { shards, bytes } = increaseOf(event, lease.told)
  // An older one that came late: a later one has said all of it.
  if (shards < 0 || bytes < 0) return { next: queue, answer: { ok: true } }
  const told = { shards: stat.doneCount, bytes: stat.doneSize }
  return {
    next: withOffer(queue, taskId, { ...offer, lease: { ...lease, told } }),
    answer: { ok: true },
    word: { taskId, word: { type: 'REPORTED', token: lease.token, stat, shards, bytes, at } },
    moved: { type: offer.type, shards, bytes, at },
  }
}

/**
 * By how far the worker is in all: what it says to be more goes twice when an answer was lost. Only the first of a
 * lease is taken at its word, since what was there before is part of that.
 */
function increaseOf(
  { stat, shards, bytes }: QueueCallOf<'REPORT'>,
  told: Held['lease']['told'],
): { shards: number; bytes: number } {
  if (told === null) return { shards, bytes }
  return { shards: stat.doneCount - told.shards, bytes: stat.doneSize - told.bytes }
}

function givenBack(queue: QueueRecord, event: QueueCallOf<'GIVE_BACK'>): Decision {
  const held = heldBy(queue, event)
  if ('refused' in held) return refusedOrRepeated(queue, event, held)
  const { taskId, reason, delayMs, at } = event
  const given = lost(queue, taskId, held, reason)
  const answer = { ok: true } as const
  if (delayMs === 0) return { ...given, answer }
  const { order } = held.offer
  const delayed: Offer = { ...held.offer, lease: null, delayedUntil: at + delayMs }
  const next = withOffer(queue, taskId, delayed)
  return { ...given, next, answer, delayed: { taskId, order, delayMs }, isFreed: false }
}

function leaseOver(queue: QueueRecord, taskId: string, token: number): Decision {
  const offer = queue.offers[taskId]
  if (offer?.lease?.token !== token) return { next: queue }
  const { lease } = offer
  return lost(queue, taskId, { offer, lease }, `the worker ${lease.worker} was not heard in time`)
}

function lost(queue: QueueRecord, taskId: string, { offer, lease }: Held, why: string): Decision {
  const { token } = lease
  return {
    next: withOffer(queue, taskId, { ...offer, lease: null }),
    word: { taskId, word: { type: 'LEASE_LOST', token, why } },
    over: { tokens: [token] },
    isFreed: isOpen(queue, offer.type),
  }
}

function completed(queue: QueueRecord, event: QueueCallOf<'COMPLETE'>): Decision {
  const held = heldBy(queue, event)
  if ('refused' in held) return refusedOrRepeated(queue, event, held)
  const { taskId, src, dest, at } = event
  const { offer, lease } = held
  if (digestOf({ sources: src, destination: dest }) !== offer.digest) {
    return { next: queue, answer: { refused: 'unmatched', message: 'unmatched task vuids' } }
  }
  return {
    next: ending(without(queue, taskId), taskId, lease, 'COMPLETE'),
    answer: { ok: true },
    word: { taskId, word: { type: 'COMPLETED', token: lease.token, at } },
    over: timersOf(offer),
  }
}

function reclaimed(queue: QueueRecord, event: QueueCallOf<'RECLAIM'>): Decision {
  const held = heldBy(queue, event)
  if ('refused' in held) return refusedOrRepeated(queue, event, held)
  const { taskId, reason, at } = event
  const { offer, lease } = held
  return {
    next: ending(without(queue, taskId), taskId, lease, 'RECLAIM'),
    answer: { ok: true },
    word: { taskId, word: { type: 'RECLAIMED', token: lease.token, reason, at } },
    over: timersOf(offer),
  }
}

function cancelled(queue: QueueRecord, event: QueueCallOf<'CANCEL'>): Decision {
  const held = heldBy(queue, event)
  if ('refused' in held) return refusedOrRepeated(queue, event, held)
  const { taskId, reason, punishMs, at } = event
  const { offer, lease } = held
  const { order } = offer
  const isDelayed = punishMs > 0
  const until = at + punishMs
  const delayedUntil = isDelayed ? until : null
  const left = withOffer(queue, taskId, { ...offer, lease: null, delayedUntil })
  return {
    next: ending(left, taskId, lease, 'CANCEL'),
    answer: { ok: true },
    word: { taskId, word: { type: 'CANCELLED', token: lease.token, reason, at, until } },
    over: { tokens: [lease.token] },
    ...(isDelayed ? { delayed: { taskId, order, delayMs: punishMs } } : {}),
    isFreed: !isDelayed && isOpen(queue, offer.type),
  }
}

function ending(
  queue: QueueRecord,
  taskId: string,
  { token, worker }: Held['lease'],
  by: EndedLease['by'],
): QueueRecord {
  return { ...queue, ended: [...queue.ended, { taskId, token, worker, by }].slice(-ENDED_MAX) }
}

function delayOver(queue: QueueRecord, taskId: string, order: number): Decision {
  const offer = queue.offers[taskId]
  if (offer?.order !== order || offer.delayedUntil === null) return { next: queue }
  return {
    next: withOffer(queue, taskId, { ...offer, delayedUntil: null }),
    isFreed: isOpen(queue, offer.type),
  }
}

function switched(queue: QueueRecord, name: string, isOn: boolean): Decision {
  const free = Object.values(queue.offers).filter((one) => one.type === name && isFree(one))
  return {
    next: { ...queue, isOn: { ...queue.isOn, [name]: isOn } },
    isFreed: isOn && free.length > 0,
  }
}
