/**
 * Deadlines of the simulated chain: 48 of a proving period of 2,880 blocks. Decides: which height the seed of
 * a deadline is drawn from, so that asking twice within it wants the same proof. Pure.
 */
export const DEADLINES = 48
const PERIOD_BLOCKS = 2_880
const DEADLINE_BLOCKS = PERIOD_BLOCKS / DEADLINES
/** Blocks before a deadline opens. */
const CHALLENGE_LOOKBACK = 20

/** The newest height that this deadline is challenged by, as seen from the head. */
export function challengeHeight(head: number, deadline: number): number {
  const ofFirst = deadline * DEADLINE_BLOCKS - CHALLENGE_LOOKBACK
  const periods = Math.floor((head - ofFirst) / PERIOD_BLOCKS)
  return Math.max(0, ofFirst + periods * PERIOD_BLOCKS)
}
