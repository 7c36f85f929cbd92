/**
 * How things are measured. Decides: what a figure is: the median of rounds with the smallest and the
 * largest beside it; quantiles by nearest rank; CPU of all threads of the process.
 */
import { readFileSync } from 'node:fs'

/** A figure of several rounds. */
export interface Spread {
  median: number
  min: number
  max: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** One round of a load. */
export interface Load {
  perSecond: number
  p50Ms: number
  p99Ms: number
  /** Seconds of CPU per second, all threads. */
  cpu: number
  usPerOp: number
}

export function loadOf(latenciesMs: readonly number[], elapsedMs: number, cpuUs: number): Load {
  const count = latenciesMs.length
  return {
    perSecond: (count / elapsedMs) * 1_000,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    cpu: cpuUs / 1_000 / elapsedMs,
    usPerOp: cpuUs / count,
  }
}

/** Keeps `inFlight` calls under way until the time is over. `call` is given a running number. */
export async function closedLoop(
  inFlight: number,
  durationMs: number,
  call: (n: number) => Promise<unknown>,
): Promise<Load> {
  const latencies: number[] = []
  let next = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  const end = start + durationMs
  const runner = async () => {
    for (;;) {
      const sentAt = performance.now()
      if (sentAt >= end) return
      await call(next++)
      latencies.push(performance.now() - sentAt)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, runner))
  const elapsed = performance.now() - start
  return loadOf(latencies, elapsed, cpuSince(cpu))
}

/** Calls for 0 … count-1, `inFlight` at a time; the time it took in ms. */
export async function each(
  count: number,
  inFlight: number,
  call: (n: number) => Promise<unknown>,
): Promise<number> {
  let next = 0
  const start = performance.now()
  const runner = async () => {
    while (next < count) await call(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, runner))
  return performance.now() - start
}

export function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** Anonymous memory of this process in MB, as the kernel counts it; mapped files are not in it. */
export function rssAnonMb(): number {
  return memoryMb('RssAnon')
}

/** Of this process: `VmRSS` has mapped files as well, `VmHWM` is the most that it ever was. */
export function memoryMb(field: 'RssAnon' | 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync('/proc/self/status', 'utf8')
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)
  return Number(line?.[1] ?? Number.NaN) / 1_024
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
