/**
 * A sealing farm of real processes: a node with the built-in manager (or two, on NATS), a worker daemon
 * with its stores and children, all of which can be killed at any moment and started again. Decides: how
 * they are configured and reached. Leaves to others: what has to hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ShownThread } from '../../../../machines/sealing/daemon/index.ts'
import { scriptArguments } from '../../../script.ts'
import { until } from '../../../waiting.ts'
import type { Rates } from './flaky-processor.ts'

const MAIN = join(import.meta.dirname, 'troupe-main.ts')
const FLAKY = join(import.meta.dirname, 'flaky-processor.ts')
const PATIENT = { timeoutMs: 60_000, every: 100 }

export interface FarmOptions {
  threads: number
  /** Where NATS is: the node's actors are a cluster's then, and so are the worker's threads. */
  nats?: string
  nodes?: number
  /** Of the children; without them the worker does the work itself. */
  rates?: Rates
  chain?: Record<string, unknown>
  seed?: number
}

export const MINER = 10_000

/** One process that is started again under the same words. */
class FarmProcess {
  readonly #words: readonly string[]
  #child: ChildProcess | undefined
  #ended: Promise<number | null> = Promise.resolve(null)
  #output = ''

  constructor(words: readonly string[]) {
    this.#words = words
  }

  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    const child = spawn(process.execPath, [...scriptArguments(MAIN), ...this.#words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-200_000)
      })
    this.#ended = new Promise((resolve) => child.once('close', (code) => resolve(code)))
    this.#child = child
  }

  /** Resolves with the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child?.kill(signal)
    return this.#ended
  }

  get ended(): Promise<number | null> {
    return this.#ended
  }
}

export class Farm {
  readonly directory: string
  readonly #options: FarmOptions
  readonly #nodes: FarmProcess[] = []
  readonly #urls: string[] = []
  readonly worker: FarmProcess
  readonly #rpcPort: number

  static async create(options: FarmOptions): Promise<Farm> {
    const directory = mkdtempSync(join(tmpdir(), 'troupe-farm-'))
    const ports = await Promise.all([1, 2, 3].map(() => freePort()))
    return new Farm(directory, options, ports)
  }

  private constructor(directory: string, options: FarmOptions, [rpc = 0, ...ports]: number[]) {
    this.directory = directory
    this.#options = options
    this.#rpcPort = rpc
    mkdirSync(join(directory, 'attached'))
    for (let index = 0; index < (options.nodes ?? 1); index += 1) {
      const port = ports[index] ?? 0
      const file = join(directory, `n${index + 1}.yaml`)
      writeFileSync(file, JSON.stringify(this.#nodeConfig(index, port)))
      this.#nodes.push(new FarmProcess(['start', '--config', file]))
      this.#urls.push(`http://127.0.0.1:${port}`)
    }
    writeFileSync(this.workerFile, this.#workerToml())
    this.worker = new FarmProcess(['sealing', 'daemon', '-c', this.workerFile])
  }

  get workerFile(): string {
    return join(this.directory, 'worker.toml')
  }

  get notesFile(): string {
    return join(this.directory, 'notes')
  }

  get workerOutput(): string {
    return this.worker.output
  }

  async start(): Promise<void> {
    for (const node of this.#nodes) node.start()
    await Promise.all(this.#nodes.map((_, index) => this.nodeServes(index)))
    this.worker.start()
    await this.workerServes()
  }

  async killNode(index: number): Promise<void> {
    await this.#nodes[index]?.end('SIGKILL')
  }

  startNode(index: number): void {
    this.#nodes[index]?.start()
  }

  nodeServes(index: number): Promise<unknown> {
    return until(
      async () => {
        const answer = await fetch(`${this.#urls[index]}/ready`).catch(() => undefined)
        return answer?.ok === true
      },
      PATIENT,
      () => `node ${index} serves; it wrote ${this.#nodes[index]?.output.slice(-3_000)}`,
    )
  }

  workerServes(): Promise<unknown> {
    return until(
      async () => (await this.threads().catch(() => [])).length === this.#options.threads,
      PATIENT,
      () => `the worker serves; it wrote ${this.worker.output.slice(-3_000)}`,
    )
  }

  /** Everything of a node's own interface. */
  async ask<T>(path: string, init: RequestInit = {}, index = 0): Promise<T> {
    const answer = await fetch(`${this.#urls[index]}${path}`, {
      ...init,
      signal: AbortSignal.timeout(30_000),
    })
    const body = (await answer.json()) as T
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.stringify(body)}`)
    return body
  }

  threads(): Promise<ShownThread[]> {
    return this.rpc<ShownThread[]>('WorkerThreads', [])
  }

  async rpc<T>(method: string, params: unknown): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.#rpcPort}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: `VenusWorker.${method}`, params }),
      signal: AbortSignal.timeout(30_000),
    })
    const { result, error } = (await answer.json()) as { result: T; error?: { message: string } }
    if (error) throw new Error(`${method}: ${error.message}`)
    return result
  }

  /** What became of a sector, as whoever hosts the threads knows it. */
  story<TChapter>(sector: string): Promise<{ chapters: TChapter[]; live: unknown[] } | null> {
    if (this.#options.nats === undefined) return this.rpc('WorkerHistory', [sector])
    return this.ask<{ chapters: TChapter[]; live: unknown[] }>(`/sealing/history/${sector}`).catch(
      () => null,
    )
  }

  /** What children noted, of those lines that are whole. */
  notes(): { kind: string; stage: string; path: string }[] {
    if (!existsSync(this.notesFile)) return []
    const lines = readFileSync(this.notesFile, 'utf8').split('\n')
    return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line))
  }

  async close(): Promise<void> {
    await this.worker.end('SIGKILL')
    await Promise.all(this.#nodes.map((node) => node.end('SIGKILL')))
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #nodeConfig(index: number, port: number): unknown {
    const { nats, chain = {} } = this.#options
    return {
      name: `n${index + 1}`,
      data: join(this.directory, `n${index + 1}`),
      shards: 8,
      http: { port },
      ...(nats === undefined ? {} : { nats: { servers: [nats] } }),
      log: { level: 'warn' },
      apps: {
        sealing: {
          manager: {
            miners: [{ id: MINER, sectorSize: '8KiB' }],
            stores: [{ name: 'attached', path: join(this.directory, 'attached') }],
            pieceStore: join(this.directory, 'pieces'),
            policy: { pingIntervalMs: 1_000 },
          },
          chain: {
            ...{ blockMs: 20, confidence: 2, seedDelay: 3, seedMargin: 1, batchWaitMs: 100 },
            ...chain,
          },
        },
      },
    }
  }

  #workerToml(): string {
    const { threads, nats, rates, seed = 1 } = this.#options
    const lines = [
      '[worker]',
      'name = "w1"',
      'ping_interval = "1s"',
      `rpc_server.port = ${this.#rpcPort}`,
      '[sector_manager]',
      `rpc_client.addr = "${this.#urls[0]}/sealing/rpc/v0"`,
      '[sealing]',
      'allowed_sizes = ["8KiB"]',
      'seal_interval = "0s"',
      'recover_interval = "100ms"',
      'rpc_polling_interval = "100ms"',
      'max_retries = 5',
      '[troupe]',
      `data = "${join(this.directory, 'w1')}"`,
      ...(nats === undefined ? [] : [`nats = "${nats}"`]),
      '[[attached]]',
      'name = "attached"',
      `location = "${join(this.directory, 'attached')}"`,
      '[processors.limitation.concurrent]',
      'pc1 = 4',
      'pc2 = 2',
      'c2 = 2',
      '[processors.ext_locks]',
      'gpu = 2',
    ]
    if (rates) {
      for (const [stage, lock] of [
        ['pc1', ''],
        ['pc2', 'gpu'],
        ['c2', 'gpu'],
      ] as const)
        lines.push(...this.#child(stage, lock, rates, seed))
    }
    for (let index = 0; index < threads; index += 1)
      lines.push('[[sealing_thread]]', `location = "${join(this.directory, `store${index}`)}"`)
    return `${lines.join('\n')}\n`
  }

  #child(stage: string, lock: string, rates: Rates, seed: number): string[] {
    const args = [
      ...scriptArguments(FLAKY),
      stage,
      this.notesFile,
      String(seed),
      JSON.stringify(rates),
    ]
    return [
      `[[processors.${stage}]]`,
      `bin = ${JSON.stringify(process.execPath)}`,
      `args = ${JSON.stringify(args)}`,
      'stable_wait = "30s"',
      'concurrent = 4',
      'timeout = "5s"',
      ...(lock === '' ? [] : [`locks = ["${lock}"]`]),
    ]
  }
}

/** Somebody else may take it before it is used; then the process that wanted it says so. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
