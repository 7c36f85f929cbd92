/** What the routes of disks answer, for `openapi.json`. Leaves to others: making it (`routes.ts`). */
import { z } from 'zod'

const diskId = z.int()
const count = z.int().min(0)

/** Numbers and words of section "disk status" of the reference. */
const standing = { status: z.int(), readonly: z.boolean() }

export const diskAnswer = z.looseObject({
  disk_id: diskId,
  uuid: z.string(),
  ...{ address: z.string(), host: z.string(), rack: z.string(), idc: z.string(), path: z.string() },
  ...standing,
  standing: z.string(),
  /** Whether its blobnode was heard of lately. */
  heard: z.boolean(),
  ...{ size: count, free: count, used: count, units: count, chunks: count, chunks_max: count },
  /** Of one disk: fewer than `units` where its limit was lowered, until some have left. */
  units_allowed: count.optional(),
  /** Why it is broken, if it is. */
  why: z.string().nullable(),
})
export const disksAnswer = z.object({ disks: z.array(diskAnswer) })
export const standingAnswer = z.object({ disk_id: diskId, ...standing })
export const registeredAnswer = standingAnswer.extend({
  heartbeat_ms: count,
  chunk_bytes_max: count,
})
export const heartbeatAnswer = z.object({
  disks: z.array(
    standingAnswer.extend({ refused: z.int().optional(), error: z.string().optional() }),
  ),
})
/** A vuid has more digits than a double keeps: `vuid_text` has them all. */
export const diskUnitsAnswer = z.object({
  disk_id: diskId,
  units: z.array(z.looseObject({ vuid_text: z.string() })),
})
