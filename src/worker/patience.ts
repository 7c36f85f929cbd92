/**
 * Asking an owner until it answers. Decides: how long to wait between two tries (doubling, with
 * jitter), and that a stop ends the asking. Leaves to others: what an answer means.
 */
import { wait } from '../client/index.ts'
import type { Clock, Random } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'

export interface Patience {
  clock: Clock
  random: Random
  firstMs: number
  maxMs: number
  /** Aborted when the worker stops. */
  signal: AbortSignal
}

/** `stopped`: the worker stops, and it is not known whether the last try was applied. */
export type Answered<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'refused'; error: TroupeError }
  | { kind: 'stopped' }

/**
 * Calls `ask` until it answers or is refused for good. What it throws beside `TroupeError` is a
 * fault, and as lasting as one.
 */
export async function askUntilAnswered<T>(
  patience: Patience,
  ask: () => Promise<T>,
  isFinal: (error: TroupeError) => boolean,
  failing?: (error: TroupeError, tries: number) => void,
): Promise<Answered<T>> {
  for (let tries = 0; ; tries++) {
    if (patience.signal.aborted) return { kind: 'stopped' }
    try {
      return { kind: 'ok', value: await ask() }
    } catch (thrown) {
      const error = thrown instanceof TroupeError ? thrown : asFault(thrown)
      if (isFinal(error)) return { kind: 'refused', error }
      failing?.(error, tries)
    }
    const fullMs = Math.min(patience.maxMs, patience.firstMs * 2 ** Math.min(tries, 30))
    await wait(patience, fullMs * (1 / 2 + patience.random.fraction() / 2))
  }
}

function asFault(thrown: unknown): TroupeError {
  return new TroupeError('internal', thrown instanceof Error ? thrown.message : String(thrown), {
    cause: thrown,
  })
}

/** What looks final but is not: each try has its whole time again, and faults pass. */
const PASSING: ReadonlySet<string> = new Set(['deadline', 'clock-skew', 'internal', 'store-failed'])

/** What sending the same again cannot change. */
export function isLasting(error: TroupeError): boolean {
  return !error.retry && !PASSING.has(error.code)
}
