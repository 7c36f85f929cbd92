/**
 * A store of real processes: a node, and blobnodes with their disks in three AZs, all of which can be killed
 * at any moment and started again. Decides: how they are configured and reached, over HTTP only. Leaves to
 * others: what has to hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scriptArguments } from '../../../../script.ts'
import { until } from '../../../../waiting.ts'

export const MAIN = join(import.meta.dirname, 'troupe-main.ts')
const PATIENT = { timeoutMs: 60_000, every: 50 }
const OUTPUT_KEPT_CHARS = 100_000
const ASK_MS = 30_000

export interface FarmOptions {
  /** Over three AZs; each AZ has as many, one above the other in a rack of its own. */
  blobnodes: number
  disksEach: number
  chunkBytesMax: number
}

/** One process that is started again under the same words. */
export class FarmProcess {
  readonly #words: readonly string[]
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #output = ''

  constructor(words: readonly string[]) {
    this.#words = words
  }

  get output(): string {
    return this.#output
  }

  start(): void {
    const child = spawn(process.execPath, [...scriptArguments(MAIN), ...this.#words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT_CHARS)
      })
    this.#ended = new Promise((resolve) => child.once('close', resolve))
    this.#child = child
  }

  /** Resolves when it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal)
    await this.#ended
  }

  /** Of a command that ends by itself. */
  async result(): Promise<{ code: unknown; output: string }> {
    return { code: await this.#ended, output: this.#output }
  }
}

export interface FarmBlobnode {
  process: FarmProcess
  url: string
  diskIds: number[]
}

/** As the node shows them. */
export interface ShownDisk {
  disk_id: number
  heard: boolean
  standing: string
}

export class StoreFarm {
  readonly directory: string
  readonly url: string
  readonly node: FarmProcess
  readonly blobnodes: readonly FarmBlobnode[]

  static async create(options: FarmOptions): Promise<StoreFarm> {
    const parent = process.env['TROUPE_SOAK_DIRECTORY'] ?? tmpdir()
    const directory = mkdtempSync(join(parent, 'troupe-store-'))
    const ports = Array.from({ length: options.blobnodes + 1 }, freePort)
    return new StoreFarm(directory, options, await Promise.all(ports))
  }

  private constructor(directory: string, options: FarmOptions, [port = 0, ...others]: number[]) {
    this.directory = directory
    this.url = `http://127.0.0.1:${port}`
    const file = join(directory, 'node.yaml')
    writeFileSync(file, JSON.stringify(this.#nodeConfig(port, options)))
    this.node = new FarmProcess(['start', '--config', file])
    this.blobnodes = others.map((own, index) => this.#blobnode(index, own, options))
  }

  diskDirectory(diskId: number): string {
    return join(this.directory, `disk${diskId}`)
  }

  async start(): Promise<void> {
    this.node.start()
    for (const { process } of this.blobnodes) process.start()
    await this.nodeServes()
    await this.allUp()
  }

  nodeServes(): Promise<unknown> {
    return until(
      async () => (await fetch(`${this.url}/ready`).catch(() => undefined))?.ok === true,
      PATIENT,
      () => `the node serves; it wrote ${this.node.output.slice(-3_000)}`,
    )
  }

  /** The node has heard of all disks. */
  async allUp(): Promise<void> {
    const wanted = this.blobnodes.flatMap(({ diskIds }) => diskIds)
    await until(
      async () => {
        const { disks } = await this.ask<{ disks: ShownDisk[] }>('/storage/disks')
        const up = new Set(disks.filter((disk) => disk.heard).map(({ disk_id }) => disk_id))
        return wanted.every((id) => up.has(id))
      },
      PATIENT,
      () => `all disks are up; blobnodes wrote ${this.#words()}`,
    )
  }

  blobnodeOf(diskId: number): FarmBlobnode {
    const found = this.blobnodes.find(({ diskIds }) => diskIds.includes(diskId))
    if (found === undefined) throw new Error(`no blobnode has disk ${diskId}`)
    return found
  }

  /** Something of the node's own interface, as JSON. */
  async ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    const signal = AbortSignal.timeout(ASK_MS)
    const answer = await fetch(`${this.url}${path}`, { ...init, signal })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return JSON.parse(text) as T
  }

  async close(): Promise<void> {
    const all = [this.node, ...this.blobnodes.map(({ process }) => process)]
    await Promise.all(all.map((one) => one.end('SIGKILL')))
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #words(): string {
    return this.blobnodes.map(({ process }) => process.output.slice(-800)).join('\n---\n')
  }

  #nodeConfig(port: number, { chunkBytesMax }: FarmOptions): unknown {
    return {
      name: 'n1',
      data: join(this.directory, 'n1'),
      shards: 8,
      http: { port },
      log: { level: 'warn' },
      apps: {
        storage: {
          // Silence is noticed before the test is over.
          plane: { chunkBytesMax, heartbeatMs: 500, heartbeatLossMs: 2_000 },
        },
      },
    }
  }

  #blobnode(index: number, port: number, { disksEach, blobnodes }: FarmOptions): FarmBlobnode {
    const az = `z${1 + (index % 3)}`
    const diskIds = Array.from({ length: disksEach }, (_, n) => 1 + index * disksEach + n)
    for (const id of diskIds) mkdirSync(this.diskDirectory(id))
    const words = [
      ...['storage', 'blobnode', '--host', `h${index + 1}`, '--idc', az],
      ...['--rack', `${az}r${1 + Math.floor((index * 3) / blobnodes)}`],
      ...['--listen', `127.0.0.1:${port}`, '--http', this.url],
      ...diskIds.flatMap((id) => ['--disk', `${id}=${this.diskDirectory(id)}`]),
    ]
    return { process: new FarmProcess(words), url: `http://127.0.0.1:${port}`, diskIds }
  }
}

/** Somebody else may take it before it is used; then the process that wanted it says so. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
