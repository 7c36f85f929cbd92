/** Semaphores as values, and requests to them. */
import { acquire, type Request } from '../../../machines/platform/semaphore.ts'
import { namesOf, type Semaphore, type Waiter } from '../../../machines/platform/serving.ts'

export const WAITERS_MAX = 6

export function empty(count: number, given: Partial<Semaphore> = {}): Semaphore {
  return {
    slots: count,
    limits: {},
    gaps: {},
    choices: {},
    gapped: [],
    waitersMax: WAITERS_MAX,
    lastTicket: 0,
    lastToken: 0,
    demands: [],
    holders: [],
    waiters: [],
    ...given,
  }
}

export function request(holder: string, units = 1, ...options: string[][]): Request {
  const wants = options.length === 0 ? [[]] : options
  return { holder, units, wants, priority: 0, leaseMs: 0, waitMs: null, ref: null }
}

export function asked(begin: Semaphore, ...requests: Request[]): Semaphore {
  return requests.reduce((now, one) => acquire(now, one).next, begin)
}

export const who = (of: readonly Waiter[]) => of.map(({ holder }) => holder)
export const gotBy = (now: Semaphore, holder: string) =>
  now.holders.filter((one) => one.holder === holder).flatMap((one) => namesOf(now, one))
