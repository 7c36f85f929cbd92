/**
 * Brings what commands write to the node, while they run and when they have ended.
 *
 * Decides: how often, how much at a time, and that the end of an attempt is told only when its output is
 * there: whoever learns that a command has ended can read all that it wrote. Leaves to others: how it
 * travels, where it is kept.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Clock, Log, RunEnd, RunKept, RunPart, RunSizes, RunUploads } from '../ports/index.ts'
import { TroupeError, toErrorRecord } from '../protocol/index.ts'
import type { AttemptFiles, AttemptRecord } from './attempt-files.ts'
import { readPart, type StreamName, streamSize } from './logs/index.ts'
import { askUntilAnswered, isLasting, type Patience } from './patience.ts'
import { inspectRun, RUN_FILES } from './process/index.ts'

export interface RunUploaderDeps {
  uploads: RunUploads
  files: AttemptFiles
  patience: Patience
  clock: Clock
  log: Log
}

/** Who follows a log sees a line this much later. */
const EVERY_MS = 500
const PART_BYTES_MAX = 256 * 1024
const STREAMS: readonly StreamName[] = ['stdout', 'stderr']

interface Upload {
  name: string
  record: AttemptRecord
  /** What the node has; undefined until it has said so. */
  there: RunKept | undefined
  /** One at a time, in order. */
  last: Promise<boolean>
  /** The node will not take more of it. */
  refused: boolean
}

export class RunUploader {
  readonly #deps: RunUploaderDeps
  readonly #running = new Map<string, Upload>()
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(deps: RunUploaderDeps) {
    this.#deps = deps
  }

  /**
   * The attempt runs a command from now on. That is told at once: whoever stops wanting the task soon
   * leaves nothing by which its output could be told from anybody's.
   */
  begin(name: string, record: AttemptRecord): void {
    const upload = this.#uploadOf(name, record)
    void this.#inTurn(upload, () => this.#round(upload))
    this.#plan()
  }

  /** Resolves when all is there, or the node refuses it, or the worker stops. */
  async finish(name: string, record: AttemptRecord): Promise<void> {
    if (inspectRun(this.#deps.files.directoryOf(name)).kind === 'absent') return
    const upload = this.#uploadOf(name, record)
    await this.#inTurn(upload, () => this.#bringAll(upload))
    this.#running.delete(name)
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #uploadOf(name: string, record: AttemptRecord): Upload {
    const known = this.#running.get(name)
    if (known) return known
    const last = Promise.resolve(true)
    const upload: Upload = { name, record, there: undefined, last, refused: false }
    this.#running.set(name, upload)
    return upload
  }

  #plan(): void {
    if (this.#cancel !== undefined || this.#stopped) return
    this.#cancel = this.#deps.clock.after(EVERY_MS, () => {
      this.#cancel = undefined
      const rounds = [...this.#running.values()].map((upload) =>
        this.#inTurn(upload, () => this.#round(upload)),
      )
      void Promise.all(rounds).then(() => {
        if (this.#running.size > 0) this.#plan()
      })
    })
  }

  #inTurn(upload: Upload, act: () => Promise<boolean>): Promise<boolean> {
    upload.last = upload.last.then(act).catch((thrown: unknown) => {
      const { taskId } = upload.record
      this.#deps.log.warn(
        { taskId, error: toErrorRecord(thrown) },
        'what a command wrote could not be brought to the node',
      )
      return false
    })
    return upload.last
  }

  /** What is there now; a failure is for the next round. */
  async #round(upload: Upload): Promise<boolean> {
    if (upload.refused || !this.#running.has(upload.name)) return true
    const { there } = upload
    if (there && hasAll(there, this.#sizesOf(upload.name))) return true
    try {
      while (await this.#bringNext(upload));
      return true
    } catch (thrown) {
      return this.#judge(upload, thrown)
    }
  }

  async #bringAll(upload: Upload): Promise<boolean> {
    const answer = await askUntilAnswered(
      this.#deps.patience,
      async () => {
        while (await this.#bringNext(upload));
        await this.#bringEnd(upload)
      },
      isLasting,
    )
    return answer.kind === 'refused' ? this.#judge(upload, answer.error) : answer.kind === 'ok'
  }

  /** False once the node has all that there is. */
  async #bringNext(upload: Upload): Promise<boolean> {
    const parts: RunPart[] = []
    for (const stream of upload.there === undefined ? [] : STREAMS) {
      if (upload.there?.full?.includes(stream)) continue
      const part = await this.#partOf(upload.name, stream, upload.there?.[stream] ?? 0)
      if (part.bytes.length > 0) parts.push(part)
    }
    if (upload.there !== undefined && parts.length === 0) return false
    upload.there = await this.#bring(upload, parts)
    return true
  }

  async #partOf(name: string, stream: StreamName, offset: number): Promise<RunPart> {
    const directory = this.#deps.files.directoryOf(name)
    const { bytes } = await readPart(directory, stream, offset, PART_BYTES_MAX)
    return { stream, offset, bytes }
  }

  async #bringEnd(upload: Upload): Promise<void> {
    const state = inspectRun(this.#deps.files.directoryOf(upload.name))
    if (state.kind !== 'ended') return
    const path = join(this.#deps.files.directoryOf(upload.name), RUN_FILES.exit)
    const end: RunEnd = {
      record: readFileSync(path, 'utf8'),
      endedAt: state.exit.endedAt,
      sizes: this.#sizesOf(upload.name),
    }
    const there = await this.#bring(upload, [], end)
    if (hasAll(there, end.sizes)) return
    // It has lost some, or somebody in the group still writes.
    upload.there = there
    throw new TroupeError('unavailable', 'the node does not have all that a command wrote')
  }

  #bring({ name, record }: Upload, parts: RunPart[], end?: RunEnd): Promise<RunKept> {
    const { address, taskId, token, startedAt, attempt } = record
    const number = this.#deps.files.numberOf(address, name) ?? attempt
    return this.#deps.uploads.bring({
      run: name,
      number,
      address,
      taskId,
      token,
      startedAt: Math.round(startedAt),
      parts,
      ...(end === undefined ? {} : { end }),
    })
  }

  #judge(upload: Upload, thrown: unknown): boolean {
    upload.refused = thrown instanceof TroupeError && isLasting(thrown)
    if (upload.refused) throw thrown
    return false
  }

  #sizesOf(name: string): RunSizes {
    const directory = this.#deps.files.directoryOf(name)
    return { stdout: streamSize(directory, 'stdout'), stderr: streamSize(directory, 'stderr') }
  }
}

/** Of a stream that is full there is no more to bring. */
function hasAll(there: RunKept, sizes: RunSizes): boolean {
  return STREAMS.every((stream) => there.full?.includes(stream) || there[stream] >= sizes[stream])
}
