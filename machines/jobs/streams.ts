/**
 * Reading what a job's newest run wrote. Decides: when a stream is at its end, and what is said when
 * there is no run. Leaves to others: whose job it is, and the words of the answer.
 */
import {
  type AppContext,
  inspectRun,
  LogStore,
  type RunFiles,
  type RunLog,
  type StreamName,
} from '../../src/index.ts'
import { addressOf, type JobView } from './job-view.ts'

/** A part of a stream of a job's newest run. */
export interface StreamPart {
  text: string
  /** Rows without their line ends, when lines were asked for. */
  rows: string[]
  /** The byte offset to go on from. */
  offset: number
  /** Bytes of the stream now. */
  size: number
  /** There is and will be no more. */
  isEnd: boolean
  /** What is to be known about a stream that is not there. */
  note?: string
}

export interface StreamRequest {
  stream: StreamName
  offset?: number
  /** Whole lines, at most so many; without it, text up to `bytesMax`. */
  lines?: number
  /** Instead of an offset: begin so many lines before the present end. */
  tail?: number
  bytesMax?: number
}

export interface StreamBlock {
  base64: string
  /** The byte offset to go on from; where the block is empty, the one that was asked for. */
  offset: number
}

const NOTHING: AsyncIterable<Uint8Array> = (async function* () {})()

export class Streams {
  readonly #runs: RunFiles
  readonly #logs: LogStore

  constructor({ runs, clock, log }: Pick<AppContext, 'runs' | 'clock' | 'log'>) {
    this.#runs = runs
    this.#logs = new LogStore({ clock, log })
  }

  /** One block of the same. */
  async block(view: JobView, stream: StreamName, offset: number): Promise<StreamBlock> {
    for await (const bytes of await this.bytes(view, stream, offset)) {
      const base64 = Buffer.from(bytes).toString('base64')
      return { base64, offset: offset + bytes.length }
    }
    return { base64: '', offset }
  }

  /** The bytes of a stream from `offset` to where it ends now; none when nothing is there. */
  async bytes(
    view: JobView,
    stream: StreamName,
    offset: number,
  ): Promise<AsyncIterable<Uint8Array>> {
    const directory = await this.#runs.latest(addressOf(view.jobId))
    return directory === undefined ? NOTHING : this.#logs.of(directory).bytes(stream, offset)
  }

  /** @param view of the job, which says whether more can come when there is no run */
  async read(view: JobView, request: StreamRequest): Promise<StreamPart> {
    const directory = await this.#runs.latest(addressOf(view.jobId))
    if (directory === undefined || (view.isFinal && inspectRun(directory).kind === 'absent')) {
      const note = view.isFinal
        ? 'there is no log: nothing ran, or it was cleared away, or it lies on another node'
        : 'nothing has run yet'
      return { text: '', rows: [], offset: request.offset ?? 0, size: 0, isEnd: view.isFinal, note }
    }
    const log = this.#logs.of(directory)
    const { stream, lines, bytesMax } = request
    const offset =
      request.tail === undefined
        ? (request.offset ?? 0)
        : await offsetOfTail(log, stream, request.tail)
    const options = { stream, offset, ...(bytesMax === undefined ? {} : { bytesMax }) }
    if (lines === undefined) {
      const piece = await log.read(options)
      return {
        text: piece.text,
        rows: [],
        offset: piece.offset,
        size: piece.size,
        isEnd: piece.end && view.isFinal,
      }
    }
    const read = await log.readLines({ ...options, linesMax: lines })
    const text = read.lines.map((line) => (line.complete ? `${line.text}\n` : line.text)).join('')
    const rows = read.lines.map((line) => line.text)
    return { text, rows, offset: read.offset, size: read.size, isEnd: read.end && view.isFinal }
  }
}

/** Where the last `count` lines begin; a line without its end counts. */
async function offsetOfTail(log: RunLog, stream: StreamName, count: number): Promise<number> {
  const last = await log.readLinesFrom({ stream, line: Number.MAX_SAFE_INTEGER, linesMax: 1 })
  // `last` stands behind the last line end; what follows it is one more line.
  const open = last.size > last.offset ? 1 : 0
  const first = Math.max(0, last.line + open - count)
  const found = await log.readLinesFrom({ stream, line: first, linesMax: 1 })
  return found.from
}
