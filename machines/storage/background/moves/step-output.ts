/** How a step of a move ends, as its task says it. Leaves to others: what follows (`move-rules.ts`). */
import type { Unit } from './move-record.ts'

interface At {
  /** Unix ms. */
  at: number
}

export type StepOutput = At &
  (
    | { end: 'done' }
    /** There is nothing to move any more; `reason` is the reference's word for it. */
    | { end: 'over'; reason: string; why: string }
    /** From the beginning, in a while, with nothing held; what was copied is kept, and completed. */
    | { end: 'back'; why: string; waitMs: number; isNoPlace?: boolean }
    /** The same step, in a while; it may be only that units which are up did not answer. */
    | { end: 'again'; why: string; waitMs: number; isUnheard?: boolean }
    /** The copy is no good, or not whole; its disk may be the reason. */
    | { end: 'redo'; why: string; isPlaceBad?: boolean }
    /** What was to be taken back is done. */
    | { end: 'late' }
    /** A person has to look. */
    | { end: 'stuck'; why: string }
  )

/** Where it goes, and what it is read from. */
export interface Prepared extends At {
  end: 'done'
  sources: Unit[]
  destination: Unit
  codeMode: number
}
