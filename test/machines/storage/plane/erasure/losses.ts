/** Patterns of loss, and what is left of a blob then, said in another way than the product says it. */
import {
  type CodeMode,
  localStripes,
  unitCount,
} from '../../../../../machines/storage/plane/codes/index.ts'

export function unitsOf(mode: CodeMode): number[] {
  return Array.from({ length: unitCount(mode) }, (_, unit) => unit)
}

/** Whatever can be known: a code that misses no more than it has parity is whole, again and again. */
export function closureOf(mode: CodeMode, present: readonly number[]): Set<number> {
  const known = new Set(present)
  if (mode.kind === 'replica') return new Set(known.size > 0 ? unitsOf(mode) : [])
  const shards = unitsOf(mode).slice(0, mode.data + mode.parity)
  const codes = [
    { members: shards, parity: mode.parity },
    ...localStripes(mode).map(({ units, locals }) => ({
      members: [...units, ...locals],
      parity: locals.length,
    })),
  ]
  for (let before = -1; before !== known.size; ) {
    before = known.size
    for (const { members, parity } of codes) {
      const missing = members.filter((unit) => !known.has(unit))
      if (missing.length <= parity) for (const unit of missing) known.add(unit)
    }
  }
  return known
}

/** All of them, up to so many lost. */
export function lossPatterns(mode: CodeMode, lostMax: number): number[][] {
  const count = unitCount(mode)
  return Array.from({ length: 2 ** count - 1 }, (_, mask) => mask + 1)
    .map((mask) => unitsOf(mode).filter((unit) => (mask >> unit) & 1))
    .filter((lost) => lost.length <= lostMax)
}
