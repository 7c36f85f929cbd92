/**
 * When a worker refuses new tasks because of its machine. Decides: what is measured, and the words of
 * the reasons. Leaves to others: the number of slots (`intake.ts`), and when to look.
 */
import { readFileSync } from 'node:fs'
import { freemem, loadavg } from 'node:os'

export interface AcceptanceLimits {
  /** The load average of a minute above which nothing is taken. */
  loadMax?: number
  /** Available memory below which nothing is taken. */
  memoryMinBytes?: number
}

export interface HostFigures {
  /** Load average of the last minute. */
  load: number
  memoryFreeBytes: number
}

export function hostFigures(): HostFigures {
  return { load: loadavg()[0] ?? 0, memoryFreeBytes: availableBytes() }
}

/** What the kernel could give away, caches included; `free` alone is small on every busy machine. */
function availableBytes(): number {
  try {
    const [, kilobytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(read()) ?? []
    if (kilobytes !== undefined) return Number(kilobytes) * 1024
  } catch {
    // Not Linux.
  }
  return freemem()
}

function read(): string {
  return readFileSync('/proc/meminfo', 'utf8')
}

/** Why the machine is too busy for more; undefined when it is not. */
export function refusalOf(limits: AcceptanceLimits, figures: HostFigures): string | undefined {
  const { loadMax, memoryMinBytes } = limits
  const { load, memoryFreeBytes } = figures
  if (loadMax !== undefined && load > loadMax) {
    return `load: ${load.toFixed(2)} is above ${loadMax} (--load-max)`
  }
  if (memoryMinBytes !== undefined && memoryFreeBytes < memoryMinBytes) {
    return `memory: ${megabytes(memoryFreeBytes)} MB available, less than ${megabytes(memoryMinBytes)} MB (--memory-min)`
  }
  return undefined
}

function megabytes(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2)
}
