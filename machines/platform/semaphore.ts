/**
 * A fair semaphore as a value: who holds how much, who waits, and what each request makes of it.
 *
 * Decides: the order (a higher priority first, then first come first served), that a large request is
 * not starved, and what is refused. Leaves to others: timers, messages and when anything happens
 * (`pool.ts`).
 */

export interface Request {
  holder: string
  units: number
  stage: string | null
  priority: number
  /** 0: until it is released. */
  leaseMs: number
  /** 0: does not wait; null: waits for as long as it takes. */
  waitMs: number | null
}

export interface Waiter extends Request {
  /** The number of the request, in the order in which they came. */
  ticket: number
}

export interface Holder extends Waiter {
  /** The number of the grant: whoever holds the higher one was admitted later. */
  token: number
}

export interface Semaphore {
  slots: number
  /** Most units out per stage; a stage that is not named here has no limit of its own. */
  limits: Record<string, number>
  waitersMax: number
  lastTicket: number
  lastToken: number
  holders: Holder[]
  /** In the order in which they are served. */
  waiters: Waiter[]
}

export type RefusalCode =
  | 'too-large'
  | 'mismatch'
  | 'busy'
  | 'full'
  | 'not-holder'
  | 'not-waiting'
  | 'stale-token'

export interface Refusal {
  refused: RefusalCode
  message: string
}

export interface Admission {
  granted: boolean
  ticket: number
  /** 1 is served next; 0 for who is granted. */
  position: number
  /** Only for who is granted. */
  token?: number
}

export type Answer =
  | Refusal
  | Admission
  | { released: true; token: number }
  | { renewed: true; token: number; leaseMs: number }
  | { cancelled: true; ticket: number }
  | { slots: number; used: number }

/** Why somebody holds or waits no more. */
export type EndReason = 'released' | 'cancelled' | 'lease' | 'wait' | 'resized' | 'evicted'

export interface Ended {
  /** A holder has a token. */
  who: Waiter | Holder
  reason: EndReason
}

/** What a request makes of the semaphore. A refusal leaves it as it was. */
export interface Decision {
  next: Semaphore
  answer: Answer | undefined
  granted: Holder[]
  ended: Ended[]
}

/** Bounds one turn: each of them costs it up to three effects, and an actor's timer. */
export const HOLDERS_MAX = 300
export const WAITERS_MAX = 300

export function usedBy(holders: readonly Holder[], stage?: string): number {
  return holders.reduce(
    (sum, one) => (stage === undefined || one.stage === stage ? sum + one.units : sum),
    0,
  )
}

export function acquire(now: Semaphore, request: Request): Decision {
  const held = now.holders.find(({ holder }) => holder === request.holder)
  const waiting = now.waiters.find(({ holder }) => holder === request.holder)
  const known = held ?? waiting
  if (known !== undefined) {
    if (known.units !== request.units || known.stage !== request.stage) {
      const has = held ? 'holds' : 'waits for'
      const what = `${known.units} units${known.stage === null ? '' : ` of stage ${known.stage}`}`
      return refuse(now, 'mismatch', `${request.holder} ${has} ${what} already`)
    }
    const answer = admissionOf(now, known.ticket)
    // An actor that asks again has forgotten the first answer, as after a resume with retry.
    return { next: now, answer, granted: held ? [held] : [], ended: [] }
  }
  const most = mostOf(now, request.stage)
  if (request.units > most) {
    return refuse(now, 'too-large', `${request.units} units are asked for, of at most ${most}`)
  }
  const waiter: Waiter = { ...request, ticket: now.lastTicket + 1 }
  const decision = serve({
    ...now,
    lastTicket: waiter.ticket,
    waiters: placed(now.waiters, waiter),
  })
  const answer = admissionOf(decision.next, waiter.ticket)
  if (!answer.granted && request.waitMs === 0) {
    return refuse(now, 'busy', 'there is no room now, and the request does not wait')
  }
  if (!answer.granted && decision.next.waiters.length > now.waitersMax) {
    return refuse(now, 'full', `${now.waitersMax} wait already, which is the limit of this pool`)
  }
  return { ...decision, answer }
}

export function release(now: Semaphore, holder: string, token: number | null): Decision {
  const held = holderOf(now, holder, token)
  if ('refused' in held) return refuse(now, held.refused, held.message)
  return { ...without(now, held, 'released'), answer: { released: true, token: held.token } }
}

/** An operator takes back what somebody holds, or the place of who waits. */
export function evict(now: Semaphore, holder: string): Decision {
  const waiting = now.waiters.find((one) => one.holder === holder)
  if (waiting !== undefined) {
    const answer = { cancelled: true, ticket: waiting.ticket } as const
    return { ...without(now, waiting, 'evicted'), answer }
  }
  const held = holderOf(now, holder, null)
  if ('refused' in held) return refuse(now, held.refused, held.message)
  return { ...without(now, held, 'evicted'), answer: { released: true, token: held.token } }
}

