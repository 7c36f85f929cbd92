/**
 * What upkeep is asked for, as it travels: which blob, and what of it. Decides: the shape of the messages
 * and the address of the actor that each of them is. Leaves to others: what becomes of them
 * (`shard-repair.ts`, `blob-delete.ts`).
 */
import { z } from 'zod'
import { formatAddress } from '../../../../src/index.ts'
import { bidSchema, INDEX_MAX, VID_MAX } from '../codes/index.ts'

const REASON_CHARS_MAX = 300

const indexes = z.array(z.int().min(0).max(INDEX_MAX))
const vid = z.int().min(1).max(VID_MAX)

export const repairAsk = z.object({
  /** Units whose shard is missing, corrupt or not readable. */
  badIndexes: indexes.min(1),
  /** For people: who found it, and how. */
  reason: z.string().transform((text) => text.slice(0, REASON_CHARS_MAX)),
})
export const repairMessage = repairAsk.extend({ vid, bid: bidSchema })
export type RepairMessage = z.output<typeof repairMessage>

export const removeAsk = z.object({
  /** Units that need no mark any more: theirs is marked or deleted, or was never written. */
  unitsMarked: indexes,
  /** All units are. */
  isMarked: z.boolean(),
})
export const removeMessage = removeAsk.extend({
  vid,
  bid: bidSchema,
  /** Its bytes stay until then: unix ms, and from now on. */
  dueAt: z.number().min(0),
  delayMs: z.number().min(0),
})
export type RemoveMessage = z.output<typeof removeMessage>

interface BlobPlace {
  vid: number
  bid: bigint
}

export function repairAddress(blob: BlobPlace): string {
  return formatAddress('shard-repair', idOf(blob))
}

export function removalAddress(blob: BlobPlace): string {
  return formatAddress('blob-delete', idOf(blob))
}

function idOf({ vid: volume, bid }: BlobPlace): string {
  return `${volume}-${bid}`
}

export function united(some: readonly number[], others: readonly number[]): number[] {
  return [...new Set([...some, ...others])].sort((a, b) => a - b)
}
