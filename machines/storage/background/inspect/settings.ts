/** What may be set of inspections. Decides: each limit, with its reason. */
import { z } from 'zod'

/** A pass over a small store is done in seconds, and would else begin anew at once, for ever. */
const PASS_EVERY_MS = 3_600_000
/** Volumes that are looked for at a time; each of them is some 100 bytes of the actor. */
const BATCH_COUNT = 100
export const BATCH_COUNT_MAX = 1_000
/** Workers say three times as often that they are at it. */
const LEASE_MS = 30_000
/** What fails thrice is left to the next pass, so that it holds nobody up. */
const TRIES_MAX = 3
/** A blobnode that restarts is back by then. */
const RETRY_MS = 60_000

export const inspectConfig = z.strictObject({
  /** From the begin of one pass over all volumes to the begin of the next, at least. */
  passEveryMs: z.int().min(1_000).default(PASS_EVERY_MS),
  batchCount: z.int().min(1).max(BATCH_COUNT_MAX).default(BATCH_COUNT),
  /** Silence of a worker after which another inspects its volume. */
  leaseMs: z.int().min(1_000).max(3_600_000).default(LEASE_MS),
  triesMax: z.int().min(1).max(100).default(TRIES_MAX),
  /** How long a volume waits that could not be inspected. */
  retryMs: z.int().min(0).max(3_600_000).default(RETRY_MS),
})
export type InspectConfig = z.output<typeof inspectConfig>
