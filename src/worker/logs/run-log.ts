/**
 * The two streams of one run, as text: pieces, lines, lines by number, and following.
 *
 * Decides: that text is only ever cut between characters (or between lines), so that pieces read one
 * after the other are the whole, and what a caller goes on from is always a byte offset. Leaves to
 * others: the bytes (`stream-file.ts`), where UTF-8 may be cut (`utf8.ts`), who may read.
 */
import { join } from 'node:path'

import type { Clock, Log } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'
import { ChangeHint, RUN_FILES } from '../process/index.ts'
import { readCut, type StreamCut } from './cut.ts'
import type { LogLimits } from './limits.ts'
import { LineIndex } from './line-index.ts'
import { readPart, type StreamName, streamPath, streamSize } from './stream-file.ts'
import { CHARACTER_BYTES_MAX, decodeUtf8, openTail, overhang } from './utf8.ts'

export interface ReadOptions {
  stream: StreamName
  /** Byte offset; default 0. Inside a character it moves on to the next one. */
  offset?: number
  /** Default `readBytesDefault`, at least 4 (a character), at most `readBytesMax`. */
  bytesMax?: number
}

export interface ReadLinesOptions extends ReadOptions {
  /** Default and at most the limit `linesMax`. */
  linesMax?: number
}

export interface ReadLinesFromOptions {
  stream: StreamName
  /** From 0. */
  line: number
  linesMax?: number
  bytesMax?: number
}

export interface FollowOptions extends ReadOptions {
  /** Ends the iteration without an error. */
  signal?: AbortSignal
}

export interface LogPiece {
  /** Bytes that are not UTF-8 have become U+FFFD. */
  text: string
  /** The byte offset at which the text begins: the one asked for, or that of the next character. */
  from: number
  /** The byte offset to go on from. */
  offset: number
  /** Bytes of the stream when it was read. */
  size: number
  /** The run is over and `offset` is at the end of the stream: there is and will be no more. */
  end: boolean
}

export interface LogLine {
  /** Without its line end. A carriage return is kept. */
  text: string
  /** The byte offset at which it begins. */
  offset: number
  /** False when its end is still to come: the stream ends here, or the line exceeds `bytesMax`. */
  complete: boolean
}

export interface LogLines extends Omit<LogPiece, 'text'> {
  lines: LogLine[]
}

export interface NumberedLogLines extends LogLines {
  /** The number of the first line; fewer than asked for when the stream has not so many. */
  line: number
  /** The number of the line at `offset`. After an incomplete line, go on with `readLines` there. */
  nextLine: number
}

const LINE_END = 0x0a

export class RunLog {
  readonly dir: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #limits: LogLimits

  constructor(dir: string, context: { clock: Clock; log: Log; limits: LogLimits }) {
    this.dir = dir
    this.#clock = context.clock
    this.#log = context.log
    this.#limits = context.limits
  }

  /** Bytes of both streams now. */
  sizes(): Record<StreamName, number> {
    return { stdout: streamSize(this.dir, 'stdout'), stderr: streamSize(this.dir, 'stderr') }
  }

  /** Where a stream ends that had more than is kept here. */
  cut(stream: StreamName): StreamCut | undefined {
    return readCut(this.dir, stream)
  }

  /**
   * The text from `offset` on. A character that is not all there yet is left for a later read, unless
   * the run is over. An offset beyond the end reads nothing and comes back as the end. Throws
   * `malformed` for options that are no whole numbers, `store-failed` when the disk refuses.
   */
  async read(options: ReadOptions): Promise<LogPiece> {
    const piece = await this.#readUnits(options)
    return { ...piece.at, text: decodeUtf8(piece.bytes) }
  }

  /**
   * Whole lines from `offset` on; the last one without its end once the run is over. A line longer than
   * `bytesMax` comes in parts, the last of which is complete.
   */
  async readLines(options: ReadLinesOptions): Promise<LogLines> {
    const linesMax = this.#clamp('linesMax', options.linesMax, this.#limits.linesMax, 1)
    const { at, bytes, isFull } = await this.#readUnits(options)
    const lines: LogLine[] = []
    let start = 0
    while (lines.length < linesMax) {
      const stop = bytes.indexOf(LINE_END, start)
      if (stop < 0) break
      const text = decodeUtf8(bytes.subarray(start, stop))
      lines.push({ text, offset: at.from + start, complete: true })
      start = stop + 1
    }
    const isCut = at.end || (isFull && lines.length === 0)
    if (isCut && lines.length < linesMax && start < bytes.length) {
      const text = decodeUtf8(bytes.subarray(start))
      lines.push({ text, offset: at.from + start, complete: false })
      start = bytes.length
    }
    const offset = at.from + start
    return { lines, from: at.from, offset, size: at.size, end: at.end && offset === at.offset }
  }

