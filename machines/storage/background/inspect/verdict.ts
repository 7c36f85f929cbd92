/**
 * What the units of a volume say of one blob, taken together. Pure. Decides: which shards are missing and which
 * are corrupt, when a blob is beyond repair, and when nobody can tell. Leaves to others: asking
 * (`inspect-run.ts`), repairing (`upkeep`).
 */
import type { CodeMode } from '../../plane/codes/index.ts'
import { canRebuild } from '../../plane/erasure/index.ts'
import { commonSize, type Finding } from '../../plane/upkeep/index.ts'

export type Verdict =
  /** All that could be asked have theirs whole. */
  | { kind: 'whole' }
  /** Somebody knows that it is deleted: what is left of it is not to be made whole. */
  | { kind: 'deleted' }
  /** The whole ones make up the others. */
  | { kind: 'damaged'; missed: number[]; corrupt: number[] }
  /** With those that are away it may be damaged only, or lost. */
  | { kind: 'unsure' }
  | { kind: 'lost'; whole: number[]; away: number[] }

/** @param findings of each unit, by its index */
export function verdictOf(mode: CodeMode, findings: readonly Finding[]): Verdict {
  const those = (...kinds: Finding['kind'][]) =>
    findings.flatMap(({ kind }, index) => (kinds.includes(kind) ? [index] : []))
  if (those('deleted').length > 0) return { kind: 'deleted' }
  const size = commonSize(findings)
  const isCut = (index: number) => {
    const finding = findings[index]
    return finding?.kind === 'whole' && finding.size !== size
  }
  const whole = those('whole').filter((index) => !isCut(index))
  const corrupt = [...those('corrupt'), ...those('whole').filter(isCut)].sort((a, b) => a - b)
  const missed = those('absent')
  const bad = [...missed, ...corrupt]
  // Nobody has it any more: it was deleted between two questions.
  if (bad.length === 0 || (whole.length === 0 && corrupt.length === 0)) return { kind: 'whole' }
  if (canRebuild(mode, whole, bad)) return { kind: 'damaged', missed, corrupt }
  const away = those('away')
  if (canRebuild(mode, [...whole, ...away], bad)) return { kind: 'unsure' }
  return { kind: 'lost', whole, away }
}
