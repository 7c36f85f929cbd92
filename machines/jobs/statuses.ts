/** The words for what a job is, and the numbers that callers of the old product know them by. */

/** SUCCESS 0, WAIT 1, RUNNING 3, FAIL 5, RECOVER 6, EXCEPTION 7, KILLED 8; others are not used. */
export const LEGACY = {
  success: 0,
  waiting: 1,
  ready: 1,
  running: 3,
  failed: 5,
  stopped: 6,
  removed: 7,
  killed: 8,
} as const

/** `stopped`: a failure of the platform, not of the command; an operator decides how it goes on. */
export type JobStatus = keyof typeof LEGACY

export const FINAL_STATUSES: ReadonlySet<JobStatus> = new Set([
  'success',
  'failed',
  'killed',
  'removed',
])
