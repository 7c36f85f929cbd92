/**
 * A real node behind a real gateway, in this process, and workers in processes of their own. The node's
 * own worker serves no group, so that whatever runs was run by one of those.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Groups } from '../../../machines/workers/groups.ts'
import { workers } from '../../../machines/workers/index.ts'
import type { WorkerSummary } from '../../../machines/workers/workers.ts'
import { createGateway, type Gateway } from '../../../src/gateway/index.ts'
import {
  type App,
  createNode,
  createWorker,
  type Limits,
  type Log,
  type TroupeNode,
  type WorkerOptions,
  type WorkerProcess,
} from '../../../src/index.ts'
import { WORKER_FORM } from '../../../src/ports/index.ts'
import { pack, unpack } from '../../../src/protocol/index.ts'
import { scriptArguments } from '../../script.ts'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'
import { commands } from './commands.ts'

const SCRIPT = join(import.meta.dirname, 'worker-process.ts')

export interface RigOptions {
  /** Default: the commands of these tests, and the workers. */
  apps?: readonly App[]
  limits?: Partial<Limits>
  log?: Log
  /** Of the node's own worker. */
  queues?: readonly string[]
  /** Of the node: sections of its apps. */
  config?: Readonly<Record<string, unknown>>
}

export interface StartedWorker {
  readonly process: ChildProcess
  /** Everything that it wrote. */
  output(): string
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  /** @returns the same as `ended` */
  signal(signal: NodeJS.Signals): Promise<number | string>
}

interface AskInit {
  key?: string
  body: unknown
  worker?: string
  group?: string
}

/** How a worker is that has nothing to do. */
export const IDLE = {
  form: WORKER_FORM,
  instance: 'by-hand',
  address: '10.0.0.7:1',
  version: '1',
  slots: 4,
  running: 0,
  load: 0,
  memoryFreeBytes: 0,
  refusals: [],
  state: 'serving',
}

export class WorkersRig {
  readonly directory: string
  readonly #options: RigOptions
  readonly #workers: StartedWorker[] = []
  readonly #inner: WorkerProcess[] = []
  #node: TroupeNode | undefined
  #gateway: Gateway | undefined
  #port = 0

  private constructor(directory: string, options: RigOptions) {
    this.directory = directory
    this.#options = options
  }

  get #apps(): readonly App[] {
    return this.#options.apps ?? [commands, workers]
  }

  static async create(options: RigOptions = {}): Promise<WorkersRig> {
    const rig = new WorkersRig(await mkdtemp(join(tmpdir(), 'troupe-workers-')), options)
    await rig.start()
    return rig
  }

  get node(): TroupeNode {
    if (!this.#node) throw new Error('the node is not started')
    return this.#node
  }

  get url(): string {
    return this.#gateway?.url ?? ''
  }

  /** On the port of the last time. */
  async start(): Promise<void> {
    this.#node = await createNode({
      dataDirectory: join(this.directory, 'node'),
      apps: this.#apps,
      worker: { queues: this.#options.queues ?? ['own'] },
      ...(this.#options.limits ? { limits: this.#options.limits } : {}),
      ...(this.#options.log ? { log: this.#options.log } : {}),
      ...(this.#options.config ? { config: this.#options.config } : {}),
    })
    this.#gateway = await createGateway({ node: this.#node, port: this.#port, graceMs: 500 })
    this.#port = this.#gateway.port
  }

  async stop(): Promise<void> {
    await this.#gateway?.close()
    await this.#node?.stop()
  }

  async close(): Promise<void> {
    for (const { process } of this.#workers) process.kill('SIGKILL')
    await Promise.all(this.#workers.map(({ ended }) => ended))
    await Promise.all(this.#inner.map((worker) => worker.stop()))
    await this.stop()
    for (const data of ['a', 'b']) await this.endRuns(data)
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  /** Commands of a worker's directory outlive it. */
  endRuns(data: string): Promise<void> {
    return endRuns(join(this.directory, data, 'worker', 'attempts'))
  }

  attemptsOf(data: string): Promise<string[]> {
    return readdir(join(this.directory, data, 'worker', 'attempts'))
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init =
      body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(this.url + path, {
      method,
      ...init,
      signal: AbortSignal.timeout(20_000),
    })
    const answer = (await response.json()) as T
    if (response.status >= 400) throw new Error(`${response.status}: ${JSON.stringify(answer)}`)
    return answer
  }

  async addGroup(group: string): Promise<string> {
    const { key } = await this.call<Awaited<ReturnType<Groups['create']>>>(
      'POST',
      '/workers/groups',
      { group },
    )
    return key
  }

  /** A worker in this process, of group 2: the same but for its own process. */
  async inner(key: string, given: Partial<WorkerOptions> = {}): Promise<WorkerProcess> {
    const worker = await createWorker({
      server: this.url,
      group: '2',
      key: () => key,
      name: 'w2',
      dataDirectory: join(this.directory, 'a'),
      slots: 2,
      apps: this.#apps,
      ...given,
    })
    this.#inner.push(worker)
    return worker
  }

  /** What a worker would ask, made by hand. */
  async ask(
    name: string,
    { key = '', body, worker = 'w9', group = '2' }: AskInit,
  ): Promise<{ status: number; answer: unknown }> {
    const response = await fetch(`${this.url}/troupe/v1/worker/${group}/${worker}/${name}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-msgpack' },
      body: Buffer.from(pack(body)),
      signal: AbortSignal.timeout(20_000),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    const answer: unknown =
      response.status === 200 ? unpack(bytes) : JSON.parse(bytes.toString('utf8'))
    return { status: response.status, answer }
  }

  /** `troupe worker` in the directory `data`; resolves at once. */
  spawn(data: string, words: readonly string[], key?: string): StartedWorker {
    const argv = ['--server', this.url, '--data', join(this.directory, data), ...words]
    const child = spawn(process.execPath, [...scriptArguments(SCRIPT), ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(key === undefined ? {} : { TROUPE_WORKER_KEY: key }) },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    }
    const ended = new Promise<number | string>((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    })
    const started: StartedWorker = {
      process: child,
      output: () => output,
      ended,
      signal: (signal) => {
        child.kill(signal)
        return ended
      },
    }
    this.#workers.push(started)
    return started
  }

  /** The same once it serves. */
  async worker(data: string, words: readonly string[], key: string): Promise<StartedWorker> {
    const started = this.spawn(data, words, key)
    await until(
      () => started.output().includes('serves group'),
      { timeoutMs: 20_000 },
      () => `a worker that serves; it wrote ${started.output()}`,
    )
    return started
  }

  async workerView(name: string): Promise<WorkerSummary | undefined> {
    const { workers: all } = await this.call<{ workers: WorkerSummary[] }>('GET', '/workers')
    return all.find((one) => one.name === name)
  }

  async run(id: string, shell: string, queue: string, onWorkerLost = 'park'): Promise<void> {
    await this.node.client.start(`run/${id}`, { shell, queue, onWorkerLost })
  }

  async exitCodeOf(id: string, timeoutMs = 15_000): Promise<unknown> {
    const view = await this.node.client.waitFor(`run/${id}`, ({ status }) => status === 'done', {
      timeoutMs,
    })
    return (view.context as { code: unknown }).code
  }
}
