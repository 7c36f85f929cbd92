/**
 * The named limits of children. Decides: defaults and their reasons. Leaves to others: enforcing them.
 */
export interface ProcessorLimits {
  /** One line from or to a child. */
  lineBytesMax: number
  /** How long a request waits while every child that could take it is down. */
  unhealthyWaitMs: number
  /** Wait before the first restart of a child that died; doubles with each one that follows. */
  restartMinMs: number
  restartMaxMs: number
  /** A child that was ready for this long has recovered: its next restart waits `restartMinMs` again. */
  steadyMs: number
  /** How long a child that knows `cancel` may take to answer one. */
  cancelGraceMs: number
  /** How long a lane takes new work beside a request that was given up and is still being worked on. */
  abandonedMs: number
  /** Between SIGTERM and SIGKILL. */
  killGraceMs: number
  /** A child that closed its input or output and has not ended by then is ended. */
  closedMs: number
  /** How long start-up waits for the end of what an earlier life left; lanes wait on. */
  leftoversMs: number
  /** Unreadable replies kept as files by one life of the daemon. */
  dumpsMax: number
}

const MIB = 1024 * 1024

export const DEFAULT_PROCESSOR_LIMITS: ProcessorLimits = {
  // The first proof's output of a 64 GiB sector is some 50 MB of JSON.
  lineBytesMax: 64 * MIB,
  // A child that died once is back within this. Who waits longer holds slots and locks that others need:
  // its thread gives them back, and asks again later, which costs no retry.
  unhealthyWaitMs: 30_000,
  restartMinMs: 1_000,
  restartMaxMs: 60_000,
  steadyMs: 60_000,
  // A child looks for cancels between two layers or trees, not within.
  cancelGraceMs: 30_000,
  abandonedMs: 10 * 60_000,
  killGraceMs: 5_000,
  // Between the end of the streams of a process and its own lie milliseconds.
  closedMs: 1_000,
  // SIGKILL takes as long only where a disk does not answer.
  leftoversMs: 10_000,
  // Each may be as large as a line.
  dumpsMax: 100,
}
