/**
 * What a thread is given from outside. Decides: the schemas of its input and its settings. Leaves to
 * others: where the values come from (the worker's configuration), what they lead to.
 */
import { z } from 'zod'
import { PLANS } from '../plans/index.ts'
import type { SealingSettings } from './step.ts'

/** Names stand in ids, in queues and in the names of pools. */
export const WORKER_NAME = /^[0-9A-Za-z][\w.-]{0,63}$/
const THREAD_ID = /^[0-9A-Za-z][\w.-]{0,199}$/
/** A month: what is longer is a mistake. */
const WAIT_MS_MAX = 31 * 86_400_000
const TRIES_MAX = 1_000

const waitMs = z.int().min(0).max(WAIT_MS_MAX)

export const sealingSettings = z.object({
  allowedMiners: z.array(z.int().min(0)),
  allowedSizes: z.array(z.string()),
  enableDeals: z.boolean(),
  disableCc: z.boolean(),
  maxDeals: z.int().min(0).nullable(),
  minDealSpace: z.int().min(0).nullable(),
  maxRetries: z.int().min(0).max(TRIES_MAX),
  sealIntervalMs: waitMs,
  recoverIntervalMs: waitMs,
  rpcPollingIntervalMs: waitMs,
  requestTaskMaxRetries: z.int().min(0).max(TRIES_MAX),
  ignoreProofCheck: z.boolean(),
  verifyAfterPc2: z.boolean(),
}) satisfies z.ZodType<SealingSettings>

/** Where the work of a stage asks for its place: one of the options, all names of it. */
export const gate = z.object({
  pool: z.string().min(1),
  anyOf: z.array(z.array(z.string().min(1)).min(1)).min(1),
})
export type Gate = z.infer<typeof gate>

export const gates = z.record(z.string(), gate)
export type Gates = z.infer<typeof gates>

/** What CONFIGURE can change; what is not named stays. */
export const threadSettings = z.object({
  plan: z.enum(PLANS),
  settings: sealingSettings,
  gates,
  /** Its place in the worker's configuration, from 0. */
  index: z.int().min(0),
  /** Absolute path of its store; null for a plan without one. */
  location: z.string().min(1).nullable(),
})

export const threadInput = threadSettings.extend({
  worker: z.string().regex(WORKER_NAME),
  /** The id of the thread itself: `<worker>.<name>`. */
  thread: z.string().regex(THREAD_ID),
  gates: gates.default({}),
  /** False: it begins drained. */
  takesNew: z.boolean().default(true),
})
export type ThreadInput = z.infer<typeof threadInput>
