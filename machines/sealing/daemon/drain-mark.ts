/** That a worker is being drained, for a restart in between. Decides: where it is noted. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = 'draining'

export class DrainMark {
  readonly #directory: string
  readonly #path: string

  constructor(data: string) {
    this.#directory = data
    this.#path = join(data, FILE)
  }

  get isSet(): boolean {
    return existsSync(this.#path)
  }

  set(isSet: boolean): void {
    if (!isSet) return rmSync(this.#path, { force: true })
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    writeFileSync(this.#path, '')
  }
}
