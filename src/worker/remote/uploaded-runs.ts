/**
 * What commands of workers elsewhere wrote, kept on the disk of their node.
 *
 * Decides: that it lies there as the runs of an own worker do, so that it is read in the same way; that
 * only the worker of a run brings its bytes, in order; and when old runs go. A run whose end nobody has
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
import type { Clock, Log, RunEnd, RunPart, RunSizes, RunUpload } from '../../ports/index.ts'
import { TroupeError, toErrorRecord } from '../../protocol/index.ts'
import { AttemptFiles } from '../attempt-files.ts'
import { DEFAULT_WORKER_LIMITS, type WorkerLimits } from '../limits.ts'
import { LogStore } from '../logs/index.ts'
import { RUN_FILES } from '../process/index.ts'
import { sweepAttempts } from '../sweep.ts'

export interface UploadedRunsDeps {
  directory: string
  clock: Clock
  log: Log
  limits?: Pick<WorkerLimits, 'attemptKeepMs' | 'attemptKeepBytesMax' | 'sweepEveryMs'>
}

/** A boot that is none: no process of this machine is ever taken for one of the run. */
const ELSEWHERE = '1 1 elsewhere'
const RECORD_FILE = 'attempt.json'

interface Known {
  worker: string
  address: string
}

export class UploadedRuns {
  readonly #deps: UploadedRunsDeps
  readonly #files: AttemptFiles
  readonly #known = new Map<string, Known>()
  #cancelSweep: () => void = () => {}

  constructor(deps: UploadedRunsDeps) {
    this.#deps = deps
    this.#files = new AttemptFiles(deps.directory)
  }

  /** @throws TroupeError `store-failed` */
  open(): void {
    this.#files.open()
    this.#planSweep()
  }

  close(): void {
    this.#cancelSweep()
  }

  /** Where the newest run of an actor is kept, and since when; as `Worker.runs`. */
  latest(address: string): string | undefined {
    return this.#files.latest(address)
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
  begin(worker: string, { run, address, startedAt }: RunUpload): void {
    this.#guarded('begin', () => {
      const directory = this.#files.directoryOf(run)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const known: Known = { worker, address }
      writeFileSync(join(directory, RUN_FILES.pid), `${ELSEWHERE} end\n`)
      writeFileSync(join(directory, RUN_FILES.claim), `${ELSEWHERE} ${startedAt} end\n`)
      writeFileSync(join(directory, RECORD_FILE), JSON.stringify(known), { mode: 0o600 })
      this.#files.point(address, run)
      this.#known.set(run, known)
    })
  }

  append({ run, parts, end }: RunUpload): RunSizes {
    return this.#guarded('keep', () => {
      const directory = this.#files.directoryOf(run)
      for (const part of parts) appendPart(directory, part)
      const sizes: RunSizes = {
        stdout: sizeOf(directory, 'stdout'),
        stderr: sizeOf(directory, 'stderr'),
      }
      if (end !== undefined) this.#end(directory, end, sizes)
      // What is swept goes by this time.
      const now = this.#deps.clock.now() / 1_000
      utimesSync(directory, now, now)
      return sizes
    })
  }

  #end(directory: string, { record, endedAt, sizes }: RunEnd, present: RunSizes): void {
    if (sizes.stdout !== present.stdout || sizes.stderr !== present.stderr) return
    const path = join(directory, RUN_FILES.exit)
    if (existsSync(path)) return
    writeFileSync(path, record)
    // The time of this file is the time of the end.
    utimesSync(path, endedAt / 1_000, endedAt / 1_000)
  }

  #read(run: string): Known | undefined {
    try {
      const path = join(this.#files.directoryOf(run), RECORD_FILE)
      return JSON.parse(readFileSync(path, 'utf8')) as Known
    } catch {
      return undefined
    }
  }

  #guarded<T>(what: string, act: () => T): T {
    try {
      return act()
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new TroupeError('store-failed', `cannot ${what} an uploaded run: ${why}`, { cause })
    }
  }

  #planSweep(): void {
    const { clock, limits = DEFAULT_WORKER_LIMITS } = this.#deps
    this.#cancelSweep = clock.after(limits.sweepEveryMs, () => void this.#sweep())
  }

  async #sweep(): Promise<void> {
    const { clock, log, limits = DEFAULT_WORKER_LIMITS } = this.#deps
    this.#known.clear()
    try {
      const logs = new LogStore({ clock, log })
      await sweepAttempts({ files: this.#files, logs, clock, log, limits })
    } catch (thrown) {
      log.warn({ error: toErrorRecord(thrown) }, 'uploaded runs could not be cleared away')
    }
    this.#planSweep()
  }
}

function sizeOf(directory: string, stream: RunPart['stream']): number {
  return statSync(join(directory, stream), { throwIfNoEntry: false })?.size ?? 0
}

/** What is there already is left out; what would leave a hole waits for what belongs there. */
function appendPart(directory: string, { stream, offset, bytes }: RunPart): void {
  const size = sizeOf(directory, stream)
  if (offset > size || offset + bytes.length <= size) return
  const path = join(directory, RUN_FILES[stream])
  try {
    appendFileSync(path, bytes.subarray(size - offset), { mode: 0o600 })
  } catch (thrown) {
    // Half of it may be there, on a disk that is full.
    if (size > 0) truncateSync(path, size)
    throw thrown
  }
}
