/**
 * What a job is given. Decides: which fields there are, their bounds, and which of them can be changed
 * later. Leaves to others: how requests name them (`settings.ts`), and what they lead to (`job.ts`).
 */
import { z } from 'zod'
import { WORKER_LOST_POLICIES } from './command.ts'

/** Attempts after the first, and the longest of all times: what is larger is a mistake. */
export const RETRIES_MAX = 100
export const TIME_MS_MAX = 365 * 24 * 3_600_000

const retries = z.int().min(0).max(RETRIES_MAX)
const timeMs = z.int().min(1).max(TIME_MS_MAX)

/** What MODIFY can change, whatever state the job is in. */
const definition = z.object({
  content: z.string().min(1),
  jobType: z.string().min(1),
  /**
   * What the job type runs, as it was when somebody last named it. Empty: what the worker's own table
   * says. null while nobody knows the type.
   */
  template: z.array(z.string()).nullable(),
  groupId: z.int().min(1),
  /** Larger first, within a group. */
  priority: z.int(),
  onWorkerLost: z.enum(WORKER_LOST_POLICIES),
  /** How long an attempt may wait for a worker; null: for ever. */
  queueWaitMs: timeMs.nullable(),
  /** How long an attempt may run; null: for ever. */
  runTimeoutMs: timeMs.nullable(),
  /** Further attempts, by what became of the one before: see `FailureClass`. */
  retries: z.object({ failed: retries, timedOut: retries, lost: retries }),
  /** From the end of an attempt to the next. */
  retryIntervalMs: z.int().min(0).max(TIME_MS_MAX),
  callbackUrl: z.string().nullable(),
  /** Signs callbacks: the key of the app. */
  callbackKey: z.string(),
  executor: z.string(),
  /** Words before the command that make it run as somebody else; none: as the worker. */
  runAs: z.array(z.string()),
})

export const jobChanges = definition
  .extend({ retries: definition.shape.retries.partial() })
  .partial()
export type JobChanges = z.infer<typeof jobChanges>

export const jobInput = definition.extend({
  jobName: z.string().min(1),
  appName: z.string().min(1),
  /** Unix ms. */
  submittedAt: z.int(),
  /** How long the job is known after its end. */
  keepMs: timeMs,
})
export type JobInput = z.infer<typeof jobInput>

/**
 * Whose fault the end of an attempt is. `failed`: the command's (its exit code, or a signal). `timedOut`:
 * it ran for too long. `lost`: the platform's: it could not be begun, or its worker fell silent.
 */
export type FailureClass = keyof JobInput['retries']

const DAY_MS = 24 * 3_600_000

/** A job that says nothing. What is the platform's fault is tried again, what is the command's is not. */
export const JOB_DEFAULTS = {
  priority: 1,
  onWorkerLost: 'park',
  queueWaitMs: null,
  runTimeoutMs: null,
  retries: { failed: 0, timedOut: 0, lost: 4 },
  retryIntervalMs: 3_000,
  callbackUrl: null,
  callbackKey: '',
  executor: '',
  runAs: [],
  keepMs: 30 * DAY_MS,
} satisfies Partial<JobInput>
