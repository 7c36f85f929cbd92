/**
 * The machine `pool`: a durable fair semaphore.
 *
 * Decides: what is told to whom, and that leases and waits are timers of the actor, so that they go on over a
 * crash. Leaves to others: who is served next (`semaphore.ts`), what its events may hold (`pool-schemas.ts`).
 */
import { cancel, setup } from 'xstate'
import type { z } from 'zod'
import { addressOf, defineMachine, type EventObject, reply, tell } from '../../src/index.ts'
import {
  isActor,
  type Payload,
  type PoolEvent,
  poolContext,
  poolEvents,
  poolInput,
} from './pool-schemas.ts'
import { fromStages, withChoices } from './pool-versions.ts'
import {
  type Answer,
  acquireInstead,
  again,
  type Decision,
  evict,
  gapOver,
  leaseOver,
  type Request,
  release,
  renew,
  resize,
  WAITERS_MAX,
  waitOver,
  withdraw,
} from './semaphore.ts'
import { type Ended, type Holder, namesOf, type Semaphore, usedBy } from './serving.ts'

/** Another turn: what the actor was sent meanwhile comes between. */
const SERVE_AGAIN_MS = 1

interface Message {
  to: string
  event: EventObject
}

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
  for (const opened of decision.opened ?? []) enqueue(cancel(gapId(opened)))
  for (const begun of decision.gapsBegun) {
    const over = { type: 'GAP_OVER', name: begun } as const
    enqueue.raise(over, { id: gapId(begun), delay: decision.next.gaps[begun] ?? 0 })
  }
  if (decision.isMore) enqueue.raise({ type: 'SERVE_MORE' }, { id: 'serve', delay: SERVE_AGAIN_MS })
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
    gaps: input.gaps ?? {},
    choices: input.choices ?? {},
    gapped: [],
    waitersMax: input.waitersMax ?? WAITERS_MAX,
    lastTicket: 0,
    lastToken: 0,
    demands: [],
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
        GAP_OVER: { actions: act },
        SERVE_MORE: { actions: act },
        'troupe.deadLetter': { actions: act },
      },
    },
  },
})

export const pool = defineMachine({
  machine,
  version: 3,
  migrations: { 1: fromStages, 2: withChoices },
  input: poolInput,
  context: poolContext,
  internal: ['LEASE_OVER', 'WAIT_OVER', 'GAP_OVER', 'SERVE_MORE'],
  events: poolEvents,
  index: ({ slots: all, holders, waiters }) => ({
    slots: all,
    used: usedBy(holders),
    holders: holders.length,
    waiters: waiters.length,
  }),
  retention: { historyCount: 20 },
})

/** What is done beside what every decision says. */
interface Decided extends Decision {
  renewed?: Holder
  /** Names whose gap is over before its time. */
  opened?: string[]
}

function decide(now: Semaphore, event: PoolEvent): Decided {
  switch (event.type) {
    case 'ACQUIRE':
      return acquireInstead(now, requestOf(event), event.instead ?? null)
    case 'RELEASE':
      return release(now, event.holder, event.token ?? null)
    case 'RENEW':
      return renew(now, event.holder, event.token ?? null, event.leaseMs ?? null)
    case 'CANCEL':
      return withdraw(now, event.holder)
    case 'EVICT':
      return evict(now, event.holder)
    case 'RESIZE':
      return resize(now, {
        slots: event.slots ?? now.slots,
        limits: event.limits ?? now.limits,
        gaps: event.gaps ?? now.gaps,
        choices: event.choices ?? now.choices,
      })
    case 'LEASE_OVER':
      return leaseOver(now, event.token)
    case 'WAIT_OVER':
      return waitOver(now, event.ticket)
    case 'GAP_OVER':
      return gapOver(now, event.name)
    case 'SERVE_MORE':
      return again(now)
    case 'troupe.deadLetter':
      return undelivered(now, event)
  }
}

function requestOf(event: Payload<'ACQUIRE'>): Request {
  return {
    holder: event.holder,
    units: event.units ?? 1,
    wants: event.choice ?? event.anyOf ?? [event.stage === undefined ? [] : [event.stage]],
    priority: event.priority ?? 0,
    leaseMs: event.leaseMs ?? 0,
    waitMs: event.waitMs ?? null,
    ref: event.ref ?? null,
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
    ...decision.granted.map((one) => ({
      to: one.holder,
      event: grantOf(address, one, namesOf(decision.next, one)),
    })),
    ...decision.ended
      .filter(({ reason }) => reason !== 'released' && reason !== 'cancelled' && !isLost)
      .map((one) => ({ to: one.who.holder, event: expiryOf(address, one) })),
  ]
  const { answer } = decision
  if (event.type === 'ACQUIRE' && answer !== undefined && 'refused' in answer) {
    const { refused: code, message } = answer
    messages.push({ to: event.holder, event: refusalOf(address, code, message, event.ref) })
  }
  return messages.filter(({ to }) => isActor(to))
}

function grantOf(
  address: string,
  { ticket, token: granted, ref }: Holder,
  given: string[],
): EventObject {
  return { type: 'GRANTED', pool: address, ticket, token: granted, names: given, ...withRef(ref) }
}

function expiryOf(address: string, { who, reason }: Ended): EventObject {
  const held = 'token' in who ? { token: who.token } : {}
  return {
    type: 'EXPIRED',
    pool: address,
    ticket: who.ticket,
    reason,
    ...held,
    ...withRef(who.ref),
  }
}

function refusalOf(
  address: string,
  code: string,
  message: string,
  ref: string | undefined,
): EventObject {
  return { type: 'REFUSED', pool: address, code, message, ...withRef(ref ?? null) }
}

function withRef(ref: string | null): { ref?: string } {
  return ref === null ? {} : { ref }
}

/** Of the timer. */
export function leaseId({ token: granted }: Holder): string {
  return `lease-${granted}`
}

function waitId({ ticket }: { ticket: number }): string {
  return `wait-${ticket}`
}

function gapId(of: string): string {
  return `gap-${of}`
}
