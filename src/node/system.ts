/** The clock and the log that a program beside a node may use: the only door to those adapters. */
import { PinoLog, SystemClock } from '../adapters/system/index.ts'
import type { Clock, Log } from '../ports/index.ts'

export function systemClock(): Clock {
  return new SystemClock()
}

export interface LogOptions {
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** A file descriptor, or whatever takes lines. Default 2: standard error. */
  destination?: number | { write(line: string): void }
}

/** One line of JSON per event; secrets are redacted. */
export function openLog({ level = 'info', destination = 2 }: LogOptions = {}): Log {
  return PinoLog.open({ level, destination })
}
