/**
 * The limits of the process runner, with their defaults and reasons. Decides: names and defaults.
 * Leaves to others: enforcing them.
 */
import { completeLimits, TroupeError } from '../../protocol/index.ts'

export interface ProcessLimits {
  /** How often a run that is not our child is looked at; `fs.watch` usually notices at once. */
  attachPollMs: number
  /** How often `kill` and `whenStarted` look whether what they wait for has happened. */
  killPollMs: number
  /** How long `kill` waits after SIGKILL before it reports that the group does not go away. */
  killWaitMs: number
  /** The grace of what a leader leaves in its group, when the spec does not say. */
  groupGraceMs: number
  /** Bytes of one argument or variable. Linux refuses 128 KiB (MAX_ARG_STRLEN). */
  argumentBytesMax: number
  /** Bytes of all arguments, and of all variables. Linux gives both together 2 MiB. */
  argumentsBytesMax: number
  /** A shell command longer than this travels as a file in the run's directory. */
  shellInlineBytesMax: number
  /** Bytes of a shell command. A task's input is smaller than this (`payloadBytesMax`). */
  shellBytesMax: number
  /** How long the launcher stays without work: it takes 11 MB of its own, and 50 ms to start. */
  launcherIdleMs: number
  /** A launcher that does not answer for this long hangs, and is ended: a fork takes milliseconds. */
  launcherAnswerMs: number
  /** The shortest `orphanMs`: below it, one busy moment of the worker would end its commands. */
  orphanMsMin: number
}

export const DEFAULT_PROCESS_LIMITS: Readonly<ProcessLimits> = Object.freeze({
  attachPollMs: 500,
  killPollMs: 20,
  killWaitMs: 10_000,
  groupGraceMs: 5_000,
  argumentBytesMax: 128 * 1024 - 1,
  argumentsBytesMax: 768 * 1024,
  shellInlineBytesMax: 64 * 1024,
  shellBytesMax: 1024 * 1024,
  launcherIdleMs: 60_000,
  launcherAnswerMs: 10_000,
  orphanMsMin: 400,
})

/** Completes a partial set. @throws TroupeError `invalid-config` */
export function resolveProcessLimits(given: Partial<ProcessLimits> = {}): ProcessLimits {
  return completeLimits(DEFAULT_PROCESS_LIMITS, given, bad)
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `process limits: ${why}`)
}
