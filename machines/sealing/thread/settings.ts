/**
 * What a thread is given from outside. Decides: the schemas of its input and its settings. Leaves to
 * others: where the values come from (the worker's configuration), what they lead to.
 */
import { z } from 'zod'
import { PLACEMENT_MARK } from '../../../src/index.ts'
import { PLANS } from '../plans/index.ts'
import type { SealingSettings } from './step.ts'

/** Names stand in ids, in queues and in the names of pools. */
export const WORKER_NAME = /^[0-9A-Za-z][\w.-]{0,63}$/
const THREAD_ID = /^[0-9A-Za-z][\w.~-]{0,199}$/
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

/** Where the work of stages asks for a place. What may be had there only the pool knows. */
export const placing = z.object({
  /** Its address; null: nothing is asked for. */
  pool: z.string().min(1).nullable(),
  /** Stages that ask, each for the pool's choice of its name. */
  gates: z.array(z.string().min(1)),
})
export type Placing = z.infer<typeof placing>

/** What CONFIGURE can change; what is not named stays. */
export const threadSettings = z.object({
  plan: z.enum(PLANS),
  settings: sealingSettings,
  ...placing.shape,
  /** Its place in the worker's configuration, from 0. */
  index: z.int().min(0),
  /** Absolute path of its store; null for a plan without one. */
  location: z.string().min(1).nullable(),
})

export const threadInput = threadSettings.extend({
  worker: z.string().regex(WORKER_NAME),
  /** The id of the thread itself; see `threadIdOf`. */
  thread: z.string().regex(THREAD_ID),
  pool: placing.shape.pool.default(null),
  gates: placing.shape.gates.default([]),
  /** False: it begins drained. */
  takesNew: z.boolean().default(true),
})
export type ThreadInput = z.infer<typeof threadInput>

/** All threads of a worker live on one shard, with their pool: asking for a place costs no commit. */
export function threadIdOf(worker: string, name: string): string {
  return `${worker}${PLACEMENT_MARK}${name}`
}

/** The name of a thread among those of its worker. */
export function threadNameOf({ worker, thread }: { worker: string; thread: string }): string {
  const group = threadIdOf(worker, '')
  return thread.startsWith(group) ? thread.slice(group.length) : thread
}
