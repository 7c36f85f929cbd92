/**
 * When a failed attempt is tried again. Decides: how long to wait before the next attempt, or that
 * there is none. Leaves to others: what counts as a failure, and the clock.
 */
import { invariant } from '../protocol/index.ts'

export interface RetryPolicy {
  /** Attempts in all, the first included. Default 5. */
  attemptsMax: number
  /** Wait before the second attempt. Default 1,000. */
  initialMs: number
  /** Each wait is this many times the one before. Default 2. */
  factor: number
  /** No wait is longer, its random part included. Default 60,000. */
  backoffMaxMs: number
  /** Part of the wait that is random, so that failures do not return in step. Default 0.2. */
  jitter: number
}

export const DEFAULT_RETRY: Readonly<RetryPolicy> = Object.freeze({
  attemptsMax: 5,
  initialMs: 1_000,
  factor: 2,
  backoffMaxMs: 60_000,
  jitter: 0.2,
})

export function resolveRetry(
  ...layers: readonly (Partial<RetryPolicy> | undefined)[]
): RetryPolicy {
  const policy: RetryPolicy = Object.assign({}, DEFAULT_RETRY, ...layers)
  const wrong = wrongRetry(policy)
  invariant(wrong === undefined, wrong ?? '')
  return policy
}

/** What of a whole or partial policy is none, for who declared it. */
export function wrongRetry(layer: Partial<RetryPolicy>): string | undefined {
  const { attemptsMax, initialMs, factor, backoffMaxMs, jitter } = { ...DEFAULT_RETRY, ...layer }
  const isWait = (ms: number) => Number.isFinite(ms) && ms >= 0
  if (!(attemptsMax >= 1)) return 'retry.attemptsMax is at least 1'
  if (!isWait(initialMs)) return 'retry.initialMs is a number of milliseconds from 0'
  if (!isWait(backoffMaxMs)) return 'retry.backoffMaxMs is a number of milliseconds from 0'
  if (!(factor >= 1)) return 'retry.factor is at least 1'
  if (!(jitter >= 0 && jitter <= 1)) return 'retry.jitter lies in 0..1'
  return undefined
}

/**
 * The wait before attempt `attempt + 1` in ms, or undefined when `attempt` was the last.
 * @param fraction a random number in [0, 1)
 */
export function backoffMs(
  policy: RetryPolicy,
  attempt: number,
  fraction: number,
): number | undefined {
  if (attempt >= policy.attemptsMax) return undefined
  // Beyond all numbers it would make no wait at all a wait of no number.
  const growth = Math.min(policy.factor ** (attempt - 1), Number.MAX_VALUE)
  const { backoffMaxMs, initialMs, jitter } = policy
  // The longest waits are spread, too.
  const full = Math.min(backoffMaxMs / (1 + jitter), initialMs * growth)
  return Math.round(full * (1 - jitter + 2 * jitter * fraction))
}
