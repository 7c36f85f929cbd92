/**
 * Two hops as bare as they can be (`hop-main.ts`), with as many processes as the store of the same run: what no
 * reader through a node can be faster than on these cores. Decides: its shape, and that it reads what was written
 * not long ago, as the store does.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CodeMode, shardBytesOf } from '../../machines/storage/plane/codes/index.ts'
import { pause } from '../measure.ts'
import { BareReader } from './bare-reader.ts'
import { endProcesses, freePort, startProcess } from './processes.ts'

/** As blobnodes are in the store that is measured. */
const SENDERS = 3
/** Of the file that each of them reads. */
const FILE_BYTES = 128 * 1024 ** 2
const STARTS_WITHIN_MS = 30_000
const POLL_MS = 50

export class BareHops {
  readonly #children: readonly ChildProcess[]
  readonly #port: number
  readonly #blobBytes: number
  readonly #idle: BareReader[] = []

  private constructor(children: readonly ChildProcess[], port: number, blobBytes: number) {
    this.#children = children
    this.#port = port
    this.#blobBytes = blobBytes
  }

  static async open(directory: string, mode: CodeMode, blobBytes: number): Promise<BareHops> {
    mkdirSync(directory, { recursive: true })
    const shardBytes = shardBytesOf(mode, blobBytes)
    const count = Math.floor(FILE_BYTES / shardBytes)
    const ports = await Promise.all(Array.from({ length: SENDERS + 1 }, freePort))
    const [port = 0, ...senders] = ports
    const children = senders.map((sender) => {
      const file = join(directory, `shards${sender}`)
      writeFileSync(file, Buffer.alloc(shardBytes * count, sender))
      return startProcess('hop-main', ['shards', sender, shardBytes, count, file].map(String))
    })
    const words = ['relay', port, shardBytes, mode.data, ...senders].map(String)
    children.push(startProcess('hop-main', words))
    const hops = new BareHops(children, port, shardBytes * mode.data)
    await hops.#ready()
    return hops
  }

  async get(): Promise<void> {
    const reader = this.#idle.pop() ?? new BareReader(this.#port)
    await reader.read(this.#blobBytes)
    this.#idle.push(reader)
  }

  async close(): Promise<void> {
    for (const reader of this.#idle) reader.close()
    await endProcesses(this.#children)
  }

  async #ready(): Promise<void> {
    const end = performance.now() + STARTS_WITHIN_MS
    for (;;) {
      const isThere = await this.get().then(
        () => true,
        () => false,
      )
      if (isThere) return
      if (performance.now() > end) throw new Error('the bare hops do not start')
      await pause(POLL_MS)
    }
  }
}
