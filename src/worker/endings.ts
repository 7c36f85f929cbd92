/**
 * How attempts end: the command is ended if need be, the result is put on disk, the owner is told, the
 * directory is retired. Decides: this order, so that a crash between any two of them costs nothing.
 */
import type { Log } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import type { AttemptFiles, AttemptRecord, AttemptResult, StoredResult } from './attempt-files.ts'
import type { OfferedSlot } from './offered-slot.ts'
import { inspectRun, type ProcessRunner } from './process/index.ts'
import type { Reporter } from './reporter.ts'
import type { Rivals } from './rivals.ts'
import type { RunUploader } from './run-uploader.ts'
import type { NextAttempt, Starter } from './starter.ts'

export interface EndingsDeps {
  files: AttemptFiles
  reporter: Reporter
  starter: Starter
  rivals: Rivals
  runner: () => ProcessRunner
  killGraceMs: number
  log: Log
  /** Hears how many owners have not answered yet. */
  counted: (reporting: number) => void
  /** When what commands write is to be read elsewhere. */
  uploader: RunUploader | undefined
}

export interface GoingOn {
  /** For what the actor wants next. */
  slot?: OfferedSlot | undefined
  /** Tasks that have files here: one of them is not begun again. */
  known?: ReadonlySet<string>
}

export class Endings {
  readonly #deps: EndingsDeps
  #reporting = 0

  constructor(deps: EndingsDeps) {
    this.#deps = deps
  }

  /** Results whose owners have not answered yet. */
  get reporting(): number {
    return this.#reporting
  }

  /** Whatever still lives of the attempt's command is ended, grace included. */
  async endRun(name: string, record: AttemptRecord): Promise<void> {
    const { files, runner, killGraceMs, rivals, log } = this.#deps
    const directory = files.directoryOf(name)
    if (inspectRun(directory).kind === 'absent') return
    const release = rivals.hold(record)
    try {
      const run = await runner().attach(directory)
      await run?.kill({ graceMs: killGraceMs })
    } catch (cause) {
      log.error({ directory, error: toErrorRecord(cause) }, 'a command could not be ended')
    } finally {
      release()
    }
  }

  /** Nobody waits for a result. */
  async drop(name: string, record: AttemptRecord): Promise<void> {
    await this.endRun(name, record)
    await this.#deps.uploader?.finish(name, record)
    this.#deps.files.retire(name)
  }

  /** @param slot for what the actor wants next; that is what comes back */
  async finish(
    name: string,
    record: AttemptRecord,
    result: AttemptResult,
    slot?: OfferedSlot,
  ): Promise<NextAttempt | undefined> {
    const stored = { commandId: this.#deps.reporter.newId(), result }
    this.#save(name, stored)
    return this.report(name, record, stored, { slot })
  }

  /** Tells the owner until it answers, or the worker stops: then the next start tells it. */
  async report(
    name: string,
    record: AttemptRecord,
    stored: StoredResult,
    { slot, known }: GoingOn = {},
  ): Promise<NextAttempt | undefined> {
    this.#count(1)
    try {
      const { reporter, starter, uploader } = this.#deps
      await uploader?.finish(name, record)
      const save = (changed: StoredResult) => this.#save(name, changed)
      const told = await reporter.report(record, stored, save, slot)
      if (told === undefined) return undefined
      const { started, commandId } = told
      const isNew = started !== undefined && known?.has(started.taskId) !== true
      // Before this one is over: it is what tells of the other, should the process be killed here.
      const begun = isNew ? await starter.take(started, commandId) : undefined
      // What is neither here nor refused is told of by this one, after a restart.
      if (begun === 'unclear') return undefined
      this.#retire(name)
      return begun === 'refused' ? undefined : begun
    } finally {
      this.#count(-1)
    }
  }

  #count(change: 1 | -1): void {
    this.#reporting += change
    this.#deps.counted(this.#reporting)
  }

  /** What has begun with this end runs all the same. */
  #retire(name: string): void {
    try {
      this.#deps.files.retire(name)
    } catch (cause) {
      const error = toErrorRecord(cause)
      this.#deps.log.error(
        { name, error },
        'an end could not be put away; a restart tells it again',
      )
    }
  }

  /** On a full disk the owner is told all the same; only a restart would have to run it again. */
  #save(name: string, stored: StoredResult): void {
    try {
      this.#deps.files.writeResult(name, stored)
    } catch (cause) {
      this.#deps.log.error({ name, error: toErrorRecord(cause) }, 'a result could not be kept')
    }
  }
}
