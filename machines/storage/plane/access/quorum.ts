/**
 * When a put may be acknowledged, and when a delete may be called done. Decides: by which units have
 * answered. Pure.
 */
import { type CodeMode, unitCount } from '../codes/index.ts'
import type { CanRebuild } from './ports.ts'

export type WriteState = 'open' | 'written' | 'failed'

/**
 * `acknowledged`: as many of data and parity as the mode's table says are on disk; local parity is more
 * safety, and does not count. `hopeless`: so many cannot be reached any more.
 */
export function writeVerdict(
  { data, parity, putQuorum }: CodeMode,
  states: readonly WriteState[],
): 'open' | 'acknowledged' | 'hopeless' {
  const counted = states.slice(0, data + parity)
  const written = counted.filter((state) => state === 'written').length
  const failed = counted.filter((state) => state === 'failed').length
  if (written >= putQuorum) return 'acknowledged'
  return counted.length - failed < putQuorum ? 'hopeless' : 'open'
}

/**
 * Whether any byte of the blob could still be read from units that are not marked, which may only be away
 * for a while. More than the blob as a whole: an object of one byte lies in one data shard, and a range
 * may.
 * @param held data units that hold bytes of the blob; of replicas all copies
 */
export function isReadable(
  mode: CodeMode,
  held: readonly number[],
  unmarked: readonly number[],
  canRebuild: CanRebuild,
): boolean {
  if (mode.kind === 'replica') return unmarked.length > 0
  return held.some((index) => unmarked.includes(index) || canRebuild(mode, unmarked, [index]))
}

export function allUnits(mode: CodeMode): number[] {
  return Array.from({ length: unitCount(mode) }, (_, index) => index)
}
