/**
 * Inspections as they go to workers and come back (reference sheet, section 3.5). Decides: what of it is read;
 * what a worker of the old store does not say stands for nothing. Leaves to others: the paths.
 */
import { z } from 'zod'
import { bidSchema, vuidSchema } from '../../plane/codes/index.ts'
import { WORKER_CHARS_MAX } from './inspect-record.ts'
import { LOST_MAX, TROUBLES_MAX } from './volume-inspection.ts'

const TEXT_CHARS_MAX = 2_000
/** Workers of ours send what they find in pieces; 200 KiB of JSON. */
export const FOUND_PER_REPORT = 1_000
/** Of one report of a worker of the old store, which knows no pieces. */
const FOUND_MAX = 100_000

const replica = z.object({ vuid: vuidSchema, host: z.string().min(1), disk_id: z.int().min(0) })

export const inspectTask = z.object({
  task_id: z.string().min(1).max(200),
  /** The number of a code mode. */
  mode: z.int(),
  /** Units whose disk nobody knows are missing. */
  replicas: z.array(replica),
  /** Ours: how long it may be silent. */
  lease_ms: z.int().min(1),
})
export type InspectTask = z.output<typeof inspectTask>

const shard = z.object({ vuid: vuidSchema, bid: bidSchema })
const shards = z
  .array(shard)
  .max(FOUND_MAX)
  .nullish()
  .transform((given) => given ?? [])
export type FoundShard = z.output<typeof shard>
const count = z.int().min(0).default(0)
const indexes = z.array(z.int().min(0).max(255)).max(64)

export const inspectReport = z.object({
  task_id: z.string().max(200),
  /** Not empty: it came to nothing. */
  inspect_err_str: z
    .string()
    .nullish()
    .transform((given) => (given ?? '').slice(0, TEXT_CHARS_MAX)),
  missed_shards: shards,
  /** What follows is ours. */
  corrupt_shards: shards,
  /** It goes on: what it has found until now, perhaps nothing. */
  more: z.boolean().default(false),
  worker: z.string().max(WORKER_CHARS_MAX).default(''),
  blob_cnt: count,
  shard_cnt: count,
  byte_cnt: count,
  /** In all, over its reports. */
  missed_cnt: z.int().min(0).optional(),
  corrupt_cnt: z.int().min(0).optional(),
  lost_cnt: count,
  lost_blobs: z
    .array(z.object({ bid: bidSchema, whole: indexes, away: indexes }))
    .max(LOST_MAX)
    .default([]),
  troubles: z.array(z.string()).max(TROUBLES_MAX).default([]),
  /** Chunks of which not even a list could be had, with a refusal that says so. */
  unusable_units: z.array(vuidSchema).max(TROUBLES_MAX).default([]),
})
export type InspectReport = z.output<typeof inspectReport>
/** As a worker sends it. */
export type SentReport = z.input<typeof inspectReport>

/** What a report is answered, always with 200, as workers of the old store want it. */
export const inspectAnswer = z.object({
  refused: z.string().optional(),
  message: z.string().optional(),
})
