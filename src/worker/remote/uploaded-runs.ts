/**
 * What commands of workers elsewhere wrote, kept on the disk of their node.
 *
 * Decides: that it lies there as the runs of an own worker do, so that it is read in the same way; that
 * only the worker of a run brings its bytes, in order; that nothing is said to be there before it is
 * flushed; how much of a run is kept (its beginning), and when old runs go. A run whose end nobody has
 * brought looks lost: its processes live on another machine, and nobody here can ask for them.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type {
  Clock,
  Log,
  RunEnd,
  RunKept,
  RunPart,
  RunSizes,
  RunUpload,
} from '../../ports/index.ts'
import { DEFAULT_LIMITS, type Limits, TroupeError } from '../../protocol/index.ts'
import { AttemptFiles, type KeptRun } from '../attempt-files.ts'
import { DEFAULT_WORKER_LIMITS, type WorkerLimits } from '../limits.ts'
import { LogStore, markCut, readCut, type StreamName } from '../logs/index.ts'
import { RUN_FILES } from '../process/index.ts'
import { Sweeper } from '../sweep.ts'
import { Flusher, type FlushFile } from './flusher.ts'

export interface UploadedRunsDeps {
  directory: string
  clock: Clock
  log: Log
  limits?: Pick<WorkerLimits, 'attemptKeepMs' | 'attemptKeepBytesMax' | 'sweepEveryMs'>
  /** Of one run; each stream may have half. */
  bytesMax?: Limits['uploadedRunBytesMax']
  /** Default: that of the file system. */
  flush?: FlushFile
}

/** A boot that is none: no process of this machine is ever taken for one of the run. */
const ELSEWHERE = '1 1 elsewhere'
const RECORD_FILE = 'attempt.json'
/** A node that is restarted often would otherwise never come to it. */
const FIRST_SWEEP_MS = 60_000
const STREAMS: readonly StreamName[] = ['stdout', 'stderr']

interface Known {
  worker: string
  address: string
  /** Files that may not have reached the disk. */
  dirty: Set<string>
  /** One upload at a time. */
  last: Promise<unknown>
  /** Those under way. */
  uploads: number
  full: Set<StreamName>
}

export class UploadedRuns {
  readonly #deps: UploadedRunsDeps
  readonly #files: AttemptFiles
  readonly #flusher: Flusher
  readonly #sweeper: Sweeper
  readonly #streamBytesMax: number
  readonly #known = new Map<string, Known>()

