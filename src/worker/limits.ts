/**
 * The limits of a worker, with their defaults and reasons. Decides: names and defaults. Leaves to
 * others: enforcing them.
 */
import { completeLimits, TroupeError } from '../protocol/index.ts'

export interface WorkerLimits {
  /** How long the files of an ended attempt are kept: logs are read after the end. 7 days. */
  attemptKeepMs: number
  /** Bytes of all attempts together; past it the ended ones go, oldest first. 20 GiB. */
  attemptKeepBytesMax: number
  /** How often ended attempts are looked through: a walk over their directories. */
  sweepEveryMs: number
  /** How long a stop waits for attempts that cannot go on after a restart. */
  drainMs: number
  /** How long a stop waits for its last reports; what is not answered is reported after the start. */
  stopReportMs: number
  /** From SIGTERM to SIGKILL, when a command has to end. */
  killGraceMs: number
  /** How long an aborted attempt may take to return before its slot is given to others. */
  abortWaitMs: number
  /** How long one try to reach an owner lasts; the next one carries the same id. */
  requestMs: number
  /** First wait before an owner is asked again; it doubles up to the second number. */
  retryFirstMs: number
  retryMaxMs: number
}

export const DEFAULT_WORKER_LIMITS: Readonly<WorkerLimits> = Object.freeze({
  attemptKeepMs: 7 * 86_400_000,
  attemptKeepBytesMax: 20 * 1024 ** 3,
  sweepEveryMs: 10 * 60_000,
  drainMs: 10_000,
  stopReportMs: 5_000,
  killGraceMs: 10_000,
  abortWaitMs: 30_000,
  requestMs: 10_000,
  retryFirstMs: 100,
  retryMaxMs: 15_000,
})

/** Completes a partial set. @throws TroupeError `invalid-config` */
export function resolveWorkerLimits(given: Partial<WorkerLimits> = {}): WorkerLimits {
  return completeLimits(DEFAULT_WORKER_LIMITS, given, bad)
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `worker limits: ${why}`)
}
