/** How far the deletion of a blob is, unit by unit. Decides: its numbers, which are the reference's. */
import { z } from 'zod'

export const stageSchema = z.union([z.literal(0), z.literal(1), z.literal(2)])
/** 0: nothing is done; 1: the shard is marked; 2: it is deleted. */
export type Stage = z.output<typeof stageSchema>

/**
 * Those that somebody found to need nothing more count as marked: a put or a repair that was under way may
 * have come behind that, and the second phase finds it.
 */
export function withDone(stages: readonly Stage[], unitsDone: readonly number[]): Stage[] {
  const count = Math.max(stages.length, ...unitsDone.map((index) => index + 1))
  return Array.from({ length: count }, (_, index) =>
    unitsDone.includes(index) ? stages[index] || 1 : (stages[index] ?? 0),
  )
}
