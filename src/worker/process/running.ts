/**
 * One run, as its worker sees it: waiting for its end and ending it.
 *
 * Decides: how the end is noticed (at once as the shim's parent, by watching after a re-attach), when
 * a run is lost, and how it is killed. Leaves to others: what the records mean (`records.ts`), and
 * whether a pid may be signalled (`identity.ts`).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Clock, Log } from '../../ports/index.ts'
import { TroupeError, toErrorRecord } from '../../protocol/index.ts'
import { ChangeHint } from './change.ts'
import { groupLives, type ProcessIdentity, runProof, shimLives, signalGroup } from './identity.ts'
import type { ProcessLimits } from './limits.ts'
import {
  inspectRun,
  isClaimed,
  type ProcessExit,
  RUN_FILES,
  type RunState,
  readExit,
  recordLoss,
} from './records.ts'
import { SHIM_EXIT_UNWRITABLE, SHIM_NAME } from './shim.ts'
import { isDirectory, type ShimProcess } from './shim-process.ts'

export interface RunContext {
  clock: Clock
  log: Log
  limits: ProcessLimits
}

export interface KillOptions {
  /** From SIGTERM to SIGKILL, in ms; 0 sends both at once. */
  graceMs: number
}

export class RunningProcess {
  readonly dir: string
  readonly #context: RunContext
  /** The one that we started. */
  readonly #shim: ShimProcess | undefined
  readonly #left: Promise<void>
  #leave: () => void = () => {}
  #detached = false
  #startedAt: number
  #leader: ProcessIdentity | undefined
  #exit: Promise<ProcessExit> | undefined

