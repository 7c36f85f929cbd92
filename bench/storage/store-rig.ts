/**
 * A store as people run it: a node, and three blobnodes with three disks each, in processes of their own; and
 * a client that puts and gets over HTTP (`client.ts`). Decides: how they are configured. Leaves to others: what is measured.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../measure.ts'
import { Client } from './client.ts'
import { endProcesses, freePort, startProcess } from './processes.ts'

const BLOBNODES = 3
const DISKS_EACH = 3
const CHUNK_BYTES_MAX = 4 * 1024 ** 3
const STARTS_WITHIN_MS = 60_000
const POLL_MS = 100

export class StoreRig {
  readonly #children: readonly ChildProcess[]
  readonly #client: Client

  private constructor(children: readonly ChildProcess[], port: number) {
    this.#children = children
    this.#client = new Client(port)
  }

  /** @param nodeFlags of the node, as it ships; blobnodes have Node's own */
  static async open(directory: string, nodeFlags: readonly string[]): Promise<StoreRig> {
    const ports = await Promise.all(Array.from({ length: BLOBNODES + 1 }, freePort))
    const [port = 0, ...others] = ports
    const file = join(directory, 'node.yaml')
    mkdirSync(directory, { recursive: true })
    writeFileSync(file, JSON.stringify(nodeConfig(directory, port)))
    const node = startProcess('troupe-main', ['start', '--config', file], { nodeFlags })
    const blobnodes = others.map((own, index) =>
      startProcess('troupe-main', blobnodeWords(directory, index, own, port)),
    )
    const rig = new StoreRig([node, ...blobnodes], port)
    await rig.#ready()
    return rig
  }

  /** @returns its id */
  async put(mode: string, bytes: Buffer): Promise<string> {
    const { status, text } = await this.#client.call('PUT', `/blob?mode=${mode}`, bytes)
    if (status !== 201) throw new Error(`put: ${status} ${text}`)
    return (JSON.parse(text) as { id: string }).id
  }

  /** @returns how many bytes came */
  async get(id: string): Promise<number> {
    const { status, text, bytes } = await this.#client.call('GET', `/blob/${id}`)
    if (status !== 200) throw new Error(`get: ${status} ${text}`)
    return bytes
  }

  async close(): Promise<void> {
    this.#client.close()
    await endProcesses(this.#children)
  }

  async #ready(): Promise<void> {
    const end = performance.now() + STARTS_WITHIN_MS
    while ((await this.#disksHeard().catch(() => 0)) < BLOBNODES * DISKS_EACH) {
      if (performance.now() > end) throw new Error('the store does not start')
      await pause(POLL_MS)
    }
  }

  async #disksHeard(): Promise<number> {
    const { text } = await this.#client.call('GET', '/storage/disks')
    const { disks } = JSON.parse(text) as { disks: { heard: boolean }[] }
    return disks.filter(({ heard }) => heard).length
  }
}

function nodeConfig(directory: string, port: number): object {
  return {
    ...{ data: join(directory, 'node'), http: { port }, log: { level: 'warn' } },
    apps: { storage: { plane: { chunkBytesMax: CHUNK_BYTES_MAX } } },
  }
}

function blobnodeWords(directory: string, index: number, own: number, port: number): string[] {
  const disks = Array.from({ length: DISKS_EACH }, (_, n) => {
    const id = 1 + index * DISKS_EACH + n
    const path = join(directory, `disk${id}`)
    mkdirSync(path)
    return `${id}=${path}`
  })
  return [
    ...['storage', 'blobnode', '--host', `h${index}`, '--rack', 'r1'],
    ...['--idc', `z${index}`, '--listen', `127.0.0.1:${own}`, '--log-level', 'warn'],
    ...['--http', `http://127.0.0.1:${port}`],
    ...disks.flatMap((disk) => ['--disk', disk]),
  ]
}
