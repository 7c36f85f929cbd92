/** Real time and a silent log, for tests that run real processes. */
import type { Clock, Log } from '../../../src/ports/index.ts'
import { until } from '../../waiting.ts'

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
  defer: (call) => setImmediate(call),
}

export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

/** Waits until `probe` gives something other than undefined or false; fails after `withinMs`. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const look = async () => {
    const found = await probe()
    return found === undefined || found === false ? undefined : { found }
  }
  return (await until(look, { timeoutMs: withinMs }, what)).found
}
