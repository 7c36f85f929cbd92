/**
 * Reading what the attempts of a job wrote, the newest unless another is named. Decides: when a stream is
 * at its end, and what is said when there is no run, or not all of what it wrote. Leaves to others: whose
 * job it is, and the words of the answer.
 */
import { basename } from 'node:path'
import {
  type AppContext,
  inspectRun,
  LogStore,
  type RunFiles,
  type RunLog,
  type StreamName,
  TroupeError,
} from '../../src/index.ts'
import { addressOf, type JobView } from './job-view.ts'

/** A part of a stream of one attempt. */
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
  /** What is to be known about a stream that is not there, or not all of it. */
  note?: string
  /** There was more than is kept; the note says where that is. */
  isCut?: true
}

export interface StreamRequest {
  stream: StreamName
  offset?: number
  /** Whole lines, at most so many; without it, text up to `bytesMax`. */
  lines?: number
  /** Instead of an offset: begin so many lines before the present end. */
  tail?: number
  bytesMax?: number
  /** Default: the newest. */
  attempt?: number
}

export interface StreamBlock {
  base64: string
  /** The byte offset to go on from; where the block is empty, the one that was asked for. */
  offset: number
  /** As that of a part. */
  note?: string
}

export interface StreamBytes {
  bytes: AsyncIterable<Uint8Array>
  /** Where the stream had more than is kept. */
  note?: string
}

const NO_LOG = 'there is no log: nothing ran, or it was cleared away, or it lies on another node'
const NOTHING: AsyncIterable<Uint8Array> = (async function* () {})()

export class Streams {
  readonly #runs: RunFiles
  readonly #logs: LogStore

  constructor({ runs, clock, log }: Pick<AppContext, 'runs' | 'clock' | 'log'>) {
    this.#runs = runs
    this.#logs = new LogStore({ clock, log })
  }

  /** One block of the same. */
  async block(view: JobView, { stream, offset = 0, attempt }: StreamRequest): Promise<StreamBlock> {
    const { bytes, ...note } = await this.bytes(view, stream, offset, attempt)
    for await (const block of bytes) {
      const base64 = Buffer.from(block).toString('base64')
      return { base64, offset: offset + block.length, ...note }
    }
    return { base64: '', offset, ...note }
  }

  /**
   * The bytes of a stream from `offset` to where it ends now; none when nothing is there.
   * @throws TroupeError `not-found` for an attempt that is not kept
   */
  async bytes(
    view: JobView,
    stream: StreamName,
    offset: number,
    attempt?: number,
  ): Promise<StreamBytes> {
    const directory = await this.#directoryOf(view, attempt)
    if (directory === undefined) return { bytes: NOTHING }
    const log = this.#logs.of(directory)
    const note = noteOf(log, directory, stream)
    return { bytes: log.bytes(stream, offset), ...(note === undefined ? {} : { note }) }
  }

  /**
   * @param view of the job, which says whether more can come when there is no run
   * @throws TroupeError `not-found` for an attempt that is not kept
   */
  async read(view: JobView, request: StreamRequest): Promise<StreamPart> {
    const directory = await this.#directoryOf(view, request.attempt)
    // Nothing is added to what came before the present attempt.
    const isOver = view.isFinal || (request.attempt ?? view.attempt) < view.attempt
    if (directory === undefined || (isOver && inspectRun(directory).kind === 'absent')) {
      const note = isOver ? NO_LOG : 'nothing has run yet'
      return { text: '', rows: [], offset: request.offset ?? 0, size: 0, isEnd: isOver, note }
    }
    const note = noteOf(this.#logs.of(directory), directory, request.stream)
    const part = await this.#readFrom(directory, request, isOver)
    return note === undefined ? part : { ...part, note, isCut: true }
  }

  /** Undefined when there is none yet, or none any more. */
  async #directoryOf({ jobId, attempt: newest, isFinal }: JobView, attempt?: number) {
    if (attempt === undefined) return this.#runs.latest(addressOf(jobId))
    const runs = await this.#runs.all(addressOf(jobId))
    const found = runs.findLast(({ number }) => number === attempt)
    if (found) return found.directory
    // It has begun, and may have a command in a moment.
    if (attempt === newest && !isFinal) return undefined
    const kept = [...new Set(runs.map(({ number }) => number))].sort((a, b) => a - b)
    const which = kept.length === 0 ? 'none is kept' : `kept are those of ${kept.join(', ')}`
    const why = attempt > newest ? `it has had ${newest} so far` : NO_LOG
    throw new TroupeError(
      'not-found',
      `no log of attempt ${attempt} of job ${jobId}: ${why}; ${which}`,
    )
  }

  async #readFrom(directory: string, request: StreamRequest, isOver: boolean): Promise<StreamPart> {
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
        isEnd: piece.end && isOver,
      }
    }
    const read = await log.readLines({ ...options, linesMax: lines })
    const text = read.lines.map((line) => (line.complete ? `${line.text}\n` : line.text)).join('')
    const rows = read.lines.map((line) => line.text)
    return { text, rows, offset: read.offset, size: read.size, isEnd: read.end && isOver }
  }
}

/** Of a stream that has more than its node keeps. */
function noteOf(log: RunLog, directory: string, stream: StreamName): string | undefined {
  const cut = log.cut(stream)
  if (cut === undefined) return undefined
  const where = `worker/attempts/${basename(directory)}/${stream}`
  return `cut after ${cut.bytes} bytes (uploadedRunBytesMax); all of it lies on worker ${cut.worker}, in its data directory: ${where}`
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
