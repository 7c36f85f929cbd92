/** What the routes of volumes answer, for `openapi.json`. Leaves to others: making it (`routes.ts`). */
import { z } from 'zod'
import { VOLUME_STANDINGS } from './volume-record.ts'

const count = z.int().min(0)
const vid = z.int().min(1)
const status = z.enum(VOLUME_STANDINGS)

/** A vuid is a number of up to 20 digits; `vuid_text` is for readers that keep fewer. */
const chunk = z.looseObject({
  ...{ index: count, epoch: count, vuid: z.number().nullable(), vuid_text: z.string().nullable() },
  disk_id: z.int(),
})

export const volumeAnswer = z.looseObject({
  vid,
  /** The name of its code mode, and its number. */
  ...{ mode: z.string(), code_mode: z.int(), status },
  /** 0: good; -n: n units are bad. */
  health: z.int(),
  /** So many hosts may go at once without a loss. */
  hosts_to_lose: z.int().nullable(),
  ...{ total: count, free: count, chunk_bytes_max: count, chunk_bytes_used: count },
  units: z.array(chunk),
})
export const volumesAnswer = z.object({
  volumes: z.array(volumeAnswer),
  cursor: z.string().optional(),
})
export const standingAnswer = z.object({ vid, status })
export const unitAnswer = z.looseObject({ vuid: z.number(), disk_id: z.int() })
