/**
 * A store of real processes: one node, or several on a NATS server, and blobnodes with their disks in three AZs,
 * all of which can be killed at any moment and started again. Decides: how they are configured and reached, over
 * HTTP only. Leaves to others: what has to hold.
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
const GIVEN_UP: ReadonlySet<string> = new Set(['repaired', 'dropped'])

export interface FarmOptions {
  /** Over three AZs; each AZ has as many, one above the other in a rack of its own. */
  blobnodes: number
  disksEach: number
  chunkBytesMax: number
  /** Where it is given, so many nodes are a cluster there. */
  cluster?: { nats: string; nodes: number }
  /** The parts of \`storage\` in the configuration of nodes that are not as below. */
  storage?: Readonly<Record<'plane' | 'upkeep' | 'background', object>>
  /** Further words for blobnodes. */
  blobnodeWords?: readonly string[]
}

/** One process that is started again under the same words. */
export class FarmProcess {
  #words: readonly string[]
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #output = ''

  constructor(words: readonly string[]) {
    this.#words = words
  }

  get output(): string {
    return this.#output
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && !this.#child.killed
  }

  /** From its next start on. */
  retell(words: readonly string[]): void {
    this.#words = words
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

export interface FarmNode {
  process: FarmProcess
  url: string
}

export interface FarmBlobnode extends FarmNode {
  diskIds: number[]
  words: (diskIds: readonly number[]) => string[]
}

/** As the node shows them. */
export interface ShownDisk {
  disk_id: number
  heard: boolean
  standing: string
}

export class StoreFarm {
  readonly directory: string
  readonly nodes: readonly FarmNode[]
  readonly blobnodes: FarmBlobnode[] = []
  readonly #options: FarmOptions

  static async create(options: FarmOptions): Promise<StoreFarm> {
    const parent = process.env['TROUPE_SOAK_DIRECTORY'] ?? tmpdir()
    const directory = mkdtempSync(join(parent, 'troupe-store-'))
    const nodePorts = await freePorts(options.cluster?.nodes ?? 1)
    const farm = new StoreFarm(directory, options, nodePorts)
    const ports = await freePorts(options.blobnodes)
    for (const port of ports) farm.#addBlobnode(port)
    return farm
  }

  private constructor(directory: string, options: FarmOptions, ports: readonly number[]) {
    this.directory = directory
    this.#options = options
    this.nodes = ports.map((port, index) => {
      const file = join(directory, `node${index + 1}.yaml`)
      writeFileSync(file, JSON.stringify(this.#nodeConfig(`n${index + 1}`, port)))
      const process = new FarmProcess(['start', '--config', file])
      return { process, url: `http://127.0.0.1:${port}` }
    })
  }

  /** Of a store with one node. */
  get node(): FarmProcess {
    return this.#someNode.process
  }

  /** A node that runs, as far as is known here. */
  get url(): string {
    return this.#someNode.url
  }

  get #someNode(): FarmNode {
    const found = this.nodes.find((one) => one.process.isRunning) ?? this.nodes[0]
    if (found === undefined) throw new Error('a store has a node')
    return found
  }

  diskDirectory(diskId: number): string {
    return join(this.directory, `disk${diskId}`)
  }

  async start(): Promise<void> {
    for (const { process } of [...this.nodes, ...this.blobnodes]) process.start()
    await this.nodeServes()
    await this.allUp()
  }

  /** All nodes do. */
  async nodeServes(): Promise<void> {
    for (const { url, process } of this.nodes)
      await until(
        async () => (await fetch(`${url}/ready`).catch(() => undefined))?.ok === true,
        PATIENT,
        () => `the node serves; it wrote ${process.output.slice(-3_000)}`,
      )
  }

  /** In the AZ whose turn it is, with disks that nobody knows yet. */
  async addBlobnode(): Promise<FarmBlobnode> {
    const [port = 0] = await freePorts(1)
    const added = this.#addBlobnode(port)
    added.process.start()
    return added
  }

  /** Its directory is gone for good; its blobnode is told so from its next start on. */
  loseDisk(diskId: number): void {
    const { process, diskIds, words } = this.blobnodeOf(diskId)
    diskIds.splice(diskIds.indexOf(diskId), 1)
    process.retell(words(diskIds))
    rmSync(this.diskDirectory(diskId), { recursive: true, force: true })
  }

  /** The node has heard of all disks that are not given up. */
  async allUp(): Promise<void> {
    const wanted = this.blobnodes.flatMap(({ diskIds }) => diskIds)
    let silent: string[] = []
    await until(
      async () => {
        const { disks } = await this.ask<{ disks: ShownDisk[] }>('/storage/disks')
        const known = new Map(disks.map((disk) => [disk.disk_id, disk]))
        silent = wanted.flatMap((id) => {
          const { heard = false, standing = 'unknown' } = known.get(id) ?? {}
          return heard || GIVEN_UP.has(standing) ? [] : [`${id} ${standing}`]
        })
        return silent.length === 0
      },
      PATIENT,
      () => `all disks are up; silent are ${silent}; blobnodes wrote ${this.#words()}`,
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
    const all = [...this.nodes, ...this.blobnodes]
    await Promise.all(all.map(({ process }) => process.end('SIGKILL')))
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #words(): string {
    return this.blobnodes.map(({ process }) => process.output.slice(-800)).join('\n---\n')
  }

  #nodeConfig(name: string, port: number): unknown {
    const { chunkBytesMax, cluster, storage } = this.#options
    return {
      ...{ name, data: join(this.directory, name), shards: 8, http: { port } },
      ...(cluster ? { nats: { servers: [cluster.nats] } } : {}),
      log: { level: 'warn' },
      apps: {
        storage: {
          // Silence is noticed before the test is over.
          plane: { chunkBytesMax, heartbeatMs: 500, heartbeatLossMs: 2_000, ...storage?.plane },
          upkeep: { safeDelayMs: 0, deletesPerSecond: 10_000, ...storage?.upkeep },
          background: { open: ['shard_repair', 'blob_delete'], ...storage?.background },
        },
      },
    }
  }

  #addBlobnode(port: number): FarmBlobnode {
    const { disksEach, blobnodes, blobnodeWords = [] } = this.#options
    const index = this.blobnodes.length
    const az = `z${1 + (index % 3)}`
    const diskIds = Array.from({ length: disksEach }, (_, n) => 1 + index * disksEach + n)
    for (const id of diskIds) mkdirSync(this.diskDirectory(id))
    const words = (ids: readonly number[]) => [
      ...['storage', 'blobnode', '--host', `h${index + 1}`, '--idc', az],
      ...['--rack', `${az}r${1 + Math.floor((index * 3) / blobnodes)}`],
      ...['--listen', `127.0.0.1:${port}`, '--nodes', this.nodes.map(({ url }) => url).join(',')],
      ...ids.flatMap((id) => ['--disk', `${id}=${this.diskDirectory(id)}`]),
      ...blobnodeWords,
    ]
    const process = new FarmProcess(words(diskIds))
    const blobnode = { process, url: `http://127.0.0.1:${port}`, diskIds, words }
    this.blobnodes.push(blobnode)
    return blobnode
  }
}

async function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, freePort))
}

/** Somebody else may take it before it is used; then the process that wanted it says so. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
