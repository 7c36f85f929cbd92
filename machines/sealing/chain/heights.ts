/**
 * Heights as a function of time, and what reorganisations do to them. Decides: which block stands when,
 * where a message is after blocks were taken back, which fork a height belongs to. Pure: no block of the
 * chain is ever stored.
 */

/** `baseHeight` began at `baseAtMs`. */
export interface Pace {
  baseHeight: number
  baseAtMs: number
  blockMs: number
}

/** The blocks `from` to `at`, the newest of that moment, were replaced by others. */
export interface Reorg {
  /** Of the fork that began with it, from 1. */
  fork: number
  from: number
  at: number
}

/** Older ones are forgotten: what they moved has landed long ago, and the actor stays small. */
const REORGS_KEPT = 300

export function heightAt({ baseHeight, baseAtMs, blockMs }: Pace, atMs: number): number {
  return baseHeight + Math.max(0, Math.floor((atMs - baseAtMs) / blockMs))
}

/** Until a height is there; 0 when it is. */
export function msUntil(
  { baseHeight, baseAtMs, blockMs }: Pace,
  height: number,
  atMs: number,
): number {
  return Math.max(0, Math.ceil(baseAtMs + (height - baseHeight) * blockMs - atMs))
}

/** Where a message is that was packed at a height: what was taken back is in the next block again. */
export function packedAfter(reorgs: readonly Reorg[], height: number): number {
  let packed = height
  for (const { from, at } of reorgs) if (packed >= from && packed <= at) packed = at + 1
  return packed
}

/** The fork that a height belongs to; 0 is the one that the chain began with. */
export function forkOf(reorgs: readonly Reorg[], height: number): number {
  return reorgs.findLast(({ from }) => from <= height)?.fork ?? 0
}

export function withReorg(reorgs: readonly Reorg[], reorg: Reorg): Reorg[] {
  return [...reorgs, reorg].slice(-REORGS_KEPT)
}
