/** How much memory a child takes. Decides: what counts as that. Leaves to others: who is asked about. */
import { readFileSync } from 'node:fs'

/** Resident memory of a process, or null when it is not there. */
export function residentBytes(pid: number): number | null {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(statusOf(pid))?.[1]
  return kib === undefined ? null : Number(kib) * 1_024
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
