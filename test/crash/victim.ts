/** A node as a real process, to be killed and started again on the same port and directory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { scriptArguments } from '../script.ts'
import { until } from '../waiting.ts'

const START_TIMEOUT_MS = 30_000

export class Victim {
  readonly url: string
  readonly #dataDirectory: string
  readonly #port: number
  #child: ChildProcess | undefined
  #errors = ''

  private constructor(dataDirectory: string, port: number) {
    this.#dataDirectory = dataDirectory
    this.#port = port
    this.url = `http://127.0.0.1:${port}`
  }

  static async create(dataDirectory: string): Promise<Victim> {
    return new Victim(dataDirectory, await freePort())
  }

  async start(): Promise<void> {
    const script = join(import.meta.dirname, 'server.ts')
    const child = spawn(
      process.execPath,
      [...scriptArguments(script), this.#dataDirectory, String(this.#port)],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.#errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    this.#child = child
    await until(
      async () => (await fetch(`${this.url}/ready`, { signal: AbortSignal.timeout(1_000) })).ok,
      { timeoutMs: START_TIMEOUT_MS, every: 20 },
      () => `the node to be ready; it says: ${this.#errors}`,
    )
  }

  /** SIGKILL, and wait until the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
