/**
 * Starts commands so that they outlive their worker, and finds them again.
 *
 * Decides: that a directory is run at most once, and what a shim gets from the node: nothing but its
 * arguments, a clean environment and /dev/null. Leaves to others: the shim itself (`shim.ts`), the run
 * once it is under way (`running.ts`), where directories lie and when they are removed.
 *
 * What it asks of the machine: Linux with /proc, a POSIX /bin/sh and util-linux's `setsid`. A service
 * manager must not end the whole control group with the node (systemd: `KillMode=process`). The
 * worker and its runs share one pid namespace; a container that restarts has lost its runs.
 * A descriptor above 9 that the node itself was started with, and that is not close-on-exec, goes on to
 * its commands: neither Node nor dash can close it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { resolve } from 'node:path'

import type { Clock, Log } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'
import {
  checkSpec,
  cleanEnvironment,
  commandWords,
  environmentOf,
  type ProcessSpec,
  watchdogOf,
} from './command.ts'
import { bootId } from './identity.ts'
import { type ProcessLimits, resolveProcessLimits } from './limits.ts'
import { inspectRun, isClaimed } from './records.ts'
import { type RunContext, RunningProcess } from './running.ts'
import { shimArguments } from './shim.ts'

export interface ProcessRunnerOptions {
  clock: Clock
  log: Log
  limits?: Partial<ProcessLimits>
  /** What `envBase: 'clean'` starts from. Default: `cleanEnvironment(process.env)`. */
  environment?: Readonly<Record<string, string>>
}

const SETSID_PATHS = ['/usr/bin/setsid', '/bin/setsid']

export class ProcessRunner {
  readonly #context: RunContext
  readonly #environment: Readonly<Record<string, string>>
  readonly #setsidPath: string

  /** Throws `invalid-config` when the machine lacks what the shim needs. */
  constructor(options: ProcessRunnerOptions) {
    this.#context = {
      clock: options.clock,
      log: options.log,
      limits: resolveProcessLimits(options.limits),
    }
    this.#environment = options.environment ?? cleanEnvironment(process.env)
    this.#setsidPath = findSetsid()
  }

  /**
   * Runs the command of `spec` in `dir` (made when missing, mode 0700), unless `dir` was started before
   * by anybody: then attaches to that run, whatever `spec` says. Resolves once the shim is under way.
   * Rejects with `malformed` or `too-large` (spec), `not-found` (cwd), `store-failed` (dir) or
   * `unavailable` (no process to be had; nothing ran).
   */
  async start(dir: string, spec: ProcessSpec): Promise<RunningProcess> {
    const { clock, limits, log } = this.#context
    checkSpec(spec, limits)
    const path = resolve(dir)
    await makeDirectory(path)
    // Only saves a shim: of several that are started, all but one find the claim and exit.
    if (isClaimed(path)) {
      const attached = await this.attach(path)
      if (attached !== undefined) return attached
    }
    const startedAt = Math.round(clock.now())
    const command = await commandWords(spec.command, path, limits)
    const words = shimArguments(
      {
        dir: path,
        startedAt,
        bootId: bootId(),
        groupGraceMs: spec.keepGroup ? undefined : (spec.groupGraceMs ?? limits.groupGraceMs),
        watchdog: watchdogOf(spec),
        setsidPath: this.#setsidPath,
      },
      command,
    )
    const environment = environmentOf(spec, path, this.#environment)
    const child = await spawnShim(words, spec.cwd ?? process.cwd(), environment)
    log.debug({ dir: path, shim: child.pid }, 'started a run')
    return new RunningProcess(this.#context, { dir: path, startedAt }, child)
  }

  /**
   * The run of `dir`, running or over; undefined when it was never started, or so recently that its shim
   * has not claimed it yet. To have it run, whatever was before, use `start`.
   */
  async attach(dir: string): Promise<RunningProcess | undefined> {
    const path = resolve(dir)
    const state = inspectRun(path)
    if (state.kind === 'absent') return undefined
    const startedAt = state.kind === 'ended' ? state.exit.startedAt : state.startedAt
    return new RunningProcess(this.#context, { dir: path, startedAt, leader: state.leader })
  }
}

/** Detached: the shim has its own session, and no descriptor of the node (Node opens all close-on-exec). */
async function spawnShim(
  words: readonly string[],
  cwd: string,
  environment: Record<string, string>,
): Promise<ChildProcess> {
  let child: ChildProcess
  try {
    child = spawn('/bin/sh', words, { cwd, env: environment, detached: true, stdio: 'ignore' })
  } catch (cause) {
    throw await spawnFailure(cause, cwd)
  }
  // Without a pid the failure is on its way as an event; with one there is nothing to wait for.
  if (child.pid !== undefined) return child
  const cause = await new Promise<unknown>((done) => child.once('error', done))
  throw await spawnFailure(cause, cwd)
}

async function spawnFailure(cause: unknown, cwd: string): Promise<TroupeError> {
  const isDirectory = await stat(cwd).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isDirectory) return new TroupeError('not-found', `cwd ${cwd} is not a directory`, { cause })
  if ((cause as NodeJS.ErrnoException).code === 'E2BIG') {
    return new TroupeError('too-large', 'command and environment exceed what this machine allows', {
      cause,
    })
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  return new TroupeError('unavailable', `cannot start a process: ${why}`, { cause })
}

async function makeDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot make the run directory ${dir}`, { cause })
  }
}

function findSetsid(): string {
  const found = SETSID_PATHS.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (found !== undefined) return found
  throw new TroupeError('invalid-config', `no setsid at ${SETSID_PATHS.join(' or ')} (util-linux)`)
}
