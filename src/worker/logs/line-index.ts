/**
 * Finding a line by its number in a stream of any size.
 *
 * Decides: the form of the index. For every whole block of the stream it holds the number of line ends
 * before that block, so a line is found by a search in the index and one in a block or two, and 1 GB
 * needs 32 KB. The index lies beside the stream (`stdout.lines`), grows as the stream is searched, and
 * is only ever a cache: streams are append-only, so what it says of a block stays true; a missing, cut
 * or foreign file is built anew. Several may write it at once, since they write the same.
 */
import { readFile, writeFile } from 'node:fs/promises'

import type { Log } from '../../ports/index.ts'
import { toErrorRecord } from '../../protocol/index.ts'
import { readExactly, type StreamName, streamPath, withStream } from './stream-file.ts'

const LINE_END = 0x0a
/** Names the form and the block size; another of either is another file, so it is built anew. */
const MAGIC = 'TRPLIDX1'
const HEADER_BYTES = 16
const ENTRY_BYTES = 8

export interface LinePosition {
  /** The line that begins at `offset`: the one asked for, or the last one that has begun. */
  line: number
  offset: number
}

export class LineIndex {
  readonly #dir: string
  readonly #stream: StreamName
  readonly #blockBytes: number
  readonly #log: Log

  constructor(dir: string, stream: StreamName, blockBytes: number, log: Log) {
    this.#dir = dir
    this.#stream = stream
    this.#blockBytes = blockBytes
    this.#log = log
  }

  get path(): string {
    return `${streamPath(this.#dir, this.#stream)}.lines`
  }

  /** Where line `line` (from 0) begins; when there are fewer, where the last one begins. */
  async find(line: number): Promise<LinePosition> {
    if (line <= 0) return { line: 0, offset: 0 }
    return withStream(this.#dir, this.#stream, async (file) => {
      if (file === undefined) return { line: 0, offset: 0 }
      const { size } = await file.stat()
      const wholeBlocks = Math.floor(size / this.#blockBytes)
      // Entry k: line ends before block k. Entry 0 is 0.
      const entries = (await this.#load()).slice(0, wholeBlocks + 1)
      const known = entries.length
      let block = lastBelow(entries, line)
      let count = entries[block]!
      let last: LinePosition | undefined
      for (; count < line && block * this.#blockBytes < size; block++) {
        const start = block * this.#blockBytes
        const bytes = await readExactly(file, start, Math.min(this.#blockBytes, size - start))
        const found = searchLine(bytes, count, line)
        count = found.line
        if (found.begin !== undefined) last = { line: count, offset: start + found.begin }
        const isWhole = found.line < line && bytes.length === this.#blockBytes
        if (isWhole && entries.length === block + 1) entries.push(count)
      }
      if (entries.length > known) await this.#save(entries)
      if (last !== undefined) return last
      // The last line has no end yet, and began before the block where the search did.
      return count === 0 ? { line: 0, offset: 0 } : this.find(count)
    })
  }

  async #load(): Promise<number[]> {
    try {
      const bytes = await readFile(this.path)
      if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return [0]
      if (bytes.readBigUInt64LE(MAGIC.length) !== BigInt(this.#blockBytes)) return [0]
      const entries: number[] = []
      for (let at = HEADER_BYTES; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
        const entry = Number(bytes.readBigUInt64LE(at))
        // Counts only grow; anything else is not ours, from here on.
        if (entry < (entries.at(-1) ?? 0)) break
        entries.push(entry)
      }
      return entries[0] === 0 ? entries : [0]
    } catch {
      return [0]
    }
  }

  async #save(entries: readonly number[]): Promise<void> {
    const bytes = Buffer.alloc(HEADER_BYTES + entries.length * ENTRY_BYTES)
    bytes.write(MAGIC, 'latin1')
    bytes.writeBigUInt64LE(BigInt(this.#blockBytes), MAGIC.length)
    entries.forEach((count, index) => {
      bytes.writeBigUInt64LE(BigInt(count), HEADER_BYTES + index * ENTRY_BYTES)
    })
    try {
      await writeFile(this.path, bytes)
    } catch (cause) {
      // Only a cache: the next search does the work again.
      this.#log.warn({ path: this.path, error: toErrorRecord(cause) }, 'cannot keep a line index')
    }
  }
}

/** The last entry that is below `line`: its line end is in that block or a later one. */
function lastBelow(entries: readonly number[], line: number): number {
  let low = 0
  let high = entries.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (entries[middle]! < line) low = middle
    else high = middle - 1
  }
  return low
}

/**
 * Counts line ends from `line` on until `wanted` is reached. `begin`: where, in these bytes, the line
 * after the last counted end begins.
 */
function searchLine(
  bytes: Uint8Array,
  line: number,
  wanted: number,
): { line: number; begin: number | undefined } {
  let count = line
  let begin: number | undefined
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== LINE_END) continue
    count++
    begin = at + 1
    if (count === wanted) break
  }
  return { line: count, begin }
}
