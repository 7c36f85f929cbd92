/** `troupe` with the families of these tests in a process of its own, to be killed by them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { scriptArguments } from '../../script.ts'
import { until } from '../../waiting.ts'

const SCRIPT = join(import.meta.dirname, 'troupe-main.ts')
const PATIENCE_MS = 60_000

export class TroupeProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<number | string>
  #output = ''

  constructor(words: readonly string[]) {
    const child = spawn(process.execPath, [...scriptArguments(SCRIPT), ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    })
  }

  /** Everything that it wrote. */
  get output(): string {
    return this.#output
  }

  async wrote(text: string): Promise<void> {
    await until(
      () => this.#output.includes(text),
      { timeoutMs: PATIENCE_MS },
      () => `"${text}"; it wrote ${this.#output}`,
    )
  }

  /** Resolves with the exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | string> {
    this.#child.kill(signal)
    return this.#ended
  }
}
