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
  /** No wait is longer. Default 60,000. */
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
  invariant(policy.attemptsMax >= 1, 'retry.attemptsMax is at least 1')
  invariant(policy.initialMs >= 0 && policy.backoffMaxMs >= 0, 'retry waits are not negative')
  invariant(policy.factor >= 1, 'retry.factor is at least 1')
  invariant(policy.jitter >= 0 && policy.jitter <= 1, 'retry.jitter lies in 0..1')
  return policy
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
  const full = Math.min(policy.backoffMaxMs, policy.initialMs * policy.factor ** (attempt - 1))
  return Math.round(full * (1 - policy.jitter + 2 * policy.jitter * fraction))
}
