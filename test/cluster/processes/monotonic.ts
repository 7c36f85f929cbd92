/**
 * The clock of all records. Linux counts it since the machine was booted, for all of its processes alike:
 * so what one process did after it had heard of it from another stands behind it in a list of both.
 */

/** Milliseconds, with a fraction. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
