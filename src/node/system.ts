/** What a program beside a node may use of the system: the only door to those adapters. */
import { PinoLog } from '../adapters/system/index.ts'
import type { Log } from '../ports/index.ts'

export { keepHeapSmall } from '../adapters/system/index.ts'

export interface LogOptions {
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** A file descriptor, or whatever takes lines. Default 2: standard error. */
  destination?: number | { write(line: string): void }
}

/** One line of JSON per event; secrets are redacted. */
export function openLog({ level = 'info', destination = 2 }: LogOptions = {}): Log {
  return PinoLog.open({ level, destination })
}
