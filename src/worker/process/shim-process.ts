/**
 * A shim as a process: starting one from here, and learning of its end.
 *
 * Decides: what a shim gets from whoever starts it (its own session, /dev/null, no descriptor: Node
 * opens all close-on-exec), and what a failed start is to a caller. Leaves to others: starting it
 * without a fork of the node (`launcher.ts`), and what its end means (`running.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { statSync } from 'node:fs'

import { TroupeError } from '../../protocol/index.ts'
import { SHIM_SCRIPT } from './shim.ts'

export interface ShimStart {
  /** What follows the script; see `shimWords`. */
  words: readonly string[]
  cwd: string
  environment: Readonly<Record<string, string>>
}

export interface ShimProcess {
  readonly pid: number | undefined
  /**
   * Resolves when the shim is gone, so that what it left behind is on disk, or when nobody is left who
   * could say so: then with null, as for an end by a signal. The records have the answer.
   */
  readonly gone: Promise<number | null>
  isGone(): boolean
  /** It no longer keeps this process from ending. */
  unref(): void
}

/** Forks this process. */
export async function spawnShim(start: ShimStart): Promise<ShimProcess> {
  const { words, cwd, environment: env } = start
  let child: ChildProcess
  try {
    const options = { cwd, env, detached: true, stdio: 'ignore' } as const
    child = spawn('/bin/sh', ['-c', SHIM_SCRIPT, ...words], options)
  } catch (cause) {
    throw startFailure(cause, cwd)
  }
  // Without a pid the failure is on its way as an event; with one there is nothing to wait for.
  if (child.pid === undefined) {
    const cause = await new Promise<unknown>((done) => child.once('error', done))
    throw startFailure(cause, cwd)
  }
  return {
    pid: child.pid,
    // Listened for from the start: the event may come before anybody asks for the end.
    gone: new Promise((resolve) => child.once('exit', (code: number | null) => resolve(code))),
    isGone: () => child.exitCode !== null || child.signalCode !== null,
    unref: () => child.unref(),
  }
}

/** `not-found` (cwd), `too-large`, or `unavailable`: there is no process to be had. */
export function startFailure(cause: unknown, cwd: string): TroupeError {
  if (!isDirectory(cwd)) {
    return new TroupeError('not-found', `cwd ${cwd} is not a directory`, { cause })
  }
  if ((cause as NodeJS.ErrnoException).code === 'E2BIG') {
    return new TroupeError('too-large', 'command and environment exceed what this machine allows', {
      cause,
    })
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  return new TroupeError('unavailable', `cannot start a process: ${why}`, { cause })
}

export function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    return false
  }
}
