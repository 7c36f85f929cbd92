/** What the routes of upkeep answer, for `openapi.json`. Leaves to others: making it (`routes.ts`). */
import { z } from 'zod'

const count = z.int().min(0)
const counts = z.record(z.string(), count)

export const upkeepAnswer = z.object({
  kind: z.string(),
  /** By their states. */
  messages: counts,
  failed_cnt: count,
  /** Of the last twenty minutes, the oldest first. */
  success_per_min: z.array(count),
  failed_per_min: z.array(count),
  success_cnt: count,
  total_err_cnt: count,
  err_kinds: counts,
})

/** A bid is a number of up to 20 digits. */
export const messagesAnswer = z.object({
  messages: z.array(
    z.object({
      ...{ address: z.string(), vid: z.int(), bid: z.number(), state: z.string(), tries: count },
      last_error: z.string().nullable(),
      waits_for: z.string().nullable(),
      /** Unix ms. */
      retry_at: z.number().nullable(),
    }),
  ),
  cursor: z.string().optional(),
})

export const replayAnswer = z.object({ states: z.array(z.string()) })
/** As the reference has it: nothing. */
export const takenAnswer = z.string()
