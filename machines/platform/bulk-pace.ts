/**
 * One thing after the other at a rate. Decides: when the next begins, and how many are under way. Time that
 * was lost is not made up for: whoever asks for a rate wants no bursts.
 */
import { type Waiting, wait } from '../../src/index.ts'

export interface Pace extends Waiting {
  perSecond: number
  /** Under way at a time. */
  atOnce: number
}

/** Timers are no finer than this, so what is due within it begins together. */
const TICK_MS = 10

/**
 * Runs each, and ends once the last is done and has had its time. Aborted, it begins no more.
 * @throws what `run` throws, once the others under way have ended
 */
export async function paced<T>(
  items: readonly T[],
  { perSecond, atOnce, clock, signal }: Pace,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const intervalMs = 1_000 / perSecond
  const underWay = new Set<Promise<void>>()
  const failures: unknown[] = []
  let nextMs = clock.monotonic()
  const pause = () => wait({ clock, signal }, Math.max(0, nextMs - clock.monotonic()))
  for (const item of items) {
    if (nextMs - clock.monotonic() >= TICK_MS) await pause()
    while (underWay.size >= atOnce) await Promise.race(underWay)
    if (signal.aborted || failures.length > 0) break
    nextMs = Math.max(nextMs, clock.monotonic()) + intervalMs
    const one: Promise<void> = run(item)
      .catch((thrown: unknown) => void failures.push(thrown))
      .finally(() => underWay.delete(one))
    underWay.add(one)
  }
  await Promise.all(underWay)
  if (failures.length > 0) throw failures[0]
  // What comes next is not to begin before its time.
  await pause()
}
