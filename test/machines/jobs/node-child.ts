/** A node in a process of its own, driven by the routes of operators; it can be killed at any moment. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { scriptArguments } from '../../script.ts'

export interface ChildOptions {
  port?: number
  worker?: { slots?: number; queues?: readonly string[] }
}

export interface Answered {
  status: number
  body: Record<string, unknown>
}

export class NodeChild {
  readonly #data: string
  readonly #options: ChildOptions
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  url = ''
  /** How far ahead its wall clock stands from the next start on. */
  aheadMs = 0

  constructor(data: string, options: ChildOptions = {}) {
    this.#data = data
    this.#options = options
  }

  /** On the port of the last time. */
  async start(): Promise<void> {
    const port = this.url === '' ? this.#options.port : Number(new URL(this.url).port)
    const options = JSON.stringify({ ...this.#options, port })
    const script = join(import.meta.dirname, 'node-process.ts')
    const child = spawn(process.execPath, [...scriptArguments(script), this.#data, options], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TROUPE_TEST_AHEAD_MS: String(this.aheadMs) },
    })
    this.#child = child
    this.#exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    this.url = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
      child.once('exit', (code) => reject(new Error(`the node ended: ${code}`)))
    })
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  kill(): Promise<void> {
    return this.end('SIGKILL')
  }

  /** Resolves once its process is gone: SIGTERM stops it as an operator does. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#child?.kill(signal)
    await this.#exited
  }

  async operate(method: string, path: string, body?: unknown): Promise<Answered> {
    const init =
      body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(this.url + path, {
      method,
      ...init,
      signal: AbortSignal.timeout(20_000),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
}
