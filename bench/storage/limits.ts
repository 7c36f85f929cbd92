/**
 * What the store is held against: the same shards through the bare library, and through bare files, as many
 * at a time, with all cores. Decides what counts: for a put the slower one of the code alone (on one thread,
 * as a node of two cores has it) and of one write and one flush for each unit; for a get the data shards read
 * from their files and one checksum of each. Files have as many threads as Node.js gives a process, and what is
 * under way has a buffer of its own, which is kept. No byte goes through a socket, to no client, and nothing
 * is looked up. As with the store, what is read was written not long ago, and is in the memory of the kernel.
 */
import { mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type CodeMode, shardBytesOf, unitCount } from '../../machines/storage/plane/codes/index.ts'
import { rebuildPlan } from '../../machines/storage/plane/erasure/rebuild-plan.ts'
import { ReedSolomon } from '../../machines/storage/plane/erasure/reed-solomon.ts'

/** On one thread: the store has one per core but one. Each blob that is under way has memory of its own, as there. */
export class BareLibrary {
  readonly #library = ReedSolomon.load()
  readonly #mode: CodeMode
  readonly #blobs: readonly Uint8Array[]
  readonly #shardBytes: number

  constructor(mode: CodeMode, { blob, atOnce }: { blob: Buffer; atOnce: number }) {
    this.#mode = mode
    this.#shardBytes = shardBytesOf(mode, blob.length)
    this.#blobs = Array.from({ length: atOnce }, () => {
      const units = new Uint8Array(unitCount(mode) * this.#shardBytes)
      units.set(blob)
      return units
    })
  }

  encode(n: number): void {
    const units = this.#blobs[n % this.#blobs.length]
    if (units === undefined) throw new Error('no blobs')
    const all = Array.from({ length: unitCount(this.#mode) }, (_, unit) => unit)
    const steps = rebuildPlan(this.#mode, all.slice(0, this.#mode.data), all) ?? []
    for (const step of steps) {
      if (step.kind === 'code') this.#library.run(step, units, this.#shardBytes)
    }
  }
}

interface Row {
  files: FileHandle[]
  /** What is read of each. */
  buffers: Buffer[]
  at: number
}

/** One file per unit, for each blob that is under way. */
export class BareFiles {
  readonly #rows: Row[]
  readonly #shards: readonly Buffer[]

  private constructor(mode: CodeMode, rows: FileHandle[][], blob: Buffer) {
    const shardBytes = shardBytesOf(mode, blob.length)
    const buffers = () => Array.from({ length: mode.data }, () => Buffer.alloc(shardBytes))
    this.#rows = rows.map((files) => ({ files, buffers: buffers(), at: 0 }))
    this.#shards = Array.from({ length: unitCount(mode) }, () =>
      Buffer.from(blob.subarray(0, shardBytes)),
    )
  }

  static async open(
    directory: string,
    mode: CodeMode,
    { blob, atOnce }: { blob: Buffer; atOnce: number },
  ): Promise<BareFiles> {
    mkdirSync(directory, { recursive: true })
    const row = (n: number) =>
      Array.from({ length: unitCount(mode) }, (_, unit) =>
        open(join(directory, `row${n}-unit${unit}`), 'w+'),
      )
    const rows = Array.from({ length: atOnce }, (_, n) => Promise.all(row(n)))
    return new BareFiles(mode, await Promise.all(rows), blob)
  }

  /** All shards of a blob, each flushed. */
  async write(n: number): Promise<void> {
    const row = this.#row(n)
    const { at } = row
    row.at += this.#shards[0]?.length ?? 0
    await Promise.all(
      row.files.map(async (file, unit) => {
        const bytes = this.#shards[unit]
        if (bytes === undefined) return
        await file.write(bytes, 0, bytes.length, at)
        await file.datasync()
      }),
    )
  }

  /** The data shards of a blob that was written, each with its checksum. */
  async read(n: number): Promise<void> {
    const { files, buffers, at } = this.#row(n)
    const bytes = this.#shards[0]?.length ?? 0
    const from = at === 0 ? 0 : bytes * Math.floor(Math.random() * (at / bytes))
    await Promise.all(
      buffers.map(async (buffer, unit) => {
        await files[unit]?.read(buffer, 0, bytes, from)
        crc32(buffer)
      }),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.#rows.flatMap(({ files }) => files.map((file) => file.close())))
  }

  #row(n: number): Row {
    const row = this.#rows[n % this.#rows.length]
    if (row === undefined) throw new Error('no files')
    return row
  }
}
