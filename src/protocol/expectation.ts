/**
 * What a command wants its actor to be. Decides: what can be wanted, which is what lists can be asked for
 * that changes with time.
 */

/** What operators tell actors apart by; a parked actor is `parked` even when it is paused too. */
export type ActorCondition = 'active' | 'paused' | 'parked' | 'done' | 'stopped'

/** A value that can be indexed: it sorts numbers before strings. */
export type IndexValue = string | number | boolean | null

export interface ActorExpectation {
  /** A state path: `running` also matches everything below it, `running.build` only that. */
  state?: string
  tag?: string
  condition?: ActorCondition
  /** Been in the present state for at least this long. */
  olderThanMs?: number
  /** Equality on indexed fields. */
  where?: Record<string, IndexValue>
}
