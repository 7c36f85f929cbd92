/**
 * The machine `pool`: a durable fair semaphore.
 *
 * Decides: its events and schemas, what is told to whom, and that leases and waits are timers of the
 * actor, so that they go on over a crash. Leaves to others: who is served next (`semaphore.ts`).
 */
import { cancel, setup } from 'xstate'
import { z } from 'zod'
import {
  addressOf,
  defineMachine,
  type EventObject,
  parseAddress,
  reply,
  TroupeError,
  tell,
} from '../../src/index.ts'
import {
  type Answer,
  acquire,
  type Decision,
  type Ended,
  evict,
  type Holder,
  leaseOver,
  release,
  renew,
  resize,
  type Semaphore,
  usedBy,
  WAITERS_MAX,
  waitOver,
  withdraw,
} from './semaphore.ts'

const SLOTS_MAX = 1_000_000
const HOLDER_BYTES_MAX = 256
const STAGES_MAX = 100
const MS_MAX = 30 * 86_400_000

const holderName = z
  .string()
  .min(1)
  .refine(isHolder, `an address or a name without "/", at most ${HOLDER_BYTES_MAX} bytes`)
const stageName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/)
const slots = z.int().min(1).max(SLOTS_MAX)
const limits = z
  .record(stageName, slots)
  .refine((all) => Object.keys(all).length <= STAGES_MAX, `at most ${STAGES_MAX} stages`)
const token = z.int().min(1).optional()

export const poolInput = z.object({
  slots,
  limits: limits.optional(),
  waitersMax: z.int().min(0).max(WAITERS_MAX).optional(),
})

const waiter = z.object({
  holder: z.string(),
  units: slots,
  stage: z.string().nullable(),
  priority: z.int(),
  leaseMs: z.int().min(0),
  waitMs: z.int().min(0).nullable(),
  ticket: z.int().min(1),
})

const poolContext = z.object({
  slots,
  limits,
  waitersMax: z.int().min(0).max(WAITERS_MAX),
  lastTicket: z.int().min(0),
  lastToken: z.int().min(0),
  holders: z.array(waiter.extend({ token: z.int().min(1) })),
  waiters: z.array(waiter),
})

const events = {
  ACQUIRE: z.object({
    holder: holderName,
    units: slots.optional(),
    stage: stageName.optional(),
    priority: z.int().min(-1_000).max(1_000).optional(),
    leaseMs: z.int().min(0).max(MS_MAX).optional(),
    waitMs: z.int().min(0).max(MS_MAX).optional(),
  }),
  RELEASE: z.object({ holder: holderName, token }),
  RENEW: z.object({ holder: holderName, token, leaseMs: z.int().min(0).max(MS_MAX).optional() }),
  CANCEL: z.object({ holder: holderName }),
  EVICT: z.object({ holder: holderName }),
  RESIZE: z.object({ slots: slots.optional(), limits: limits.optional() }),
}

type Payload<TType extends keyof typeof events> = z.infer<(typeof events)[TType]>

interface Message {
  to: string
  event: EventObject
}

type PoolEvent =
  | ({ type: 'ACQUIRE' } & Payload<'ACQUIRE'>)
  | ({ type: 'RELEASE' } & Payload<'RELEASE'>)
  | ({ type: 'RENEW' } & Payload<'RENEW'>)
  | ({ type: 'CANCEL' } & Payload<'CANCEL'>)
  | ({ type: 'EVICT' } & Payload<'EVICT'>)
  | ({ type: 'RESIZE' } & Payload<'RESIZE'>)
  | { type: 'LEASE_OVER'; token: number }
  | { type: 'WAIT_OVER'; ticket: number }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string; token?: unknown } }

const chart = setup({
  types: {
    context: {} as Semaphore,
    events: {} as PoolEvent,
    input: {} as z.infer<typeof poolInput>,
  },
  actions: {
    answer: reply((_, { answer }: { answer: Answer }) => answer),
    tell: tell((_, { targets }: { targets: Message[] }) => targets),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue, self }) => {
  const decision = decide(context, event)
  enqueue.assign(decision.next)
  for (const { who } of decision.ended) enqueue(cancel('token' in who ? leaseId(who) : waitId(who)))
  // Who is told again what it has goes on with the lease that it has.
  const fresh = decision.granted.filter((one) => one.token > context.lastToken)
  for (const holder of fresh) if (holder.waitMs !== null) enqueue(cancel(waitId(holder)))
  const { renewed } = decision
  if (renewed?.leaseMs === 0) enqueue(cancel(leaseId(renewed)))
  for (const holder of renewed ? [renewed] : fresh) {
    if (holder.leaseMs === 0) continue
    const over = { type: 'LEASE_OVER', token: holder.token } as const
    enqueue.raise(over, { id: leaseId(holder), delay: holder.leaseMs })
  }
  const newest = decision.next.waiters.find(({ ticket }) => ticket > context.lastTicket)
  if (newest !== undefined && newest.waitMs !== null) {
    const over = { type: 'WAIT_OVER', ticket: newest.ticket } as const
    enqueue.raise(over, { id: waitId(newest), delay: newest.waitMs })
  }
  const targets = messagesOf(addressOf(self), event, decision)
  if (targets.length > 0) enqueue({ type: 'tell', params: { targets } })
  if (decision.answer) enqueue({ type: 'answer', params: { answer: decision.answer } })
})