  constructor(
    context: RunContext,
    run: { dir: string; startedAt: number; leader?: ProcessIdentity | undefined },
    shim?: ShimProcess,
  ) {
    this.dir = run.dir
    this.#context = context
    this.#startedAt = run.startedAt
    this.#leader = run.leader
    this.#shim = shim
    this.#left = new Promise((resolve) => {
      this.#leave = resolve
    })
  }

  /** Unix ms at which the run was asked for, by the clock of the worker that asked. */
  get startedAt(): number {
    return this.#startedAt
  }

  /**
   * The pid of the command, which leads its own session and process group. Undefined until the command
   * is known to have begun; `whenStarted` waits for that.
   */
  get pid(): number | undefined {
    return this.#leader?.pid
  }

  /** Waits until the command has begun, or is over. Undefined when it never began. */
  async whenStarted(): Promise<number | undefined> {
    await this.#until(() => {
      if (this.#leader !== undefined) return true
      const state = inspectRun(this.dir)
      this.#note(state)
      if (state.kind === 'absent') return !this.#mayBegin()
      return state.leader !== undefined || state.kind !== 'running'
    })
    return this.pid
  }

  /**
   * Resolves when the run is over: the leader has ended and, unless `keepGroup`, so has its group, so
   * the streams are complete. Rejects with `store-failed` when the run could not begin because its
   * directory cannot be written, with `not-found` when the directory was removed, and with
   * `unavailable` after `detach`, or when its shim was killed before it could begin (start it again).
   */
  exit(): Promise<ProcessExit> {
    this.#exit ??= this.#waitForExit()
    return this.#exit
  }

  /**
   * Sends SIGTERM to the command's group and, when anybody of it lives after `graceMs`, SIGKILL.
   * Resolves when nobody lives; `exit` follows within moments. Ends a group whose leader is gone too.
   * Does nothing when nobody is there, or when what has the pid now is not the command. A run that
   * ends after this has the reason `killed`, whoever attaches. Rejects with `no-answer` when the group
   * survives SIGKILL for `killWaitMs` (a process that waits in the kernel).
   */
  async kill(options: KillOptions): Promise<void> {
    await this.whenStarted()
    const leader = this.#leader
    const proof = runProof(this.dir)
    if (leader === undefined || !groupLives(leader, proof)) return
    const { clock, limits, log } = this.#context
    this.#markKilled()
    log.info({ dir: this.dir, pid: leader.pid }, 'ending the process group')
    signalGroup(leader, proof, 'SIGTERM')
    const isGone = () => !groupLives(leader, proof)
    const killAt = clock.monotonic() + options.graceMs
    await this.#until(() => isGone() || clock.monotonic() >= killAt)
    const giveUpAt = clock.monotonic() + limits.killWaitMs
    // Repeated, because a member may fork while the others are being signalled.
    await this.#until(() => {
      if (isGone() || clock.monotonic() >= giveUpAt) return true
      signalGroup(leader, proof, 'SIGKILL')
      return isGone()
    })
    if (isGone()) return
    throw new TroupeError(
      'no-answer',
      `process group ${leader.pid} of ${this.dir} still lives ${limits.killWaitMs} ms after SIGKILL`,
    )
  }

  /**
   * Stops watching and leaves the command to itself; this Node process may then end. What waits in
   * `exit`, `whenStarted` or `kill` rejects with `unavailable`.
   */
  detach(): void {
    this.#detached = true
    this.#shim?.unref()
    this.#leave()
  }

  async #waitForExit(): Promise<ProcessExit> {
    if (this.#shim !== undefined) {
      const code = await Promise.race([this.#shim.gone, this.#left])
      this.#refuseDetached()
      if (code === SHIM_EXIT_UNWRITABLE) {
        throw new TroupeError('store-failed', `the run directory ${this.dir} cannot be written`)
      }
      // Any other status leads to the records: another shim may have the claim, or ours was killed.
    }
    const exit = this.#look()
    return exit ?? this.#watchForExit()
  }

  async #watchForExit(): Promise<ProcessExit> {
    const { clock, limits } = this.#context
    const hint = new ChangeHint(clock, [join(this.dir, RUN_FILES.shim)], limits.attachPollMs)
    try {
      for (;;) {
        const exit = this.#look()
        if (exit !== undefined) return exit
        await Promise.race([hint.wait(), this.#left])
        this.#refuseDetached()
      }
    } finally {
      hint.close()
    }
  }

  /** The end, if there is one now; a loss is put on record. */
  #look(): ProcessExit | undefined {
    const state = inspectRun(this.dir)
    this.#note(state)
    switch (state.kind) {
      case 'ended':
        return state.exit
      case 'running':
        return undefined
      case 'lost':
        this.#context.log.warn({ dir: this.dir }, 'run is lost: its shim died before the command')
        recordLoss(this.dir, state.startedAt)
        return readExit(this.dir)
      case 'absent':
        if (this.#mayBegin()) return undefined
        // Its shim is gone, and may have claimed the directory since we looked.
        if (isClaimed(this.dir)) return this.#look()
        if (this.#shim === undefined || !isDirectory(this.dir)) {
          throw new TroupeError('not-found', `there is no run in ${this.dir} any more`)
        }
        throw new TroupeError('unavailable', `the shim of ${this.dir} died before it ran anything`)
    }
  }

  /** The shim that we started has not claimed the directory; asked for when there is no claim. */
  #mayBegin(): boolean {
    if (this.#shim === undefined) return false
    // A shim whose launcher died is not known to be gone.
    return !this.#shim.isGone() || shimLives(this.dir, SHIM_NAME)
  }

  #note(state: RunState): void {
    if (state.kind === 'absent') return
    this.#leader ??= state.leader
    this.#startedAt = state.kind === 'ended' ? state.exit.startedAt : state.startedAt
  }

  /** Left before the signal, so that the shim finds it when the command ends of it. */
  #markKilled(): void {
    try {
      writeFileSync(join(this.dir, RUN_FILES.kill), '')
    } catch (cause) {
      // A full disk must not keep a command alive; its end will only have the reason `exited`.
      const fields = { dir: this.dir, error: toErrorRecord(cause) }
      this.#context.log.warn(fields, 'cannot leave the mark of a kill')
    }
  }

  async #until(isDone: () => boolean): Promise<void> {
    const { clock, limits } = this.#context
    for (;;) {
      this.#refuseDetached()
      if (isDone()) return
      let cancel = () => {}
      const pause = new Promise<void>((resolve) => {
        cancel = clock.after(limits.killPollMs, resolve)
      })
      await Promise.race([pause, this.#left])
      cancel()
    }
  }

  #refuseDetached(): void {
    if (!this.#detached) return
    throw new TroupeError('unavailable', `this worker has let go of the run in ${this.dir}`)
  }
}