  constructor(deps: UploadedRunsDeps) {
    const { clock, log, limits = DEFAULT_WORKER_LIMITS } = deps
    const files = new AttemptFiles(deps.directory)
    this.#deps = deps
    this.#files = files
    this.#flusher = new Flusher(deps.flush)
    this.#streamBytesMax = Math.floor((deps.bytesMax ?? DEFAULT_LIMITS.uploadedRunBytesMax) / 2)
    const logs = new LogStore({ clock, log })
    // What goes is looked up anew, and so is what has ended and is not spoken of any more.
    const begins = () => {
      for (const [run, { uploads }] of this.#known) if (uploads === 0) this.#known.delete(run)
    }
    this.#sweeper = new Sweeper({ files, logs, clock, log, limits, begins })
  }

  /** @throws TroupeError `store-failed` */
  open(): void {
    this.#files.open()
    this.#sweeper.start(FIRST_SWEEP_MS)
  }

  close(): void {
    this.#sweeper.stop()
  }

  /** Where the newest run of an actor is kept; as `Worker.runs`. */
  latest(address: string): string | undefined {
    return this.#files.latest(address)
  }

  runs(address: string): KeptRun[] {
    return this.#files.runs(address)
  }

  /** Whether this worker has brought something of this run before. @throws `forbidden` if another has */
  knows(worker: string, { run, address }: RunUpload): boolean {
    const known = this.#known.get(run) ?? this.#read(run)
    if (known === undefined) return false
    this.#known.set(run, known)
    if (known.worker === worker && known.address === address) return true
    throw new TroupeError('forbidden', `the run ${run} is not one of ${worker} for ${address}`)
  }

  /** The caller has made sure that the run is the worker's. */
  begin(worker: string, { run, address, startedAt, number }: RunUpload): void {
    this.#guarded('begin', () => {
      const directory = this.#files.directoryOf(run)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      writeFileSync(join(directory, RUN_FILES.pid), `${ELSEWHERE} end\n`)
      writeFileSync(join(directory, RUN_FILES.claim), `${ELSEWHERE} ${startedAt} end\n`)
      this.#files.point(address, run, number)
      // The last: with it the run counts as begun, also after a crash.
      const record = join(directory, RECORD_FILE)
      writeFileSync(record, JSON.stringify({ worker, address }), { mode: 0o600 })
      this.#known.set(run, this.#newlyKnown(run, worker, address))
    })
  }

  /**
   * Keeps what joins what is there, and resolves when all of that is on disk.
   * @throws TroupeError `store-failed`
   */
  async append(upload: RunUpload): Promise<RunKept> {
    const known = this.#known.get(upload.run) ?? this.#read(upload.run)
    if (known === undefined) throw new TroupeError('store-failed', 'the run was cleared away')
    known.uploads += 1
    const kept = known.last.then(() => this.#append(known, upload))
    known.last = kept
      .catch(() => {})
      .finally(() => {
        known.uploads -= 1
      })
    return kept
  }

  async #append(known: Known, { run, parts, end }: RunUpload): Promise<RunKept> {
    const directory = this.#files.directoryOf(run)
    const before = sizesOf(directory)
    const sizes = this.#guarded('keep', () => {
      for (const part of parts) this.#keep(known, run, part)
      const present = sizesOf(directory)
      if (end !== undefined && hasAll(present, end.sizes, known.full)) this.#end(known, run, end)
      // What is swept goes by this time.
      const now = this.#deps.clock.now() / 1_000
      utimesSync(directory, now, now)
      return present
    })
    await this.#flush(known, directory, before)
    return known.full.size === 0 ? sizes : { ...sizes, full: [...known.full] }
  }

  /** What is there already is left out; what would leave a hole waits for what belongs there. */
  #keep(known: Known, run: string, { stream, offset, bytes }: RunPart): void {
    const directory = this.#files.directoryOf(run)
    const path = join(directory, RUN_FILES[stream])
    const size = sizeOf(directory, stream)
    if (offset > size || offset + bytes.length <= size) return
    const room = Math.max(0, this.#streamBytesMax - size)
    const joining = bytes.subarray(size - offset)
    known.dirty.add(path)
    try {
      appendFileSync(path, joining.subarray(0, room), { mode: 0o600 })
    } catch (thrown) {
      // Half of it may be there, on a disk that is full.
      if (size > 0) truncateSync(path, size)
      throw thrown
    }
    if (joining.length <= room) return
    known.dirty.add(markCut(directory, stream, { bytes: size + room, worker: known.worker }))
    known.full.add(stream)
    const { worker, address } = known
    const fields = { worker, address, run, stream, bytes: size + room }
    this.#deps.log.warn(fields, 'a command writes more than is kept of it (uploadedRunBytesMax)')
  }

  #end(known: Known, run: string, { record, endedAt }: RunEnd): void {
    const path = join(this.#files.directoryOf(run), RUN_FILES.exit)
    if (existsSync(path)) return
    writeFileSync(path, record)
    // The time of this file is the time of the end.
    utimesSync(path, endedAt / 1_000, endedAt / 1_000)
    known.dirty.add(path)
  }

  /** What could not be flushed is taken back: a later flush may call it well that it never wrote. */
  async #flush({ dirty }: Known, directory: string, before: RunSizes): Promise<void> {
    const paths = [...dirty].filter((path) => existsSync(path))
    dirty.clear()
    try {
      await Promise.all(paths.map((path) => this.#flusher.flush(path)))
    } catch (cause) {
      for (const path of paths) dirty.add(path)
      for (const stream of STREAMS) {
        const isLonger = sizeOf(directory, stream) > before[stream]
        if (isLonger) truncateSync(join(directory, RUN_FILES[stream]), before[stream])
      }
      refuse('flush', cause)
    }
  }

  #newlyKnown(run: string, worker: string, address: string): Known {
    const directory = this.#files.directoryOf(run)
    const names = [RECORD_FILE, ...Object.values(RUN_FILES)].map((name) => join(directory, name))
    const dirty = new Set([...names, this.#files.pointerOf(address)])
    const full = new Set(STREAMS.filter((stream) => readCut(directory, stream) !== undefined))
    return { worker, address, dirty, last: Promise.resolve(), uploads: 0, full }
  }

  #read(run: string): Known | undefined {
    try {
      const path = join(this.#files.directoryOf(run), RECORD_FILE)
      const { worker, address } = JSON.parse(readFileSync(path, 'utf8')) as Known
      return this.#newlyKnown(run, worker, address)
    } catch {
      return undefined
    }
  }

  #guarded<T>(what: string, act: () => T): T {
    try {
      return act()
    } catch (cause) {
      refuse(what, cause)
    }
  }
}

function refuse(what: string, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new TroupeError('store-failed', `cannot ${what} an uploaded run: ${why}`, { cause })
}

function sizeOf(directory: string, stream: StreamName): number {
  return statSync(join(directory, stream), { throwIfNoEntry: false })?.size ?? 0
}

function sizesOf(directory: string): RunSizes {
  return { stdout: sizeOf(directory, 'stdout'), stderr: sizeOf(directory, 'stderr') }
}

function hasAll(present: RunSizes, wanted: RunSizes, full: ReadonlySet<StreamName>): boolean {
  return STREAMS.every((stream) => full.has(stream) || present[stream] === wanted[stream])
}
