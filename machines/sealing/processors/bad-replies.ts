/**
 * Keeps replies that could not be read, for the author of the processor. Decides: where (the directory
 * that the variable DUMP_ERR_RESP_<pid of the child> names, as with workers of today, else the configured
 * one) and how many. Leaves to others: what becomes of the request.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../../src/index.ts'
import { wordsOf } from './errors.ts'
import type { ProcessorConfig } from './settings.ts'

const LOGGED_CHARS = 100

export interface BadReply {
  lane: string
  pid: number | null
  text: string
  why: string
}

export class BadReplies {
  readonly #log: Log
  readonly #env: NodeJS.ProcessEnv
  readonly #dumpsMax: number
  #dumps = 0

  constructor({ log, env, dumpsMax }: { log: Log; env: NodeJS.ProcessEnv; dumpsMax: number }) {
    this.#log = log
    this.#env = env
    this.#dumpsMax = dumpsMax
  }

  keep({ lane, pid, text, why }: BadReply, config: ProcessorConfig): void {
    const line = text.slice(0, LOGGED_CHARS)
    this.#log.error({ lane, pid, line, why }, 'a reply of a child cannot be read')
    const directory = this.#env[`DUMP_ERR_RESP_${pid}`] ?? config.dumpBadRepliesTo
    if (directory === null || directory === '' || this.#dumps >= this.#dumpsMax) return
    this.#dumps += 1
    const path = join(directory, `${lane}-${pid}-${this.#dumps}.txt`)
    this.#dump(directory, path, text).then(
      () => this.#log.info({ lane, path }, 'the reply was kept'),
      (thrown) => this.#log.warn({ lane, path, error: wordsOf(thrown) }, 'the reply was not kept'),
    )
  }

  async #dump(directory: string, path: string, text: string): Promise<void> {
    await mkdir(directory, { recursive: true })
    await writeFile(path, text, { mode: 0o600 })
  }
}