/** The lease begins anew, with the time given or the one that it had. */
export function renew(
  now: Semaphore,
  holder: string,
  token: number | null,
  leaseMs: number | null,
): Decision & { renewed?: Holder } {
  const held = holderOf(now, holder, token)
  if ('refused' in held) return refuse(now, held.refused, held.message)
  const renewed: Holder = { ...held, leaseMs: leaseMs ?? held.leaseMs }
  const holders = now.holders.map((one) => (one === held ? renewed : one))
  const answer = { renewed: true, token: held.token, leaseMs: renewed.leaseMs } as const
  return { next: { ...now, holders }, answer, granted: [], ended: [], renewed }
}

/** Withdraws a request that waits. */
export function withdraw(now: Semaphore, holder: string): Decision {
  const waiting = now.waiters.find((one) => one.holder === holder)
  if (waiting === undefined) return refuse(now, 'not-waiting', `${holder} does not wait here`)
  const answer = { cancelled: true, ticket: waiting.ticket } as const
  return { ...without(now, waiting, 'cancelled'), answer }
}

/** Whoever holds more than there is now finishes; who can never be served any more is sent away. */
export function resize(
  now: Semaphore,
  slots: number,
  limits: Readonly<Record<string, number>>,
): Decision {
  const resized: Semaphore = { ...now, slots, limits: { ...limits } }
  const fits = (one: Waiter) => one.units <= mostOf(resized, one.stage)
  const ended = now.waiters
    .filter((one) => !fits(one))
    .map((who): Ended => ({ who, reason: 'resized' }))
  const decision = serve({ ...resized, waiters: now.waiters.filter(fits) })
  const answer = { slots, used: usedBy(decision.next.holders) }
  return { ...decision, ended, answer }
}

export function leaseOver(now: Semaphore, token: number): Decision {
  const held = now.holders.find((one) => one.token === token)
  return held === undefined ? unchanged(now) : without(now, held, 'lease')
}

export function waitOver(now: Semaphore, ticket: number): Decision {
  const waiting = now.waiters.find((one) => one.ticket === ticket)
  return waiting === undefined ? unchanged(now) : without(now, waiting, 'wait')
}

/** Grants what fits, in order. Who waits for a stage lets others pass, but nobody of that stage. */
function serve(now: Semaphore): Decision {
  const holders = [...now.holders]
  const waiters: Waiter[] = []
  const granted: Holder[] = []
  const blockedStages = new Set<string>()
  let { lastToken } = now
  let free = now.slots - usedBy(holders)
  let isBlocked = holders.length >= HOLDERS_MAX
  for (const waiter of now.waiters) {
    const { stage, units } = waiter
    const isStageFull =
      stage !== null &&
      (blockedStages.has(stage) || usedBy(holders, stage) + units > limitOf(now, stage))
    if (isBlocked || isStageFull) {
      if (stage !== null) blockedStages.add(stage)
      waiters.push(waiter)
    } else if (units > free) {
      // Whatever comes behind it waits as well: small ones would starve it.
      isBlocked = true
      waiters.push(waiter)
    } else {
      lastToken += 1
      free -= units
      const holder: Holder = { ...waiter, token: lastToken }
      holders.push(holder)
      granted.push(holder)
      isBlocked = holders.length >= HOLDERS_MAX
    }
  }
  const answer = undefined
  return { next: { ...now, lastToken, holders, waiters }, granted, ended: [], answer }
}

function without(now: Semaphore, who: Waiter | Holder, reason: EndReason): Decision {
  const holders = now.holders.filter((one) => one !== who)
  const waiters = now.waiters.filter((one) => one !== who)
  return { ...serve({ ...now, holders, waiters }), ended: [{ who, reason }] }
}

function placed(waiters: readonly Waiter[], waiter: Waiter): Waiter[] {
  const behind = waiters.findIndex(({ priority }) => priority < waiter.priority)
  const at = behind < 0 ? waiters.length : behind
  return [...waiters.slice(0, at), waiter, ...waiters.slice(at)]
}

/** Most units out that a request of this stage can ever be given. */
function mostOf(now: Semaphore, stage: string | null): number {
  return stage === null ? now.slots : Math.min(now.slots, limitOf(now, stage))
}

/** Without one nothing but the slots counts: who waits for those lets nobody pass. */
function limitOf({ limits }: Semaphore, stage: string): number {
  return (Object.hasOwn(limits, stage) ? limits[stage] : undefined) ?? Number.POSITIVE_INFINITY
}

function holderOf(now: Semaphore, holder: string, token: number | null): Holder | Refusal {
  const held = now.holders.find((one) => one.holder === holder)
  if (held === undefined) {
    return { refused: 'not-holder', message: `${holder} holds nothing here` }
  }
  if (token !== null && token !== held.token) {
    const message = `${holder} holds the token ${held.token}, not ${token}`
    return { refused: 'stale-token', message }
  }
  return held
}

function admissionOf(now: Semaphore, ticket: number): Admission {
  const held = now.holders.find((one) => one.ticket === ticket)
  if (held !== undefined) return { granted: true, ticket, position: 0, token: held.token }
  const position = now.waiters.findIndex((one) => one.ticket === ticket) + 1
  return { granted: false, ticket, position }
}

function refuse(now: Semaphore, refused: RefusalCode, message: string): Decision {
  return { ...unchanged(now), answer: { refused, message } }
}

function unchanged(now: Semaphore): Decision {
  return { next: now, answer: undefined, granted: [], ended: [] }
}