const machine = chart.createMachine({
  id: 'pool',
  context: ({ input }) => ({
    slots: input.slots,
    limits: input.limits ?? {},
    waitersMax: input.waitersMax ?? WAITERS_MAX,
    lastTicket: 0,
    lastToken: 0,
    holders: [],
    waiters: [],
  }),
  initial: 'open',
  states: {
    open: {
      on: {
        ACQUIRE: { actions: act },
        RELEASE: { actions: act },
        RENEW: { actions: act },
        CANCEL: { actions: act },
        EVICT: { actions: act },
        RESIZE: { actions: act },
        LEASE_OVER: { actions: act },
        WAIT_OVER: { actions: act },
        'troupe.deadLetter': { actions: act },
      },
    },
  },
})

export const pool = defineMachine({
  machine,
  input: poolInput,
  context: poolContext,
  internal: ['LEASE_OVER', 'WAIT_OVER'],
  events,
  index: ({ slots: all, holders, waiters }) => ({
    slots: all,
    used: usedBy(holders),
    holders: holders.length,
    waiters: waiters.length,
  }),
  retention: { historyCount: 20 },
})

function decide(now: Semaphore, event: PoolEvent): Decision & { renewed?: Holder } {
  switch (event.type) {
    case 'ACQUIRE':
      return acquire(now, {
        holder: event.holder,
        units: event.units ?? 1,
        stage: event.stage ?? null,
        priority: event.priority ?? 0,
        leaseMs: event.leaseMs ?? 0,
        waitMs: event.waitMs ?? null,
      })
    case 'RELEASE':
      return release(now, event.holder, event.token ?? null)
    case 'RENEW':
      return renew(now, event.holder, event.token ?? null, event.leaseMs ?? null)
    case 'CANCEL':
      return withdraw(now, event.holder)
    case 'EVICT':
      return evict(now, event.holder)
    case 'RESIZE':
      return resize(now, event.slots ?? now.slots, event.limits ?? now.limits)
    case 'LEASE_OVER':
      return leaseOver(now, event.token)
    case 'WAIT_OVER':
      return waitOver(now, event.ticket)
    case 'troupe.deadLetter':
      return undelivered(now, event)
  }
}

/** Whoever cannot be told that it holds something would never release it. */
function undelivered(
  now: Semaphore,
  { event }: Extract<PoolEvent, { type: 'troupe.deadLetter' }>,
): Decision {
  const isGrant = event.type === 'GRANTED' && typeof event.token === 'number'
  return leaseOver(now, isGrant ? (event.token as number) : 0)
}

function messagesOf(address: string, event: PoolEvent, decision: Decision): Message[] {
  const isLost = event.type === 'troupe.deadLetter'
  const messages: Message[] = [
    ...decision.granted.map(({ holder, ticket, token: granted }) => ({
      to: holder,
      event: { type: 'GRANTED', pool: address, ticket, token: granted },
    })),
    ...decision.ended
      .filter(({ reason }) => reason !== 'released' && reason !== 'cancelled' && !isLost)
      .map((one) => ({ to: one.who.holder, event: expiryOf(address, one) })),
  ]
  const { answer } = decision
  if (event.type === 'ACQUIRE' && answer !== undefined && 'refused' in answer) {
    const { refused: code, message } = answer
    messages.push({ to: event.holder, event: refusalOf(address, code, message) })
  }
  return messages.filter(({ to }) => isActor(to))
}

function expiryOf(address: string, { who, reason }: Ended): EventObject {
  const held = 'token' in who ? { token: who.token } : {}
  return { type: 'EXPIRED', pool: address, ticket: who.ticket, reason, ...held }
}

function refusalOf(address: string, code: string, message: string): EventObject {
  return { type: 'REFUSED', pool: address, code, message }
}

/** Of the timer. */
export function leaseId({ token: granted }: Holder): string {
  return `lease-${granted}`
}

function waitId({ ticket }: { ticket: number }): string {
  return `wait-${ticket}`
}

function isActor(holder: string): boolean {
  return holder.includes('/')
}

function isHolder(holder: string): boolean {
  if (Buffer.byteLength(holder) > HOLDER_BYTES_MAX || /\p{Cc}/u.test(holder)) return false
  if (!isActor(holder)) return true
  try {
    parseAddress(holder)
    return true
  } catch (thrown) {
    if (thrown instanceof TroupeError) return false
    throw thrown
  }
}
