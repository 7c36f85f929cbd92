/**
 * What the steps in one store have come to, kept on disk: a repeat after a crash does none of it again.
 * Decides: the files, and that they are flushed once. What cannot be written, for a disk that is full, is not
 * lost for that: it is needed only if something crashes right now.
 *
 * There are two files, written in turn and in place: one step runs at a time, and a new one runs only once
 * the thread has committed the one before, so the newest record is all that anybody may ask for, and it stays
 * until the next one is flushed. A record carries its checksum, since a write that a loss of power cuts leaves
 * some pages of the record before. So nothing is renamed, listed or removed, and a flush has no directory
 * and no size to write: a third of what a new file costs each time (measured: 106 µs against 347).
 *
 * Calls are synchronous but for the flush, as in `src/worker/attempt-files.ts`. What a step comes to is told
 * while that goes on: a kill loses nothing that was written, and a loss of power in that moment finds it
 * neither committed nor kept, as one a moment before would have. What is done within a step is flushed
 * before the rest of it begins, which may take hours.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { Log } from '../../../src/index.ts'
import { isMissing } from '../stores/index.ts'
import type { StepOutcome } from '../thread/index.ts'
import { causeChain } from './failures.ts'

const FILES = ['kept-0', 'kept-1'] as const
/** Whole pages, so that a record rarely changes the size of its file. */
const PAGE_BYTES = 4_096

/** Ours, so looked at only for having been written by this code; the outcome is the thread's. */
const keptRecord = z.object({
  /** One more with each record: which is the newer, and in which file it lies. */
  count: z.int().min(1),
  taskId: z.string(),
  /** What has been done of a task that has not ended. */
  parts: z.record(z.string(), z.object({ done: z.unknown() })),
  outcome: z.custom<StepOutcome>((value) => typeof value === 'object' && value !== null).optional(),
})
type Kept = Omit<z.infer<typeof keptRecord>, 'count'>

const fdatasyncPromised = promisify(fdatasync)

export class KeptResults {
  readonly #directory: string
  readonly #log: Log
  /** The newest record; null when there is none, undefined before the first look. */
  #newest: Kept | null | undefined
  /** Of the newest record on disk. */
  #count = 0

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
  }

  outcome(taskId: string): StepOutcome | undefined {
    return this.#of(taskId).outcome
  }

  /** It is there when this returns; the flush goes on behind it. */
  keep(taskId: string, outcome: StepOutcome): void {
    void this.#write({ taskId, parts: {}, outcome })
  }

  /** Done once for this task, whatever crashes in between, if it has ended. */
  async once<T>(taskId: string, part: string, work: () => Promise<T>): Promise<T> {
    const { parts } = this.#of(taskId)
    const known = parts[part]
    if (known) return known.done as T
    const done = await work()
    await this.#write({ taskId, parts: { ...parts, [part]: { done } } })
    return done
  }

  #of(taskId: string): Kept {
    if (this.#newest === undefined) this.#look()
    return this.#newest?.taskId === taskId ? this.#newest : { taskId, parts: {} }
  }

  #look(): void {
    const found = FILES.flatMap((name) => readRecord(join(this.#directory, name)) ?? [])
    const [newest] = found.sort((a, b) => b.count - a.count)
    this.#newest = newest ?? null
    this.#count = newest?.count ?? 0
  }

  async #write(kept: Kept): Promise<void> {
    this.#newest = kept
    const count = this.#count + 1
    const name = FILES[count % FILES.length] ?? FILES[0]
    try {
      const flushed = putFlushed(this.#directory, name, JSON.stringify({ count, ...kept }))
      this.#count = count
      await flushed
    } catch (thrown) {
      const fields = { directory: this.#directory, error: causeChain(thrown) }
      this.#log.warn(fields, 'what a step came to cannot be kept on disk')
    }
  }
}

/** Undefined when there is none, or a damaged one: the work is repeatable, only its result is lost. */
function readRecord(path: string): z.infer<typeof keptRecord> | undefined {
  // A look costs less than the error of a read that finds nothing.
  if (!existsSync(path)) return undefined
  const [checksum, text] = readFileSync(path, 'utf8').split('\n', 2)
  if (text === undefined || checksum !== checksumOf(text)) return undefined
  const { data } = keptRecord.safeParse(JSON.parse(text))
  return data
}

/** Behind the record stands what is left of a longer one. */
async function putFlushed(directory: string, name: string, text: string): Promise<void> {
  const record = Buffer.from(`${checksumOf(text)}\n${text}\n`)
  const pages = Buffer.alloc(Math.ceil(record.length / PAGE_BYTES) * PAGE_BYTES)
  record.copy(pages)
  const file = openOrMake(directory, name)
  try {
    writeFileSync(file, pages)
    await fdatasyncPromised(file)
  } finally {
    closeSync(file)
  }
}

/** A store has its directory; that of an attempt is made when there is something to keep. */
function openOrMake(directory: string, name: string): number {
  const path = join(directory, name)
  const flags = constants.O_RDWR | constants.O_CREAT
  try {
    return openSync(path, flags, 0o600)
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown
    mkdirSync(directory, { recursive: true })
    return openSync(path, flags, 0o600)
  }
}

function checksumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