  /**
   * As `readLines`, from a line number on. The first call on a large stream searches it once, a block
   * at a time; later ones read an index beside it. A line beyond the last gives none, and the position
   * of the last.
   */
  async readLinesFrom(options: ReadLinesFromOptions): Promise<NumberedLogLines> {
    const { stream, line, ...sizes } = options
    if (!Number.isSafeInteger(line) || line < 0) throw malformed('line', line)
    const index = new LineIndex(this.dir, stream, this.#limits.scanBytes, this.#log)
    const begin = await index.find(line)
    if (begin.line < line) {
      const { size, ended } = await readPart(this.dir, stream, begin.offset, 0)
      const { offset } = begin
      const end = ended && offset >= size
      return { lines: [], from: offset, offset, size, end, line: begin.line, nextLine: begin.line }
    }
    const read = await this.readLines({ stream, offset: begin.offset, ...sizes })
    const complete = read.lines.filter((one) => one.complete).length
    return { ...read, line, nextLine: line + complete }
  }

  /** What was written, byte by byte, from `offset` to where the stream ends now; a block at a time. */
  async *bytes(stream: StreamName, offset = 0): AsyncGenerator<Uint8Array, void, undefined> {
    const size = this.sizes()[stream]
    for (let at = offset; at < size; ) {
      const length = Math.min(this.#limits.readBytesDefault, size - at)
      const { bytes } = await readPart(this.dir, stream, at, length)
      // It was cleared away.
      if (bytes.length === 0) return
      yield bytes
      at += bytes.length
    }
  }

  /**
   * Pieces from `offset` on until the run is over, or `signal` aborts, or the run is removed; each with
   * at least one character. Waits for a run that has not started. Holds no file open while it waits.
   */
  async *follow(options: FollowOptions): AsyncGenerator<LogPiece, void, undefined> {
    const { signal, ...reading } = options
    const { followPollMs, followPauseMs } = this.#limits
    const paths = [streamPath(this.dir, options.stream), join(this.dir, RUN_FILES.shim)]
    const hint = new ChangeHint(this.#clock, paths, followPollMs)
    const stop = () => hint.close()
    signal?.addEventListener('abort', stop)
    try {
      let offset = options.offset ?? 0
      while (signal?.aborted !== true) {
        const piece = await this.read({ ...reading, offset })
        if (piece.size < offset) return
        if (piece.text !== '') yield piece
        if (piece.end) return
        if (piece.offset > offset) {
          offset = piece.offset
          continue
        }
        await hint.wait()
        // A command that writes byte by byte is read a few times a second, not once per byte.
        await this.#pause(followPauseMs)
      }
    } finally {
      signal?.removeEventListener('abort', stop)
      hint.close()
    }
  }

  /** Bytes that begin and end between units of UTF-8. `isFull`: they are as many as asked for. */
  async #readUnits(
    options: ReadOptions,
  ): Promise<{ at: Omit<LogPiece, 'text'>; bytes: Uint8Array; isFull: boolean }> {
    const { readBytesDefault, readBytesMax } = this.#limits
    const offset = options.offset ?? 0
    if (!Number.isSafeInteger(offset) || offset < 0) throw malformed('offset', offset)
    const wanted = options.bytesMax ?? readBytesDefault
    const bytesMax = this.#clamp('bytesMax', wanted, readBytesMax, CHARACTER_BYTES_MAX)
    // What precedes the offset tells whether it lies inside a character.
    const back = Math.min(CHARACTER_BYTES_MAX - 1, offset)
    const part = await readPart(this.dir, options.stream, offset - back, back + bytesMax)
    const { size, ended } = part
    const nothing = (at: number) => ({
      at: { from: at, offset: at, size, end: ended && at === size },
      bytes: new Uint8Array(),
      isFull: false,
    })
    if (offset >= size) return nothing(size)
    const inside = overhang(part.bytes, back)
    if (inside.open && !ended) return nothing(offset)
    const from = offset + inside.bytes
    let bytes = part.bytes.subarray(back + inside.bytes)
    const isLast = ended && from + bytes.length === size
    if (!isLast) bytes = bytes.subarray(0, bytes.length - openTail(bytes))
    const isFull = part.bytes.length === back + bytesMax
    return { at: { from, offset: from + bytes.length, size, end: isLast }, bytes, isFull }
  }

  #clamp(name: string, given: number | undefined, max: number, min: number): number {
    const value = given ?? max
    if (!Number.isSafeInteger(value) || value < 1) throw malformed(name, value)
    return Math.max(min, Math.min(max, value))
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve))
  }
}

function malformed(name: string, value: number): TroupeError {
  return new TroupeError(
    'malformed',
    `${name} must be a whole number that makes sense, not ${value}`,
  )
}
