/**
 * The machine `worker-queue`: what the workers of an idc can be given, and what they were given.
 *
 * Decides: what is told to whom; that leases and delays are timers of the actor, so that they go on over a
 * crash; that a call of a worker is one turn. Leaves to others: what its events change (`queue-rules.ts`), how
 * workers wait (`worker-queues.ts`).
 */
import { cancel, setup } from 'xstate'
import type { z } from 'zod'
import {
  addressOf,
  defineMachine,
  type EventObject,
  type MachineDefinition,
  reply,
  tell,
} from '../../../../src/index.ts'
import { isUnheardSubscription, SWITCH_NAMES, subscriptionTo } from '../../switches/index.ts'
import { moveAddress } from '../moves/index.ts'
import { laneAddress, moveType } from './lane-record.ts'
import {
  type QueueEvent,
  type QueueRecord,
  queueContext,
  queueEvents,
  queueInput,
} from './queue-record.ts'
import { type Decision, decide, isFree, newQueue, type QueueAnswer } from './queue-rules.ts'

const SUBSCRIBE_AGAIN_MS = 1_000
const HISTORY_COUNT = 50
/** What is emitted when something can be had that could not. */
export const FREED = 'FREED'

interface Message {
  to: string
  event: EventObject
}

const SWITCHED = SWITCH_NAMES.filter((name) => moveType.safeParse(name).success)

const chart = setup({
  types: {
    context: {} as QueueRecord,
    events: {} as QueueEvent,
    emitted: {} as { type: typeof FREED },
    input: {} as z.output<typeof queueInput>,
  },
  actions: {
    subscribe: tell(({ self }) => subscriptionTo(SWITCHED, addressOf(self))),
    answer: reply((_, { answer }: { answer: QueueAnswer }) => answer),
    tell: tell((_, { targets }: { targets: Message[] }) => targets),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  if (event.type === 'SUBSCRIBE_AGAIN') return enqueue('subscribe')
  const decision = decide(context, event)
  const { next, answer, leased = [], delayed, over, isFreed } = decision
  if (next !== context) enqueue.assign(next)
  for (const token of over?.tokens ?? []) enqueue(cancel(leaseId(token)))
  for (const order of over?.orders ?? []) enqueue(cancel(delayId(order)))
  for (const { taskId, token, leaseMs } of leased) {
    enqueue(cancel(leaseId(token)))
    enqueue.raise({ type: 'LEASE_OVER', taskId, token }, { id: leaseId(token), delay: leaseMs })
  }
  if (delayed) {
    const { taskId, order, delayMs } = delayed
    enqueue.raise({ type: 'DELAY_OVER', taskId, order }, { id: delayId(order), delay: delayMs })
  }
  const targets = messagesOf(decision)
  if (targets.length > 0) enqueue({ type: 'tell', params: { targets } })
  // The switches may be younger than the queue.
  if (isUnheardSubscription(event)) {
    enqueue.raise({ type: 'SUBSCRIBE_AGAIN' }, { id: 'subscribe', delay: SUBSCRIBE_AGAIN_MS })
  }
  if (isFreed) enqueue.emit({ type: FREED })
  if (answer) enqueue({ type: 'answer', params: { answer } })
})

const machine = chart.createMachine({
  id: 'worker-queue',
  context: ({ input }) => newQueue(input.idc),
  entry: 'subscribe',
  initial: 'open',
  states: {
    open: {
      on: {
        OFFER: { actions: act },
        WITHDRAW: { actions: act },
        ACQUIRE: { actions: act },
        GIVE_BACK: { actions: act },
        RENEW: { actions: act },
        REPORT: { actions: act },
        COMPLETE: { actions: act },
        CANCEL: { actions: act },
        RECLAIM: { actions: act },
        SWITCH: { actions: act },
        LEASE_OVER: { actions: act },
        DELAY_OVER: { actions: act },
        SUBSCRIBE_AGAIN: { actions: act },
        'troupe.deadLetter': { actions: act },
      },
    },
  },
})

export const workerQueue: MachineDefinition = defineMachine({
  machine,
  input: queueInput,
  context: queueContext,
  internal: ['LEASE_OVER', 'DELAY_OVER', 'SUBSCRIBE_AGAIN'],
  events: queueEvents,
  index: ({ idc, offers }) => {
    const all = Object.values(offers)
    return {
      idc,
      offers: all.length,
      leased: all.filter(({ lease }) => lease !== null).length,
      free: all.filter(isFree).length,
    }
  },
  retention: { historyCount: HISTORY_COUNT },
})

function messagesOf({ word, moved }: Decision): Message[] {
  const messages: Message[] = []
  if (word) {
    const { taskId, word: said } = word
    messages.push({ to: moveAddress(taskId), event: { ...said, taskId } })
  }
  if (moved && (moved.shards > 0 || moved.bytes > 0)) {
    const { type, ...what } = moved
    messages.push({ to: laneAddress(type), event: { type: 'MOVED', ...what } })
  }
  return messages
}

function leaseId(token: number): string {
  return `lease-${token}`
}

function delayId(order: number): string {
  return `delay-${order}`
}
