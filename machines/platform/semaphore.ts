/**
 * A fair semaphore as a value: who holds how much, who waits, and what each request makes of it.
 *
 * Decides: the order (a higher priority first, then first come first served), what is refused, what is
 * answered, and whom other choices concern: those who wait, not those who hold. Leaves to others: who is
 * served next (`serving.ts`), timers, messages and when anything happens (`pool.ts`).
 */
import {
  type Choices,
  type Demand,
  demandOf,
  type EndReason,
  type Holder,
  mostOf,
  namesOf,
  type Semaphore,
  type Served,
  serve,
  usedBy,
  type Waiter,
} from './serving.ts'

export interface Request extends Omit<Waiter, 'demand' | 'ticket'> {
  /** It gets all names of one of them; or the name of a choice of such. */
  wants: string[][] | string
}

type Wanted = Omit<Demand, 'id'>

export type RefusalCode =
  | 'too-large'
  | 'unknown-choice'
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
  names?: string[]
}

export type Answer =
  | Refusal
  | Admission
  | { released: true; token: number }
  | { renewed: true; token: number; leaseMs: number }
  | { cancelled: true; ticket: number }
  | { slots: number; used: number }

/** What a request makes of the semaphore. A refusal leaves it as it was. */
export interface Decision extends Served {
  answer: Answer | undefined
}

export const WAITERS_MAX = 1_000

/** Who has a lease, or a wait that ends, has a timer of the actor, which has 1,000; gaps have the others. */
export const TIMED_MAX = 800

/** Names of holders, their words and what they ask for: with all else they fit in an actor's record. */
export const TEXT_BYTES_MAX = 192 * 1024

export function acquire(now: Semaphore, request: Request): Decision {
  const held = now.holders.find(({ holder }) => holder === request.holder)
  const known = held ?? now.waiters.find(({ holder }) => holder === request.holder)
  if (known !== undefined) return askedAgain(now, known, request)
  const { wants, ...fields } = request
  const wanted = wantedOf(now.choices, wants)
  if (wanted === undefined) return refuse(now, 'unknown-choice', noChoice(now, String(wants)))
  const most = mostOf(now, wanted.options)
  if (request.units > most) {
    return refuse(now, 'too-large', `${request.units} units are asked for, of at most ${most}`)
  }
  const { demands, demand } = demanded(now.demands, wanted)
  const waiter: Waiter = { ...fields, demand, ticket: now.lastTicket + 1 }
  const served = serve({
    ...now,
    lastTicket: waiter.ticket,
    demands,
    waiters: placed(now.waiters, waiter),
  })
  const answer = admissionOf(served.next, waiter.ticket)
  if (!answer.granted && request.waitMs === 0) {
    return refuse(now, 'busy', 'there is no room now, and the request does not wait')
  }
  if (!answer.granted && served.next.waiters.length > now.waitersMax) {
    return refuse(now, 'full', `${now.waitersMax} wait already, which is the limit of this pool`)
  }
  return bounded(now, { ...served, answer })
}

/**
 * Gives back what it holds by that token, if it still does, and asks. It is given back also where the request is
 * refused; and who waits already is served before the request, as in any case.
 */
export function acquireInstead(now: Semaphore, request: Request, token: number | null): Decision {
  const held = now.holders.find((one) => one.holder === request.holder && one.token === token)
  if (held === undefined) return acquire(now, request)
  const freed = { ...now, holders: now.holders.filter((one) => one !== held) }
  const decision = acquire(freed, request)
  const { answer } = decision
  const isRefused = answer !== undefined && 'refused' in answer
  const served = isRefused ? { ...serve(freed), answer } : decision
  return { ...served, ended: [{ who: held, reason: 'released' }, ...served.ended] }
}

