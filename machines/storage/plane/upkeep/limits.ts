/**
 * The section `storage.upkeep`. Decides: when and how fast bytes of deleted blobs go, with the reasons.
 * Leaves to others: enforcing it (`delete-pace.ts`).
 */
import { z } from 'zod'

const HOUR_MS = 3_600_000
/** Three days: a weekend, and a person who can still switch deletion off. */
const SAFE_DELAY_MS = 72 * HOUR_MS
/** Of one node: disks have room for clients beside so many small calls. */
const DELETES_PER_SECOND = 100

/** By the clock on the wall of the node: from its beginning to before its end, over midnight where it ends sooner. */
export const deleteHours = z
  .strictObject({ from: z.int().min(0).max(23), to: z.int().min(0).max(24) })
  .refine(
    ({ from, to }) => from !== to,
    'an hour that ends as it begins: {from: 0, to: 24} is always',
  )
export type DeleteHours = z.output<typeof deleteHours>

export const upkeepConfig = z.strictObject({
  /** A deleted blob cannot be read at once; its bytes go after this. */
  safeDelayMs: z.int().min(0).default(SAFE_DELAY_MS),
  deleteHours: deleteHours.default({ from: 0, to: 24 }),
  deletesPerSecond: z.int().min(1).max(100_000).default(DELETES_PER_SECOND),
})
export type UpkeepConfig = z.output<typeof upkeepConfig>
