/**
 * The files of a run's directory, and what they say about the run.
 *
 * Decides: the names, the form of the records, and from them whether a run is absent, running or
 * ended. Leaves to others: writing most of them (`shim.ts`) and waiting for a change (`running.ts`).
 *
 * A record is one line of words that ends in `end`; a line without it is still being written and
 * counts as absent. Times of ends are the times of the files: the shell has no clock of its own.
 * Reads are synchronous: records are a hundred bytes, written moments ago, and such a read takes 7 µs
 * where a promised one took 320 µs (measured), several of which every run would pay.
 *
 * | file | holds | written by |
 * |---|---|---|
 * | `claim` | the shim's pid, start ticks, boot id; unix ms of the start | shim, O_EXCL, first of all |
 * | `pid` | the leader's pid, start ticks, boot id | the command itself, before its exec |
 * | `exit` | status, signal number or 0, reason, unix ms of the start | shim, once; the runner when lost |
 * | `stdout`, `stderr` | the streams | the command |
 * | `kill`, `orphaned` | markers: the end was asked for by the worker, by the watchdog | runner, shim |
 * | `shim`, `watch`, `script` | the shim's words, the watchdog's last look, a long shell command | |
 */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'

import { TroupeError } from '../../protocol/index.ts'
import { type ProcessIdentity, processLives, shimLives } from './identity.ts'
import { SHIM_NAME } from './shim.ts'

export const RUN_FILES = {
  claim: 'claim',
  pid: 'pid',
  exit: 'exit',
  stdout: 'stdout',
  stderr: 'stderr',
  kill: 'kill',
  shim: 'shim',
  script: 'script',
} as const

/**
 * Why the run is over. `exited`: by itself. `killed`: after `kill` was asked. `orphaned`: the watchdog
 * ended it because the worker's heartbeat had stopped. `lost`: the shim died before it could record
 * the end (a reboot, a kill -9 of the shim); what the command did is not known.
 */
export type ExitReason = 'exited' | 'killed' | 'lost' | 'orphaned'

export interface ProcessExit {
  /** The exit code; null when a signal ended the command, and when it is lost. */
  code: number | null
  /** The name of the signal that ended the command, such as `SIGKILL`. */
  signal: string | null
  /** Unix ms, by the clock of the worker that started it. */
  startedAt: number
  /** Unix ms, by the clock of the file system; when lost, the time at which that was noticed. */
  endedAt: number
  reason: ExitReason
}

export type RunState =
  /** Never started: there is no claim. */
  | { kind: 'absent' }
  | {
      kind: 'running'
      startedAt: number
      /** Undefined until the command has begun. */
      leader: ProcessIdentity | undefined
      /** False when the shim died and the command lives on: its status can no longer be known. */
      attended: boolean
    }
  /** The end is on record. */
  | { kind: 'ended'; exit: ProcessExit; leader: ProcessIdentity | undefined }
  /** Nobody of it lives and nobody recorded its end. `recordLoss` makes that an end. */
  | { kind: 'lost'; startedAt: number; leader: ProcessIdentity | undefined }

interface Claim {
  /** Undefined while the claim is being written, or for ever when its shim died that moment. */
  shim: ProcessIdentity | undefined
  startedAt: number
}

const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number as number, name]),
)

/** What the directory says, checked against the processes that live now. */
export function inspectRun(dir: string): RunState {
  const ended = inspectEnd(dir)
  if (ended !== undefined) return ended
  const claim = readClaim(dir)
  if (claim === undefined) return { kind: 'absent' }
  const attended = claim.shim === undefined ? shimLives(dir, SHIM_NAME) : processLives(claim.shim)
  const leader = readLeader(dir)
  const { startedAt } = claim
  if (attended) return { kind: 'running', startedAt, leader, attended }
  // Only now is it certain that nobody writes any more: read again what may have been written since.
  const after = inspectEnd(dir)
  if (after !== undefined) return after
  if (claim.shim === undefined && readClaim(dir)?.shim !== undefined) return inspectRun(dir)
  // A shim that died the moment it forked leaves a copy of itself, which is about to be the command.
  const lives = leader === undefined ? shimLives(dir, SHIM_NAME) : processLives(leader)
  if (lives) return { kind: 'running', startedAt, leader, attended }
  return { kind: 'lost', startedAt, leader }
}

/** Whether anybody began, or is about to begin, the run of this directory. */
export function isClaimed(dir: string): boolean {
  return existsSync(join(dir, RUN_FILES.claim))
}

/** The recorded end, or undefined. */
export function readExit(dir: string): ProcessExit | undefined {
  const path = join(dir, RUN_FILES.exit)
  const words = readWords(path, 4)
  if (words === undefined) return undefined
  const [code, number, reason, startedAt] = words as [string, string, string, string]
  const signal = number === '0' ? null : (SIGNAL_NAMES.get(Number(number)) ?? `SIG${number}`)
  // Files are stamped with the last tick of the kernel, a few ms behind the clock that started it.
  const endedAt = Math.max(statSync(path).mtimeMs, Number(startedAt))
  return {
    code: signal === null && code !== '-' ? Number(code) : null,
    signal,
    startedAt: Number(startedAt),
    endedAt: Math.round(endedAt),
    reason: reason as ExitReason,
  }
}

/** The command's identity, or undefined while it has not begun. */
export function readLeader(dir: string): ProcessIdentity | undefined {
  const words = readWords(join(dir, RUN_FILES.pid), 3)
  return words === undefined ? undefined : identity(words)
}

/**
 * Records a proven loss, so that it is found without proof from then on. Several may do so at once:
 * they write the same. Nobody else writes this file any more, because the shim is dead.
 */
export function recordLoss(dir: string, startedAt: number): void {
  const path = join(dir, RUN_FILES.exit)
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, `- 0 lost ${startedAt} end\n`)
    renameSync(draft, path)
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot record the loss of the run in ${dir}`, { cause })
  }
}

function inspectEnd(dir: string): RunState | undefined {
  const exit = readExit(dir)
  return exit === undefined ? undefined : { kind: 'ended', exit, leader: readLeader(dir) }
}

function readClaim(dir: string): Claim | undefined {
  const path = join(dir, RUN_FILES.claim)
  const words = readWords(path, 4)
  if (words !== undefined) return { shim: identity(words), startedAt: Number(words[3]) }
  try {
    return { shim: undefined, startedAt: Math.round(statSync(path).mtimeMs) }
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw cause
  }
}

function identity(words: readonly string[]): ProcessIdentity {
  return { pid: Number(words[0]), startTicks: Number(words[1]), bootId: words[2] ?? '' }
}

/** The words of a whole record, or undefined when there is none or it is still being written. */
function readWords(path: string, count: number): string[] | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw new TroupeError('store-failed', `cannot read ${path}`, { cause })
  }
  const words = text.trimEnd().split(' ')
  return words.length === count + 1 && words[count] === 'end' ? words : undefined
}

export function isMissing(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code
  return code === 'ENOENT' || code === 'ENOTDIR'
}