/** An actor that asks again has forgotten the first answer, as after a resume with retry. */
function askedAgain(now: Semaphore, known: Waiter | Holder, request: Request): Decision {
  const { holder, ref } = request
  const demand = demandOf(now, known)
  if (known.units !== request.units || !isFor(demand, request.wants)) {
    const has = 'token' in known ? 'holds' : 'waits for'
    const names = demand.choice ?? textOf(demand.options)
    const what = `${known.units} units${names === '' ? '' : ` of ${names}`}`
    return refuse(now, 'mismatch', `${holder} ${has} ${what} already`)
  }
  const answer = admissionOf(now, known.ticket)
  const isSame = ref === null || ref === known.ref
  const next = isSame ? now : withRef(now, known, ref)
  const held = next.holders.find((one) => one.ticket === known.ticket)
  return bounded(now, { ...unchanged(next), answer, granted: held ? [held] : [] })
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
  return bounded(now, { ...unchanged({ ...now, holders }), answer, renewed })
}

/** Withdraws a request that waits. */
export function withdraw(now: Semaphore, holder: string): Decision {
  const waiting = now.waiters.find((one) => one.holder === holder)
  if (waiting === undefined) return refuse(now, 'not-waiting', `${holder} does not wait here`)
  const answer = { cancelled: true, ticket: waiting.ticket } as const
  return { ...without(now, waiting, 'cancelled'), answer }
}

/**
 * Whoever holds more than there is now finishes; who can never be served any more is sent away. A name
 * that has no gap any more is open at once; another gap counts from the next grant on.
 */
export function resize(
  now: Semaphore,
  size: Pick<Semaphore, 'slots' | 'limits' | 'gaps' | 'choices'>,
): Decision & { opened?: string[] } {
  const opened = now.gapped.filter((name) => !Object.hasOwn(size.gaps, name))
  const gapped = now.gapped.filter((name) => !opened.includes(name))
  const served = serve({ ...rechosen(now, size.choices), ...size, gapped })
  const answer = { slots: size.slots, used: usedBy(served.next.holders) }
  return bounded(now, { ...served, answer, opened })
}

/**
 * Who waits by the name of a choice waits for what it means now: for nothing at all where it is gone. Who
 * holds keeps what was given.
 */
function rechosen(now: Semaphore, choices: Choices): Semaphore {
  const changed = new Map(
    now.demands.filter((one) => isChanged(one, choices)).map((one) => [one.id, one]),
  )
  if (changed.size === 0) return now
  let { demands } = now
  const moves = new Map<string, number>()
  const moved = (key: string, wanted: Wanted): number => {
    const known = moves.get(key)
    if (known !== undefined) return known
    const next = demanded(demands, wanted)
    demands = next.demands
    moves.set(key, next.demand)
    return next.demand
  }
  const waiters = now.waiters.map((one) => {
    const choice = changed.get(one.demand)?.choice
    if (choice == null) return one
    const options = wantedOf(choices, choice)?.options ?? []
    return { ...one, demand: moved(choice, { choice, options }) }
  })
  const holders = now.holders.map((one) => {
    const { choice, options } = changed.get(one.demand) ?? {}
    if (choice == null) return one
    const names = options?.[one.option] ?? []
    const demand = moved(`${one.demand}/${one.option}`, { choice, options: [names] })
    return { ...one, demand, option: 0 }
  })
  return { ...now, demands, holders, waiters }
}

function isChanged({ choice, options }: Demand, choices: Choices): boolean {
  if (choice === null) return false
  const known = wantedOf(choices, choice)
  return known === undefined || textOf(known.options) !== textOf(options)
}

export function gapOver(now: Semaphore, name: string): Decision {
  return again({ ...now, gapped: now.gapped.filter((one) => one !== name) })
}

/** What was too much for one turn. */
export function again(now: Semaphore): Decision {
  return { ...serve(now), answer: undefined }
}

export function leaseOver(now: Semaphore, token: number): Decision {
  const held = now.holders.find((one) => one.token === token)
  return held === undefined ? unchanged(now) : without(now, held, 'lease')
}

export function waitOver(now: Semaphore, ticket: number): Decision {
  const waiting = now.waiters.find((one) => one.ticket === ticket)
  return waiting === undefined ? unchanged(now) : without(now, waiting, 'wait')
}

function without(
  now: Semaphore,
  who: Waiter | Holder,
  reason: EndReason,
): Served & { answer: undefined } {
  const holders = now.holders.filter((one) => one !== who)
  const waiters = now.waiters.filter((one) => one !== who)
  const served = serve({ ...now, holders, waiters })
  return { ...served, ended: [{ who, reason }, ...served.ended], answer: undefined }
}

