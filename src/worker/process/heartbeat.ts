/**
 * The worker's heartbeat: a file that it touches while it lives, for the watchdogs of its runs.
 *
 * Decides: how often (four times per `orphanMs`) and that the kernel stamps the time, so that worker
 * and watchdog compare times of one clock. Leaves to others: what a stopped heartbeat means (`shim.ts`).
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import type { Clock, Log } from '../../ports/index.ts'
import { toErrorRecord } from '../../protocol/index.ts'
import { WATCHDOG_INTERVALS } from './shim.ts'

export interface HeartbeatOptions {
  clock: Clock
  log: Log
  /** Absolute; its directory is made when missing. */
  file: string
  /** The shortest `orphanMs` of the runs that watch this file. */
  orphanMs: number
}

export class Heartbeat {
  readonly #clock: Clock
  readonly #log: Log
  readonly #file: string
  readonly #periodMs: number
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: HeartbeatOptions) {
    this.#clock = options.clock
    this.#log = options.log
    this.#file = options.file
    this.#periodMs = Math.max(1, Math.floor(options.orphanMs / WATCHDOG_INTERVALS))
  }

  /** Resolves after the first touch, so that a run started next finds the file. Rejects when it fails. */
  async start(): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true })
    await this.#touch()
    this.#next()
  }

  /** No touch begins after this. The file stays; watchdogs end their groups `orphanMs` later. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #next(): void {
    if (this.#stopped) return
    this.#cancel = this.#clock.after(this.#periodMs, () => {
      this.#touch().then(
        () => this.#next(),
        (cause: unknown) => {
          // Commands will be ended unless a later touch succeeds, so try on and say so each time.
          this.#log.error({ file: this.#file, error: toErrorRecord(cause) }, 'heartbeat failed')
          this.#next()
        },
      )
    })
  }

  /** Writing a byte has the kernel stamp the file; setting times would stamp it with our clock. */
  async #touch(): Promise<void> {
    await writeFile(this.#file, '.')
  }
}
