/**
 * The listings of the old command line tools, byte for byte as v0.2 printed them: scripts read them.
 * Decides: words, columns and what stands for a value that is missing. Pure.
 */
import type { OldWorkerRow } from '../daemon/index.ts'
import { sectorName } from '../venus/index.ts'
import { goDuration, goDurationOfMs, goTable } from './go-text.ts'
import { rustOption, rustSeconds, rustText } from './rust-text.ts'

const MISSING = 'NULL'
const NS_OF_SECOND = 1_000_000_000n

/** `sealing worker list`: one line for each thread. */
export function oldThreadLine(row: OldWorkerRow): string {
  const sector = row.sector_id === null ? null : sectorName(row.sector_id)
  const elapsed = row.paused_elapsed === null ? null : rustSeconds(row.paused_elapsed)
  const error = row.last_error === null ? null : rustText(row.last_error)
  const fields = [
    `sector_id=${rustOption(sector)}`,
    `paused=${row.paused}`,
    `paused_elapsed=${rustOption(elapsed)}`,
    `state=${row.state}`,
    `last_err=${rustOption(error)}`,
  ]
  return `#${row.index}: ${rustText(row.location)}; ${fields.join(', ')}`
}

/** `sealing worker pause|resume`: what was logged, whatever became of it. */
export function oldControlLine(action: string, index: number, isDone: boolean): string {
  return `#${index} worker ${action} done=${isDone}`
}

const INFO_HEADINGS = ['Index', 'Loc', 'SectorID', 'Paused', 'PausedElapsed', 'State', 'LastErr']

/** `util worker info`: nothing at all where there are no threads. */
export function oldInfoLines(rows: readonly OldWorkerRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map((row) => [
    String(row.index),
    row.location,
    row.sector_id === null ? MISSING : sectorName(row.sector_id),
    String(row.paused),
    row.paused_elapsed === null ? MISSING : goDuration(BigInt(row.paused_elapsed) * NS_OF_SECOND),
    row.state,
    row.last_error ?? MISSING,
  ])
  return goTable([INFO_HEADINGS, ...cells])
}

/** A worker by its pings, as the old list shows it. */
export interface PingedWorker {
  name: string
  dest: string
  summary: { Threads: number; Empty: number; Paused: number; Errors: number }
  /** Since it was heard; fractions of a ms count. */
  sinceMs: number
}

const LIST_HEADINGS = [
  'Name',
  'Dest',
  'Threads',
  'Empty',
  'Paused',
  'Errors',
  'LastPing(with ! if expired)',
]

/** `util worker list`: with its headings also where there is nobody. */
export function oldWorkerLines(workers: readonly PingedWorker[], expirationMs: number): string[] {
  const cells = workers.map(({ name, dest, summary, sinceMs }) => [
    name,
    dest,
    String(summary.Threads),
    String(summary.Empty),
    String(summary.Paused),
    String(summary.Errors),
    `${goDurationOfMs(sinceMs)}${sinceMs > expirationMs ? ' (!)' : ''}`,
  ])
  return goTable([LIST_HEADINGS, ...cells])
}

/** `util worker pause|resume`. */
export function oldCallLine(action: string, isOk: boolean): string {
  return `${action} call done, ok = ${isOk}`
}