function placed(waiters: readonly Waiter[], waiter: Waiter): Waiter[] {
  const behind = waiters.findIndex(({ priority }) => priority < waiter.priority)
  const at = behind < 0 ? waiters.length : behind
  return [...waiters.slice(0, at), waiter, ...waiters.slice(at)]
}

/** Undefined for a choice that there is not. */
function wantedOf(choices: Choices, wants: Request['wants']): Wanted | undefined {
  if (typeof wants !== 'string') return { choice: null, options: wants }
  // A name may be that of something every object has.
  const options = Object.hasOwn(choices, wants) ? choices[wants] : undefined
  return options && { choice: wants, options }
}

function isFor({ choice, options }: Demand, wants: Request['wants']): boolean {
  if (typeof wants === 'string') return choice === wants
  return choice === null && textOf(options) === textOf(wants)
}

function noChoice({ choices }: Semaphore, name: string): string {
  const known = Object.keys(choices).join(', ')
  return `there is no choice "${name}" here; there is ${known === '' ? 'none' : known}`
}

/** Those who ask for the same share a demand. */
function demanded(
  demands: readonly Demand[],
  { choice, options }: Wanted,
): { demands: Demand[]; demand: number } {
  const text = textOf(options)
  const known = demands.find((one) => one.choice === choice && textOf(one.options) === text)
  if (known) return { demands: [...demands], demand: known.id }
  const id = demands.reduce((last, one) => Math.max(last, one.id), 0) + 1
  return { demands: [...demands, { id, choice, options }], demand: id }
}

/** No name holds a blank or a `+`. */
export function textOf(options: readonly (readonly string[])[]): string {
  return options.map((names) => names.join('+')).join(' or ')
}

function withRef(now: Semaphore, { ticket }: Waiter, ref: string): Semaphore {
  const named = <T extends Waiter>(one: T): T => (one.ticket === ticket ? { ...one, ref } : one)
  return { ...now, holders: now.holders.map(named), waiters: now.waiters.map(named) }
}

/** What is more than an actor can keep is refused. */
function bounded<T extends Decision>(now: Semaphore, decision: T): T | Decision {
  const { holders, waiters } = decision.next
  const timed = holders.filter(hasLease).length + waiters.filter(isTimed).length
  if (timed > TIMED_MAX) {
    const why = `${TIMED_MAX} have a lease or a wait that ends already, more cannot be timed`
    return refuse(now, 'full', why)
  }
  if (textBytesOf(decision.next) <= TEXT_BYTES_MAX) return decision
  const why = `names, refs and options of all who hold or wait would be more than ${TEXT_BYTES_MAX} bytes`
  return refuse(now, 'full', why)
}

function textBytesOf({ holders, waiters, demands, choices }: Semaphore): number {
  let bytes = 0
  for (const { holder, ref } of holders) bytes += textBytes(holder) + textBytes(ref)
  for (const { holder, ref } of waiters) bytes += textBytes(holder) + textBytes(ref)
  for (const { options } of demands) bytes += textBytes(textOf(options))
  for (const options of Object.values(choices)) bytes += textBytes(textOf(options))
  return bytes
}

function textBytes(text: string | null): number {
  return text === null ? 0 : Buffer.byteLength(text)
}

function hasLease({ leaseMs }: Waiter): boolean {
  return leaseMs > 0
}

function isTimed({ leaseMs, waitMs }: Waiter): boolean {
  return leaseMs > 0 || waitMs !== null
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
  if (held !== undefined) {
    return { granted: true, ticket, position: 0, token: held.token, names: namesOf(now, held) }
  }
  const position = now.waiters.findIndex((one) => one.ticket === ticket) + 1
  return { granted: false, ticket, position }
}

function refuse(now: Semaphore, refused: RefusalCode, message: string): Decision {
  return { ...unchanged(now), answer: { refused, message } }
}

function unchanged(now: Semaphore): Decision {
  return { next: now, answer: undefined, granted: [], ended: [], gapsBegun: [], isMore: false }
}
