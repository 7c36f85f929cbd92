/** How far the deletion of a blob is, unit by unit. Decides: its numbers, which are the reference's. */
import { z } from 'zod'

export const stageSchema = z.union([z.literal(0), z.literal(1), z.literal(2)])
/** 0: nothing is done; 1: the shard is marked; 2: it is deleted. */
export type Stage = z.output<typeof stageSchema>

/**
 * As who asks for a deletion knows them. Nobody counts as deleted: units may have moved since, and a put or a
 * repair that was under way may have come behind; the second phase asks all.
 */
export function stagesOf(unitsMarked: readonly number[]): Stage[] {
  const count = Math.max(0, ...unitsMarked.map((index) => index + 1))
  return Array.from({ length: count }, (_, index) => (unitsMarked.includes(index) ? 1 : 0))
}
