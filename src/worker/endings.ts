/**
 * How attempts end: the command is ended if need be, the result is put on disk, the owner is told, the
 * directory is retired. Decides: this order, so that a crash between any two of them costs nothing.
 */
import type { Log } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import type { AttemptFiles, AttemptRecord, AttemptResult, StoredResult } from './attempt-files.ts'
import { inspectRun, type ProcessRunner } from './process/index.ts'
import type { Reporter } from './reporter.ts'
import type { Rivals } from './rivals.ts'
import type { RunUploader } from './run-uploader.ts'

export interface EndingsDeps {
  files: AttemptFiles
  reporter: Reporter
  rivals: Rivals
  runner: () => ProcessRunner
  killGraceMs: number
  log: Log
  /** Hears how many owners have not answered yet. */
  counted: (reporting: number) => void
  /** When what commands write is to be read elsewhere. */
  uploader: RunUploader | undefined
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

  async finish(name: string, record: AttemptRecord, result: AttemptResult): Promise<void> {
    const stored = { commandId: this.#deps.reporter.newId(), result }
    this.#save(name, stored)
    await this.report(name, record, stored)
  }

  /** Tells the owner until it answers, or the worker stops: then the next start tells it. */
  async report(name: string, record: AttemptRecord, stored: StoredResult): Promise<void> {
    this.#count(1)
    try {
      await this.#deps.uploader?.finish(name, record)
      const save = (changed: StoredResult) => this.#save(name, changed)
      const answered = await this.#deps.reporter.report(record, stored, save)
      if (answered) this.#deps.files.retire(name)
    } finally {
      this.#count(-1)
    }
  }

  #count(change: 1 | -1): void {
    this.#reporting += change
    this.#deps.counted(this.#reporting)
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
