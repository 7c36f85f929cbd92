/**
 * The limits of the log store, with their defaults and reasons. Decides: names and defaults. Leaves to
 * others: enforcing them.
 */
import { completeLimits, TroupeError } from '../../protocol/index.ts'

export interface LogLimits {
  /** Bytes of one read when the caller does not say: one HTTP answer that a browser takes at once. */
  readBytesDefault: number
  /** Bytes of one read at most; it is held in memory, and as text beside that. */
  readBytesMax: number
  /** Lines of one read when the caller does not say, and at most. */
  linesMax: number
  /** How often a followed stream is looked at; `fs.watch` usually notices at once. */
  followPollMs: number
  /** How long a followed stream may gather after a hint before it is read. */
  followPauseMs: number
  /** Bytes that are searched for line ends at a time; how long a search may hold the event loop. */
  scanBytes: number
}

export const DEFAULT_LOG_LIMITS: Readonly<LogLimits> = Object.freeze({
  readBytesDefault: 256 * 1024,
  readBytesMax: 4 * 1024 * 1024,
  linesMax: 10_000,
  followPollMs: 500,
  followPauseMs: 20,
  scanBytes: 256 * 1024,
})

/** Completes a partial set. @throws TroupeError `invalid-config` */
export function resolveLogLimits(given: Partial<LogLimits> = {}): LogLimits {
  return completeLimits(DEFAULT_LOG_LIMITS, given, bad)
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `log limits: ${why}`)
}
