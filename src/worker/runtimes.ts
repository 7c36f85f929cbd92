/**
 * What the code of attempts needs of their worker to run commands (`run-process.ts`). Decides: that there
 * is one process runner, made when a command is first wanted, and when a heartbeat file is stamped.
 */
import { readFileSync, writeFileSync } from 'node:fs'

import type { Clock, Log } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import type { RunningAttempt } from './attempt.ts'
import type { AttemptFiles } from './attempt-files.ts'
import type { RunRuntime, TaskNode } from './attempt-runtime.ts'
import type { LogStore } from './logs/index.ts'
import { ProcessRunner } from './process/index.ts'
import type { RunUploader } from './run-uploader.ts'

export interface RuntimesDeps {
  files: AttemptFiles
  logs: LogStore
  bootId: string
  killGraceMs: number
  clock: Clock
  log: Log
  uploader: RunUploader | undefined
  node: TaskNode | undefined
  configOf: (task: string) => unknown
}

export class Runtimes {
  readonly #deps: RuntimesDeps
  #runner: ProcessRunner | undefined

  constructor(deps: RuntimesDeps) {
    this.#deps = deps
  }

  of(attempt: RunningAttempt): RunRuntime {
    const { files, logs, log, killGraceMs, bootId, uploader, node, configOf } = this.#deps
    const { name, record } = attempt
    return {
      runner: () => this.runner(),
      logs,
      log,
      killGraceMs,
      get beatFile() {
        return files.beatFileOf(name)
      },
      touchBeatFile: () => {
        attempt.watched = true
        this.touch(attempt)
      },
      rebooted: record.bootId !== bootId,
      point: (number) => {
        attempt.hasCommand = true
        files.point(record.address, name, number)
        uploader?.begin(name, record)
      },
      own: (run) => attempt.own(run),
      config: configOf(record.name),
      node,
    }
  }

  runner(): ProcessRunner {
    const { clock, log } = this.#deps
    this.#runner ??= new ProcessRunner({ clock, log })
    return this.#runner
  }

  /** Writing a byte has the kernel stamp the file, as the watchdog wants it. */
  touch(attempt: RunningAttempt): void {
    if (!attempt.watched) return
    const { files, log } = this.#deps
    try {
      writeFileSync(files.beatFileOf(attempt.name), '.')
    } catch (cause) {
      const fields = { taskId: attempt.record.taskId, error: toErrorRecord(cause) }
      log.error(fields, 'a heartbeat file cannot be written; its command will be ended')
    }
  }

  close(): void {
    this.#runner?.close()
  }
}

/** Of the running kernel; empty where there is no /proc. */
export function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
