/**
 * Starts commands so that they outlive their worker, and finds them again.
 *
 * Decides: that a directory is run at most once, and who starts its shim: the launcher when there is
 * one, otherwise this process. Leaves to others: the shim itself (`shim.ts`), the run once it is under
 * way (`running.ts`), where directories lie and when they are removed.
 *
 * What it asks of the machine: Linux with /proc, a POSIX /bin/sh and util-linux's `setsid`. A service
 * manager must not end the whole control group with the node (systemd: `KillMode=process`). The
 * worker and its runs share one pid namespace; a container that restarts has lost its runs.
 * A descriptor above 9 that the node itself was started with, and that is not close-on-exec, goes on to
 * its commands: neither Node nor dash can close it.
 */
import { accessSync, constants, mkdirSync } from 'node:fs'
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
import { Launcher } from './launcher.ts'
import { type ProcessLimits, resolveProcessLimits } from './limits.ts'
import { inspectRun, isClaimed } from './records.ts'
import { type RunContext, RunningProcess } from './running.ts'
import { shimWords } from './shim.ts'
import {
  isDirectory,
  type ShimProcess,
  type ShimStart,
  spawnShim,
  startFailure,
} from './shim-process.ts'

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
  readonly #launcher: Launcher

  /** Throws `invalid-config` when the machine lacks what the shim needs. */
  constructor(options: ProcessRunnerOptions) {
    this.#context = {
      clock: options.clock,
      log: options.log,
      limits: resolveProcessLimits(options.limits),
    }
    this.#environment = options.environment ?? cleanEnvironment(process.env)
    this.#setsidPath = findSetsid()
    const { clock, log, limits } = this.#context
    this.#launcher = new Launcher({
      clock,
      log,
      idleMs: limits.launcherIdleMs,
      answerMs: limits.launcherAnswerMs,
    })
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
    makeDirectory(path)
    // Only saves a shim: of several that are started, all but one find the claim and exit.
    if (isClaimed(path)) {
      const attached = await this.attach(path)
      if (attached !== undefined) return attached
    }
    const startedAt = Math.round(clock.now())
    const command = commandWords(spec.command, path, limits)
    const words = shimWords(
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
    // Absolute, because the launcher has another working directory.
    const cwd = resolve(spec.cwd ?? '.')
    const shim = await this.#startShim({ words, cwd, environment })
    log.debug({ dir: path, shim: shim.pid }, 'started a run')
    return new RunningProcess(this.#context, { dir: path, startedAt }, shim)
  }

  /** Lets go of the launcher; its runs go on. A later `start` begins another one. */
  close(): void {
    this.#launcher.close()
  }

  async #startShim(start: ShimStart): Promise<ShimProcess> {
    const launched = await this.#launcher.launch(start)
    if (launched?.kind === 'started') return launched.shim
    if (launched?.kind === 'failed') throw startFailure(launched.cause, start.cwd)
    // Should the launcher have begun it before it died, the claim decides between the two.
    return spawnShim(start)
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

function makeDirectory(dir: string): void {
  // The directory of an attempt is there: looking costs less than being told so by an error.
  if (isDirectory(dir)) return
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
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
