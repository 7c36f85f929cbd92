/**
 * When a shard gets a checkpoint, and what is no longer needed because of the ones it has.
 *
 * Decides: three questions, purely. What JetStream has not synced goes with its process, checkpoints and
 * their keys included: one is relied on only when it is as old as the retention. Rules and their
 * counterexamples are in test/model (PURGE_*, DROP_CHECKPOINT_EARLY). Leaves to others: asking and
 * acting (checkpoint-keeper.ts).
 */
import type { ClusterLimits } from './limits.ts'

export interface SeenCheckpoint {
  slot: number
  /** How long this node has known of it, by its own monotonic clock: it is at least as old. */
  ageMs: number
}

type Limits = Pick<ClusterLimits, 'checkpointSlots' | 'journalRetentionMs' | 'journalSlotsMin'>

/** An owner whose standby makes none steps in when this many times the slots have passed. */
const OWNER_PATIENCE = 2

/** @param seen the newest first */
export function isDue(
  seen: readonly SeenCheckpoint[],
  maker: { applied: number; leavesItToStandby: boolean },
  limits: Limits,
): boolean {
  const [newest, second] = seen
  // A third removes the lowest: the newest of those that stay has to be one that lasts.
  if (newest && second && newest.ageMs < limits.journalRetentionMs) return false
  const slots = limits.checkpointSlots * (maker.leavesItToStandby ? OWNER_PATIENCE : 1)
  return maker.applied - (newest?.slot ?? 0) >= slots
}

/**
 * Slots up to this one are not needed any more: two checkpoints have what they hold, the higher one for
 * long. 0 when all are needed.
 */
export function removableSlots(
  [newest, second]: readonly SeenCheckpoint[],
  lastSlot: number,
  limits: Limits,
): number {
  if (!newest || !second || newest.ageMs < limits.journalRetentionMs) return 0
  return Math.max(0, Math.min(second.slot, lastSlot - limits.journalSlotsMin))
}

/** Checkpoints below this slot are not needed any more: two stay, and one of them lasts. */
export function lowestNeeded(seen: readonly SeenCheckpoint[], limits: Limits): number {
  const second = seen[1]
  const lasting = seen.find(({ ageMs }) => ageMs >= limits.journalRetentionMs)
  return second && lasting ? Math.min(second.slot, lasting.slot) : 0
}
